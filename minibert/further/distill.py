"""A model teaches another one: of fewer layers and faster, another encoder, or several teachers one student.

    teacher's layers, every other one -> student -> learns labels, soft targets, hidden states -> folder
    any encoder -> student with a new head -> learns labels, and what all teachers answered    -> folder
    an encoder that embeds, every other layer -> student -> learns its vectors, hidden states  -> folder

Texts without labels will do: the teachers say what they think of them. For int8 on a CPU see
`export --quantize int8`; the two go together.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minibert.adapt.merging import merged
from minibert.config import group, to_dict
from minibert.data.remote import local
from minibert.data.searches import read_all_texts
from minibert.errors import InputError
from minibert.finetune import first_rate, train_into
from minibert.further.lessons import DistillOptions, lesson_of_answers, lesson_of_layers
from minibert.further.settings import tell_unfitted, with_own, without_idle
from minibert.further.vectors import lesson_of_vectors, teacher_of
from minibert.interop.checkpoints import read_config
from minibert.interop.hub import local_folder
from minibert.output import allowed, describe_data
from minibert.output.record import describe_model
from minibert.tasks.given import read_examples, read_held
from minibert.tasks.model import Model
from minibert.training.distillation import Embedder
from minibert.training.finetuning import Settings, usual_rate


def distill(
    teacher: str | Path | Sequence[str | Path],
    *,
    train: str | Path | Sequence[Any],
    output_dir: str | Path,
    model: str | Path | None = None,
    validation: str | Path | Sequence[Any] | None = None,
    settings: dict[str, Any] | None = None,
    resume: bool = False,
    overwrite_output_dir: bool = False,
) -> Model:
    """Teach a student what the model in a folder knows, or those in several, and leave it in `output_dir`.

    teacher     a folder, or several for one student; an encoder without labels teaches its vectors
    train       a file or examples; rows without a label will do, for vectors any texts
    model       folder of an encoder that the student begins as, with a new head; None: the teacher's layers
    validation  labelled examples: the best student on them is kept
    settings    dotted keys such as {"distill.layers": 2, "train.num_train_epochs": 5}; with `model` also
                those of its head, {"task.pooling": "mean"}
    Raises InputError for unusable input and tasks whose loss tells no logits, before anything is trained.
    """
    folders = folders_of(teacher)
    first, several = teacher_of(folders[0]), len(folders) > 1
    options, tuned = settings_of(settings or {}, first, several=several, model=model)
    rows, held = read_rows(first, train), read_held(type(first.task), validation, options=tuned.task)
    tell_unfitted(first.task, held or model)
    if several or model is not None:
        begin, options = lesson_of_answers(folders, model, rows, options=options, settings=tuned)
    else:
        lesson = lesson_of_vectors if isinstance(first.task, Embedder) else lesson_of_layers
        begin, options = lesson(merged(first), rows, options, tuned.train)
    return train_into(
        output_dir,
        begin,
        held,
        settings=tuned,
        data={**describe_models(folders, model), "train": describe_data(rows)},
        free=allowed(resume, overwrite_output_dir, [*folders, model, train, validation]),
        own={"distill": to_dict(options)},
    )


def read_rows(teacher: Model, source: str | Path | Sequence[Any]) -> list[Any]:
    """Return the rows of a file, or those that are given; of what teaches vectors every text is one."""
    if isinstance(teacher.task, Embedder) and isinstance(source, str | Path):
        return read_all_texts(local(source))
    return read_examples(type(teacher.task), source)


def folders_of(teacher: str | Path | Sequence[str | Path]) -> list[str | Path]:
    """Return the teachers' folders; raises InputError where there is none."""
    folders = [teacher] if isinstance(teacher, str | Path) else list(teacher)
    if not folders:
        raise InputError("there is no teacher; give the folder of a model, or of several")
    return folders


def settings_of(
    values: dict[str, Any], teacher: Model, *, several: bool, model: str | Path | None
) -> tuple[DistillOptions, Settings]:
    """Sort settings into those of the lesson and those of training.

    Raises InputError for what only a student that is a part of its one teacher can be told, or only one that
    learns labels.
    """
    more = () if model is None else ("task",)
    values = without_idle(values, ("distill", "data", "train", *more))
    if model is None and (heads := [name for name in values if name.partition(".")[0] == "task"]):
        raise InputError(f"{heads[0]}: a part of the teacher has its head; options of a head go with model")
    given = group(values, ("distill", "data", "train", *more))["distill"]
    if isinstance(teacher.task, Embedder):
        refuse_labels(given, several=several, model=model)
    whole = None if model is None else read_config(local_folder(model)).num_hidden_layers
    if given.get("layers", whole) != whole and model is not None:
        raise InputError(f"layers {given['layers']}: the student has all {whole} of {model}; leave it out")
    if (several or model is not None) and given.get("hidden_weight"):
        raise InputError(
            f"hidden_weight {given['hidden_weight']}: only a student that is a part of its one teacher has "
            "hidden states that can be compared; leave it out"
        )
    rate = usual_rate(teacher.encoder.config.hidden_size) if model is None else first_rate(model)
    return with_own(values, "distill", DistillOptions, learning_rate=rate, more=more)


def refuse_labels(given: dict[str, Any], *, several: bool, model: str | Path | None) -> None:
    """Raise InputError for what a student cannot be told who learns the vectors of an encoder."""
    if several or model is not None:
        raise InputError(
            "the first teacher has no labels to teach but vectors, and those to a part of itself alone; "
            "leave the other teachers and model out, or fine-tune it first"
        )
    for name in ("temperature", "label_weight"):
        if given.get(name, 0) not in (0, getattr(DistillOptions(), name)):  # a record holds the usual ones
            raise InputError(f"{name} {given[name]}: vectors are learnt without labels; leave it out")


def describe_models(folders: Sequence[str | Path], model: str | Path | None) -> dict[str, Any]:
    """Return what the record says of the teachers, and of the encoder that the student begins as."""
    told = {
        f"teacher-{number}": describe_model(local_folder(folder)) for number, folder in enumerate(folders, 1)
    }
    return told if model is None else {**told, "model": describe_model(local_folder(model))}
