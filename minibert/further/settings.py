"""Settings of whatever trains a model further: its own group beside the groups `data` and `train`.

Task and model are those of the folder that is opened, so there are no such groups.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from minibert.adapt.options import AdaptOptions
from minibert.config import from_dict, group, to_dict
from minibert.errors import InputError
from minibert.finetune import Settings, first_rate
from minibert.interop.export import thresholds_of
from minibert.interop.hub import local_folder
from minibert.interop.kinds import lies_over_a_base
from minibert.interop.opening import load
from minibert.tasks.classification import Classification
from minibert.tasks.model import Model
from minibert.tasks.task import Task
from minibert.training.finetuning import usual_rate

C = TypeVar("C")


def with_own(
    values: dict[str, Any],
    name: str,
    kind: type[C],
    *,
    learning_rate: float = 2e-4,
    more: Sequence[str] = (),
) -> tuple[C, Settings]:
    """Sort dotted keys or nested tables into the options `name` and those of training.

    learning_rate  the one for values that name none
    more           groups that are allowed beside `data` and `train`
    Raises InputError for an unknown group or key.

    >>> from minibert.training.config import TrainingConfig
    >>> own, settings = with_own({"own.seed": 7, "train.max_steps": 9}, "own", TrainingConfig)
    >>> own.seed, settings.train.max_steps
    (7, 9)
    """
    allowed = (name, "data", "train", *more)
    groups = group(without_idle(values, allowed), allowed)
    own = from_dict(kind, groups.pop(name), where=name)
    return own, Settings.of(groups, learning_rate=learning_rate)


def without_idle(values: dict[str, Any], allowed: Sequence[str]) -> dict[str, Any]:
    """Leave out groups that are not allowed and say nothing: the record of a run holds them all.

    >>> values = {"train": {"seed": 7}, "model": {}, "adapt.adapter": "none", "task.pooling": "mean"}
    >>> without_idle(values, ["train"])
    {'train': {'seed': 7}, 'task.pooling': 'mean'}
    """
    usual = to_dict(AdaptOptions())
    idle = {"task": {}, "model": {}, "adapt": usual, **{f"adapt.{key}": usual[key] for key in usual}}
    return {
        name: value
        for name, value in values.items()
        if name.partition(".")[0] in allowed or name not in idle or value not in ({}, idle[name])
    }


def opened_for_training(folder: str | Path) -> Model:
    """Open a model that knows labels; raises InputError for an encoder that was only pretrained."""
    model = load(folder)
    if type(model.task).Options is None:
        raise InputError(f"{folder} is a pretrained encoder and knows no labels; fine-tune it first")
    return model


def rate_for(folder: str | Path) -> float:
    """Return the learning rate for whoever names none: by the width, and for an adapter by its kind."""
    if not lies_over_a_base(local_folder(folder)):
        return first_rate(folder)
    model = load(folder)
    assert model.adaptation is not None
    options = from_dict(AdaptOptions, model.adaptation.options, where=str(folder))
    return usual_rate(model.encoder.config.hidden_size) * options.rate_factor


def tell_unfitted(task: Task, fits: Any) -> None:
    """Say on stderr what was fitted to an earlier model and stays, unless something there `fits` it anew."""
    kept = [f"{name} {value}" for name, value in thresholds_of(task).items() if name != "reject_label"]
    kept += ["the temperature"] if isinstance(task, Classification) and task.options.calibrate else []
    if kept and not fits:
        told = f"{', '.join(kept)} of the earlier model stays: no validation data fit it anew"
        print(f"  {told}", file=sys.stderr)
