"""The cells of a smaller encoder that embeds."""

from pathlib import Path

from minibert.config import group


def test_only_the_lesson_has_seeds_and_its_settings_are_known(benchmark):
    module, nowhere = benchmark("cells_vectors"), Path("nowhere")
    cells = module.cells(benchmark("cells").Places(nowhere, nowhere, None, nowhere))
    assert [(cell.contestant, len(cell.seeds)) for cell in cells] == [
        ("whole", 1), ("half, as cut", 1), ("half, taught", 3),
    ]  # fmt: skip
    assert set(group(cells[2].recipe, ("distill", "data", "train"))) == {"distill", "data", "train"}
    assert "10,000 sentences" in cells[2].note
