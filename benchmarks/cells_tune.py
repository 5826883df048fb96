"""What a search for settings gives: `minibert tune`, beside settings that nobody searched for.

    defaults   `minibert finetune` with no flag but the length of texts
    few_rows   `--recipe few_rows`
    tuned      the best of twelve trials on 300 further rows, trained anew, of which the best epoch on them is
               kept; so it has seen 300 labels more, and its minutes are those of search and training

Five hundred rows are trained on, alike for all; the rows that are scored were never looked at before.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cells import Cell, Places
from quality_cells import ROWS, Row, numbers, read

from minibert.finetune import finetune
from minibert.tasks.classification import Classification
from minibert.training.recipes import recipe_for
from minibert.tune.search import tune
from minibert.tune.space import parse_space

DATA = ("sst2", "financial_phrasebank")
TRAINED, CHOSEN, TRIALS = 500, 300, 12
SPACE = (
    "recipe=plain|few_rows",
    "train.learning_rate=5e-5..1e-3:log",
    "train.num_train_epochs=2..8",
    "train.train_batch_size=16|32",
    "task.pooling=first|mean",
)
SAME = {"task.max_length": 128, "train.precision": "bf16", "data.progress": False}


def cells(places: Places) -> list[Cell]:
    """Return the cells: three ways to settings on each set."""
    rows = [replace(row, cap=TRAINED + CHOSEN) for row in ROWS if row.name in DATA]
    ways: dict[str, dict[str, Any]] = {
        "defaults": {},
        "few_rows": recipe_for(Classification, "few_rows"),
        "tuned": {"tune.space": list(SPACE), "tune.trials": TRIALS},
    }
    return [cell_of(row, name, {**SAME, **recipe}, places) for row in rows for name, recipe in ways.items()]


def cell_of(row: Row, name: str, recipe: dict[str, Any], places: Places) -> Cell:
    """Return the cell of one way."""
    note = f"{TRAINED} training rows, at most {row.max_length} tokens"
    if name == "tuned":
        note += f"; {TRIALS} trials judged on {CHOSEN} more"
    return Cell(
        f"{row.name}, {TRAINED} rows", name, run_of(row, name, recipe, places), note=note, recipe=recipe
    )


def run_of(row: Row, name: str, recipe: dict[str, Any], places: Places) -> Callable[[int], dict[str, float]]:
    """Return what looks for settings, if it is to, trains by them and scores."""

    def run(seed: int) -> dict[str, float]:
        rows, held = read(row, places.data)
        train, chosen = rows[:TRAINED], rows[TRAINED:]
        told = {key: value for key, value in recipe.items() if not key.startswith("tune.")}
        common: dict[str, Any] = {"task": row.task, "train": train}
        more: dict[str, float] = {}
        with tempfile.TemporaryDirectory(dir=places.scratch) as folder:
            if name == "tuned":
                found = tune(
                    places.english,
                    **common,
                    validation=chosen,
                    space=parse_space(SPACE),
                    output_dir=Path(folder) / "search",
                    trials=TRIALS,
                    settings={**told, "train.seed": seed},
                )
                common["validation"] = chosen
                told, more = found.settings, {"accuracy in the search": found.score, "pruned": found.pruned}
            settings = {**told, "train.seed": seed, "data.progress": False}
            model = finetune(places.english, **common, output_dir=Path(folder) / "model", settings=settings)
        return {**numbers(model.evaluate(held)), **more}

    return run
