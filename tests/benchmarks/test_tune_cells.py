"""The cells of the search for settings: same rows, and a space that can be searched."""

from pathlib import Path

from minibert.finetune import Settings
from minibert.tasks.classification import Classification
from minibert.tune.space import check_space, parse_space


def test_the_ways_share_their_rows_and_the_space_is_one(benchmark):
    module, nowhere = benchmark("cells_tune"), Path("nowhere")
    cells = module.cells(benchmark("cells").Places(nowhere, nowhere, None, nowhere))
    assert [cell.contestant for cell in cells] == ["defaults", "few_rows", "tuned"] * 2
    assert all("500 training rows" in cell.note for cell in cells)
    assert "judged on 300 more" in cells[2].note
    for cell in cells:
        Settings.of({key: value for key, value in cell.recipe.items() if not key.startswith("tune.")})
    check_space(parse_space(module.SPACE), Classification)
    assert len(cells[2].recipe["tune.space"]) == len(module.SPACE)
