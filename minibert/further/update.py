"""A model is trained again on newer data, and takes the old one's place only if it is better.

    old model + new rows (and old ones) -> candidate -> both answer the kept rows -> the better one

The output folder holds the better model in either case, so whoever serves from it is never served worse;
`candidate/` in it holds the new model and the log of its training, `update.json` the verdict and its reasons.
The kept rows are for the verdict alone: what of them stands in the training rows is not trained on.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from minibert.checkpoint import replace_json
from minibert.config import to_dict
from minibert.data.batches import ExampleBatches
from minibert.distributed.ranks import Ranks
from minibert.errors import InputError
from minibert.finetune import Settings, batches_of, reopened, train_into
from minibert.further.comparison import Comparison, compare, disagreements, mcnemar
from minibert.further.growing import grown
from minibert.further.settings import opened_for_training, rate_for, tell_unfitted, with_own
from minibert.interop.opening import load
from minibert.output import allowed, claimed, describe_data, is_done, locked, publish_model
from minibert.output.record import describe_model
from minibert.tasks.given import read_answered, read_held
from minibert.tasks.model import Model
from minibert.tasks.task import Task, Window
from minibert.training.config import TrainingConfig
from minibert.training.loop import Run, place

VERDICT = "update.json"


@dataclass(frozen=True)
class UpdateOptions:
    """When a new model is taken.

    margin      by how much its score must be higher; below 0, by how much it may be lower
    confidence  in which share of the resampled kept sets it must be so
    """

    margin: float = 0.0
    confidence: float = 0.95
    resamples: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.confidence <= 1:
            raise InputError(f"confidence {self.confidence} must be above 0 and at most 1; 0.95 is usual")
        if self.resamples < 1:
            raise InputError(f"resamples {self.resamples} must be at least 1; 1000 is usual")


@dataclass(frozen=True)
class Updated:
    """The model that is served from now on, and why.

    accepted  whether it is the new one
    """

    model: Model
    accepted: bool
    reason: str
    comparison: Comparison


def update(
    model: str | Path,
    *,
    train: str | Path | Sequence[Any],
    kept: str | Path | Sequence[Any],
    output_dir: str | Path,
    validation: str | Path | Sequence[Any] | None = None,
    settings: dict[str, Any] | None = None,
    resume: bool = False,
    overwrite_output_dir: bool = False,
) -> Updated:
    """Train the model in a folder further; leave the better of old and new, on kept rows, in `output_dir`.

    train, kept  files, or lists of examples; labels that are new to a classifier get a class of their own
    validation   rows that choose the best epoch, if any; not the kept ones
    settings     dotted keys such as {"update.margin": 0.005, "train.num_train_epochs": 2}

    Raises InputError for unusable input, before anything is trained.
    """
    opened = opened_for_training(model)
    chosen, tuned = with_own(settings or {}, "update", UpdateOptions, learning_rate=rate_for(model))
    kind = type(opened.task)
    judges = read_answered(kind, kept, what="kept example")
    rows = apart(kind, read_answered(kind, train), judges)
    held = held_apart(opened.task, validation, judges)
    torch.manual_seed(tuned.train.seed)
    made = grown(opened, rows)
    free = allowed(resume, overwrite_output_dir, [model, train, kept, validation])
    with locked(output_dir, **free) as output:
        with claimed(output, **free):
            batches = batches_for(made, rows, held, tuned.train)
            old = answers_before(opened, rows, judges, tuned.train)
        data = {"model": describe_model(Path(model)), "train": describe_data(rows)}
        made = train_or_open(
            output / "candidate", lambda: Run(made, batches, tuned.train), held, data=data, resume=resume,
            settings=tuned if held else without_metric(tuned),
        )  # fmt: skip
        metric = tuned.train.metric_for_best_model
        return settle(made, Path(model), judges, old=old, output=output, options=chosen, metric=metric)


def held_apart(task: Task, validation: Any, judges: Sequence[Any]) -> list[Any]:
    """Read the rows that choose the epoch, without the kept ones; stderr says what nothing fits anew."""
    read = read_held(type(task), validation)
    held = apart(type(task), read, judges, use="validation") if read else []
    tell_unfitted(task, held)
    return held


def answers_before(
    model: Model, rows: Sequence[Any], judges: Sequence[Any], config: TrainingConfig
) -> list[Any]:
    """Return what the old model answers, while the encoder that the new one shares with it is what it was."""
    before = grown(model, rows, silent=True)
    place(before, config, Ranks.here())  # rounded as the new one will be, or the two are not alike
    return before.predict(judges)


def without_metric(settings: Settings) -> Settings:
    """Return the settings of a run that chooses no epoch: the metric is that of the verdict alone."""
    return replace(settings, train=replace(settings.train, metric_for_best_model=None))


def batches_for(
    model: Model, rows: Sequence[Any], held: Sequence[Any], config: TrainingConfig
) -> ExampleBatches[Window, Any]:
    """Return the batches of the rows to train on; raises InputError for a held one that cannot be read."""
    batches = batches_of(model.task, rows, config)
    model.task.weigh(rows)
    model.encode(held)
    return batches


def train_or_open(
    folder: Path,
    begin: Callable[[], Run],
    held: Sequence[Any],
    *,
    settings: Settings,
    data: dict[str, Any],
    resume: bool,
) -> Model:
    """Train into a folder of an output folder; resumed, open what was trained to its end there."""
    if is_done(folder, to_dict(settings), {**data, "validation": describe_data(held)}, resume=resume):
        return reopened(folder, settings.train)
    free = {"resume": resume, "overwrite": False}
    return train_into(folder, begin, held, settings=settings, data=data, free=free)


def apart(kind: type[Task], rows: list[Any], judges: Sequence[Any], *, use: str = "training") -> list[Any]:
    """Leave out of some rows the texts that the verdict is made on, whatever their labels; say how many."""
    seen = {repr(kind.unanswered(row)) for row in judges}  # which a list in an example does no harm
    free = [row for row in rows if repr(kind.unanswered(row)) not in seen]
    if len(free) < len(rows):
        shared = len(rows) - len(free)
        print(f"  {shared:,} of {len(rows):,} {use} rows are kept rows, and left out", file=sys.stderr)
    if not free:
        raise InputError(f"all {len(rows):,} {use} rows are kept rows; the verdict needs rows of its own")
    return free


def settle(
    made: Model,
    before: Path,
    judges: Sequence[Any],
    *,
    old: Sequence[Any],
    output: Path,
    options: UpdateOptions,
    metric: str | None,
) -> Updated:
    """Compare both models' answers, publish the better one and write the verdict; return it."""
    task, new = made.task, made.predict(judges)
    found = compare(
        task,
        judges,
        old=old,
        new=new,
        metric=metric,
        margin=options.margin,
        resamples=options.resamples,
    )
    accepted = found.beyond >= options.confidence
    reason = reason_of(found, options, accepted)
    model = made if accepted else load(before)
    publish_model(model, output)
    first, second = task.choices(old, judges), task.choices(new, judges)
    places: dict[str, Any] = {}
    if first is not None and second is not None:
        only_old, only_new = disagreements(first, second)
        places = {"only_old": only_old, "only_new": only_new, "mcnemar_p": mcnemar(only_old, only_new)}
    verdict = {"accepted": accepted, "reason": reason, **asdict(found), "gain": found.gain, **places}
    told = {"model": describe_model(before), "kept": describe_data(judges), "settings": to_dict(options)}
    replace_json(output / VERDICT, {**verdict, **told})
    return Updated(model, accepted, reason, found)


def reason_of(found: Comparison, options: UpdateOptions, accepted: bool) -> str:
    """Say in one sentence why a model was taken or not."""
    verb = "is above" if accepted else "is not surely above"
    return (
        f"{found.metric} {found.old:.4f} -> {found.new:.4f}: the gain {found.gain:+.4f} "
        f"[{found.low:+.4f}, {found.high:+.4f}] {verb} {options.margin:g}; it is in {found.beyond:.1%} of "
        f"{options.resamples:,} draws, {options.confidence:.1%} are wanted"
    )
