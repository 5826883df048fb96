"""Named recipes: settings of a fine-tuning run that were measured together, and can be asked for by one word.

"few_rows" is for some hundred to some thousand rows: more epochs, with what helped when it was measured
(docs/07-training.md has the figures). A run takes about three times as long.
"""

from dataclasses import fields
from typing import Any

from minibert.errors import InputError
from minibert.tasks.task import Task

RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "few_rows": {
        "train.num_train_epochs": 5.0,
        "train.layerwise_lr_decay": 0.9,
        "train.ema_decay": 0.97,
        "train.r_drop_alpha": 1.0,
        "task.label_smoothing": 0.1,
        "task.pooling": "mean",
    },
}


def recipe_for(kind: type[Task], name: str) -> dict[str, Any]:
    """Return the settings of a recipe that a task can follow, by their dotted keys.

    Options that the task does not have are left out, and R-Drop where its loss tells no logits of classes.
    Raises InputError for a recipe that does not exist.
    """
    if name not in RECIPES:
        raise InputError(f"recipe {name!r} is unknown; use one of {', '.join(RECIPES)}")
    options = set() if kind.Options is None else {f"task.{field.name}" for field in fields(kind.Options)}
    left_out = set() if kind.logits_of == "classes" else {"train.r_drop_alpha"}
    return {
        key: value
        for key, value in RECIPES[name].items()
        if key not in left_out and (not key.startswith("task.") or key in options)
    }
