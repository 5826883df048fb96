"""One part of the data after the other, by one model: what it learns, and what becomes of what it knew.

    for each part: the head gets rows for new classes -> training, by a method -> all parts are asked

A part's rows are there while it is learnt and never again, but for what the method keeps. Nothing is chosen
on the rows that are asked: the last epoch counts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from minibert.checkpoint import read_json, replace_json
from minibert.config import to_dict
from minibert.errors import InputError
from minibert.finetune import Settings, batches_of, open_for_task, reopened, train_into
from minibert.further.growing import classifier_of, grown
from minibert.further.methods import LearnOptions, Method, method_of
from minibert.further.settings import rate_for, tell_unfitted, with_own
from minibert.further.transfer import Transfer
from minibert.interop.hub import local_folder
from minibert.interop.opening import load
from minibert.output import allowed, claimed, describe_data, is_done, locked, publish_model
from minibert.output.record import describe_model
from minibert.tasks.classification import Classification
from minibert.tasks.given import read_answered, read_held
from minibert.tasks.model import TASKS, Model
from minibert.training.loop import Run

REPORT = "learn.json"
Rows = str | Path | Sequence[Any]


def learn_on(
    model: str | Path,
    *,
    train: Sequence[Rows],
    validation: Sequence[Rows],
    output_dir: str | Path,
    settings: dict[str, Any] | None = None,
    resume: bool = False,
    overwrite_output_dir: bool = False,
) -> tuple[Model, Transfer]:
    """Learn parts one after the other; leave the model, `learn.json` and each part's run in `output_dir`.

    model       folder of a classifier, which knows some classes, or of an encoder, which knows none yet
    train       files or lists of examples, one for each part; a part may bring new labels, or known ones
    validation  as many, of the same parts: all are asked after each
    settings    dotted keys such as {"learn.method": "ewc", "train.num_train_epochs": 5}
    resume      parts that were learnt to their end are opened, the next goes on from its newest checkpoint

    Returns the model and what became of every part. Raises InputError before anything is trained.
    """
    model = local_folder(model)
    options, tuned = settings_of(settings or {}, learning_rate=rate_for(model))
    rows, asked = parts_of(train, validation)
    torch.manual_seed(tuned.train.seed)
    opened = opened_classifier(model, rows[0], learnt=(learnt := knows_classes(model)), settings=tuned)
    method = method_of(options, tuned, opened, learnt=learnt)
    free = allowed(resume, overwrite_output_dir, [model, train, validation])
    with locked(output_dir, **free) as output:
        with claimed(output, **free):
            check_readable(opened, rows)
            method.check(rows)
        matrix = [accuracies(opened, asked)]
        base, own = {"model": describe_model(model)}, {"learn": to_dict(options)}
        for number, part in enumerate(rows, 1):
            into = output / f"part-{number}"
            opened = learn_part(opened, part, into, method, settings=tuned, own=own, base=base, resume=resume)
            matrix.append(accuracies(made := method.whole(opened), asked))
        found = Transfer(tuple(matrix), names_of(train))
        leave(made, found, output, {"model": str(model), "settings": to_dict(options)})
    return made.eval(), found


def settings_of(values: dict[str, Any], *, learning_rate: float = 2e-4) -> tuple[LearnOptions, Settings]:
    """Sort settings into the method's and those of training; a method of adapters that names none has LoRA.

    Raises InputError for an adapter with another method.
    """
    more = ("task", "adapt")
    options, tuned = with_own(values, "learn", LearnOptions, learning_rate=learning_rate, more=more)
    kind, wanted = tuned.adapt.adapter, options.method == "adapters"
    if tuned.adapt.cache_features:
        raise InputError("cache_features is for finetune; leave it out")
    if tuned.task.get("calibrate"):
        raise InputError(
            "calibrate is for finetune: no part is validated on while it is learnt; leave it out"
        )
    if wanted and kind == "none":
        if "adapt.adapter" in values or "adapter" in values.get("adapt", {}):
            raise InputError("method adapters trains adapters, and adapter is none; leave one of them out")
        return settings_of({**values, "adapt.adapter": "lora"}, learning_rate=learning_rate)
    if not wanted and kind != "none":
        raise InputError(f"adapter {kind} goes with method adapters, and the method is {options.method}")
    return options, tuned


def check_readable(model: Model, parts: Sequence[Sequence[Any]]) -> None:
    """Find what cannot be learnt, such as a text that is too long, before anything is trained."""
    every = [row for part in parts for row in part]
    grown(model, every).encode(every)


def parts_of(train: Sequence[Rows], validation: Sequence[Rows]) -> tuple[list[list[Any]], list[list[Any]]]:
    """Return the examples to learn and those to be asked, part by part."""
    if len(train) != len(validation) or not train:
        raise InputError(
            f"{len(train)} parts to learn and {len(validation)} to be asked; give a validation file for each"
        )
    asked = [read_held(Classification, source) for source in validation]
    return [read_answered(Classification, source) for source in train], asked


def leave(model: Model, found: Transfer, output: Path, told: dict[str, Any]) -> None:
    """Put the model and what is known of its parts into the output folder."""
    publish_model(model, output)
    told = {"parts": found.names, "matrix": found.matrix, **found.summary, **told}
    replace_json(output / REPORT, told)


def learn_part(
    model: Model,
    rows: Sequence[Any],
    place: Path,
    method: Method,
    *,
    settings: Settings,
    own: dict[str, Any],
    base: dict[str, Any],
    resume: bool,
) -> Model:
    """Learn one part into a folder of its own, or open it where that has been done; return the model.

    own, base  what its record keeps: the method's options, and the model before the first part
    """
    told, data = {**to_dict(settings), **own}, {**base, "train": describe_data(rows)}
    if is_done(place, told, {**data, "validation": describe_data([])}, resume=resume):
        made = reopened(place, settings.train)  # what is kept depends on the precision
        method.keep(made, rows)
        return made
    known = len(classifier_of(model, place).labels)
    torch.manual_seed(settings.train.seed)
    made = method.begin(model, rows)

    def begin() -> Run:
        batches = method.batches(batches_of(made.task, rows, settings.train), made)
        made.task.weigh(*method.shown(rows))
        run = Run(made, batches, settings.train)
        run.objective = method.objective(run.objective, made, known)
        return run

    free = {"resume": resume, "overwrite": False}
    made = train_into(place, begin, [], settings=settings, data=data, free=free, own=own)
    method.keep(made, rows)
    return made


def knows_classes(folder: Path) -> bool:
    """Tell whether a folder holds a classifier, ours or Hugging Face's, and not an encoder alone."""
    if (folder / "task.json").is_file():
        name = str(read_json(folder / "task.json").get("task"))
        return name not in TASKS or TASKS[name].Options is not None  # pretraining has none
    made_for = read_json(folder / "config.json").get("architectures") or [""]
    return str(made_for[0]).endswith("ForSequenceClassification")


def opened_classifier(folder: Path, rows: Sequence[Any], *, learnt: bool, settings: Settings) -> Model:
    """Open a classifier as it is, or put a new head for the first part's labels on an encoder."""
    if not learnt:
        return open_for_task(folder, Classification, rows, settings=settings)
    if settings.task:
        raise InputError(f"task.{min(settings.task)}: {folder} is a classifier already; leave it out")
    model = load(folder)
    tell_unfitted(classifier_of(model, folder), None)
    return model


def accuracies(model: Model, asked: Sequence[Sequence[Any]]) -> tuple[float, ...]:
    """Return the share of right answers in each part; a label that the model does not know is missed."""
    found = []
    for rows in asked:
        answers = model.predict([model.task.unanswered(row) for row in rows])
        found.append(sum(a.label == str(row.label) for a, row in zip(answers, rows, strict=True)) / len(rows))
    return tuple(found)


def names_of(parts: Sequence[Rows]) -> tuple[str, ...]:
    """Name parts after their files, or by number where they are lists or their files are called alike."""
    names = tuple(Path(part).stem if isinstance(part, str | Path) else "" for part in parts)
    return names if len({*names}) == len(names) and all(names) else tuple(map(str, range(1, len(parts) + 1)))
