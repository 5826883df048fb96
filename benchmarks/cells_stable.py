"""Few rows, five seeds: what each remedy against bad luck gives by itself (mean and spread over the seeds).

    plain              MiniLM with a new head, five epochs at 2e-4, vectors by the mean
    no warm-up         the same from the first step at the highest rate (Mosbach et al., 2021, advise against)
    layer-wise rates   0.9 from layer to layer (Howard and Ruder, 2018)
    averaged weights   exponential, 0.97 (Izmailov et al., 2018, average otherwise)
    R-Drop             two passes with other dropout, one answer (Wu et al., 2021)
    FGM                a second pass with token vectors moved for the worse (Miyato et al., 2017)
    smooth labels      0.1
    new top layers     two of the six are drawn anew (Zhang et al., 2021)
    few_rows           the recipe of that name: layer-wise rates, averaged weights, R-Drop, smooth labels

Adam's bias is corrected in all of them. The last epoch counts, nothing is chosen.
"""

from dataclasses import replace
from typing import Any

from cells import Cell, Places
from quality_cells import ROWS, Row, ours, recipe_of

from minibert.tasks.classification import Classification
from minibert.training.recipes import recipe_for

DATA = ("sst2", "financial_phrasebank")
CAP = 500
SEEDS = (0, 1, 2, 3, 4)
PLAIN: dict[str, Any] = {
    "train.learning_rate": 2e-4,
    "train.num_train_epochs": 5.0,
    "train.warmup_ratio": 0.1,
    "task.pooling": "mean",
}
REMEDIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "no warm-up": {"train.warmup_ratio": 0.0},
    "layer-wise rates": {"train.layerwise_lr_decay": 0.9},
    "averaged weights": {"train.ema_decay": 0.97},
    "R-Drop": {"train.r_drop_alpha": 1.0},
    "FGM": {"train.fgm_epsilon": 0.1},
    "smooth labels": {"task.label_smoothing": 0.1},
    "new top layers": {"data.reinit_layers": 2},
    "few_rows": recipe_for(Classification, "few_rows"),
}


def cells(places: Places) -> list[Cell]:
    """Return the cells: every remedy on every data set."""
    rows = [replace(row, cap=CAP) for row in ROWS if row.name in DATA]
    return [cell_of(row, name, places) for row in rows for name in REMEDIES]


def cell_of(row: Row, name: str, places: Places) -> Cell:
    """Return the cell of one remedy."""
    recipe = {**recipe_of(row), **PLAIN, **REMEDIES[name]}
    run = ours(row, recipe, places)
    return Cell(f"{row.name}, {CAP} rows", name, run, SEEDS, row.note(recipe), recipe)
