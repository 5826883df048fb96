"""Let a model teach a smaller one, or several teach one."""

import argparse
from typing import Any

from minibert.commands.flags import add_fields, chosen_settings
from minibert.commands.further_training import add_further_training
from minibert.commands.inputs import labelled_examples, named_columns
from minibert.commands.memory import keep_memory
from minibert.commands.parser import add_columns, add_command, add_output, add_resume
from minibert.data.remote import local
from minibert.data.searches import read_all_texts
from minibert.errors import InputError
from minibert.further.distill import distill
from minibert.further.lessons import DistillOptions
from minibert.further.settings import with_own
from minibert.further.vectors import teacher_of
from minibert.tasks.classification import ClassificationOptions
from minibert.tasks.model import Model
from minibert.tasks.task import Task
from minibert.training.distillation import Embedder


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "distill",
        run,
        usage="--teacher DIR [DIR ...] (--train-file FILE | --file FILE) --output-dir DIR [options]",
        about="teach a model of fewer layers, or another encoder, what larger ones know",
        example="minibert distill --teacher runs/clf --layers 3 --train-file train.csv --file more.txt "
        "--validation-file dev.csv --output-dir runs/clf-small",
    )
    teachers = (
        "folder of a fine-tuned model; several (classification, cloze) are heard together. An encoder "
        "without labels teaches its vectors"
    )
    parser.add_argument("--teacher", required=True, nargs="+", action="extend", metavar="DIR", help=teachers)
    encoder = "folder of an encoder that the student begins as (default: every other layer of the teacher)"
    parser.add_argument("--model", metavar="DIR", help=encoder)
    rows = "labelled rows to learn from; for vectors any texts or pairs"
    parser.add_argument("--train-file", metavar="FILE", help=rows)
    texts = "texts without labels; with them, a teacher whose layers the student has is heard alone"
    parser.add_argument("--file", metavar="FILE", help=texts)
    held = (
        "labelled rows (for vectors: pairs), held out: the best student on them is kept, and compared with "
        "the teacher"
    )
    parser.add_argument("--validation-file", metavar="FILE", help=held)
    add_output(parser, "folder for the student, its checkpoints and its log")
    add_resume(parser)
    add_columns(parser)
    add_fields(parser, "lesson", DistillOptions(), group="distill")
    add_fields(parser, "classification (with --model)", ClassificationOptions(), group="task")
    add_further_training(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Teach a student; with validation rows, say how much of the teachers it has."""
    settings = chosen_settings(
        args, lambda values: with_own(values, "distill", DistillOptions, more=("task",))
    )
    if not args.train_file and not args.file:
        raise InputError("nothing to learn from; give --train-file, --file (texts without labels), or both")
    kind = type(teacher_of(args.teacher[0]).task)
    rows = rows_to_learn(kind, args)
    held = labelled_examples(kind, args.validation_file, args) if args.validation_file else None
    keep_memory()
    student = distill(
        args.teacher,
        train=rows,
        output_dir=args.output_dir,
        model=args.model,
        validation=held,
        settings=settings,
        resume=args.resume,
        overwrite_output_dir=args.overwrite_output_dir,
    )
    print(f"the student is in {args.output_dir}")
    several = len(args.teacher) > 1
    names = [f"teacher-{number}" if several else "teacher" for number in range(1, len(args.teacher) + 1)]
    known = {name: told(teacher_of(folder), held) for name, folder in zip(names, args.teacher, strict=True)}
    return {
        "output_dir": args.output_dir,
        "task": student.task.name,
        **known,
        "student": told(student, held),
    }


def rows_to_learn(kind: type[Task], args: argparse.Namespace) -> list[Any]:
    """Read what the student learns from."""
    if issubclass(kind, Embedder):
        files = [file for file in (args.train_file, args.file) if file]
        return [text for file in files for text in read_all_texts(local(file), named_columns(kind, args))]
    rows = labelled_examples(kind, args.train_file, args) if args.train_file else []
    if args.file:
        rows += kind.read_unanswered(args.file, named_columns(kind, args))
    return rows


def told(model: Model, held: list[Any] | None) -> dict[str, Any]:
    """Return how large a model is, and how good on rows that were held out."""
    scores = model.evaluate(held) if held else {}
    return {
        "layers": len(model.encoder.blocks),
        "weights": sum(weight.numel() for weight in model.parameters()),
        **{metric: value for metric, value in scores.items() if isinstance(value, float)},
    }
