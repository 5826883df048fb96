"""The cells of small-data stability: each remedy differs from plain fine-tuning in one thing."""

from pathlib import Path

import pytest

from minibert.finetune import Settings


@pytest.fixture
def cells(benchmark):
    nowhere = Path("nowhere")
    return benchmark("cells_stable").cells(benchmark("cells").Places(nowhere, nowhere, None, nowhere))


def test_remedies_differ_from_plain_training_in_one_number_and_the_recipe_in_all(cells):
    plain = {cell.row: cell.recipe for cell in cells if cell.contestant == "plain"}
    assert set(plain) == {"sst2, 500 rows", "financial_phrasebank, 500 rows"}
    for cell in cells:
        assert cell.seeds == (0, 1, 2, 3, 4)
        assert "500 training rows" in cell.note
        Settings.of(cell.recipe)
        apart = {key for key, value in cell.recipe.items() if plain[cell.row].get(key) != value}
        wanted = {"plain": 0, "few_rows": 4}.get(cell.contestant, 1)
        assert len(apart) == wanted, cell.contestant
