"""Let a model teach a smaller one."""

import argparse
from typing import Any

from minibert.commands.flags import add_fields, chosen_settings
from minibert.commands.further_training import add_further_training
from minibert.commands.inputs import labelled_examples, named_columns
from minibert.commands.memory import keep_memory
from minibert.commands.parser import add_columns, add_command, add_output, add_resume
from minibert.errors import InputError
from minibert.further.distill import DistillOptions, distill
from minibert.further.settings import opened_for_training, with_own


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "distill",
        run,
        usage="--teacher DIR --layers N (--train-file FILE | --file FILE) --output-dir DIR [options]",
        about="teach a model of fewer layers what a fine-tuned one knows",
        example="minibert distill --teacher runs/clf --layers 3 --train-file train.csv --file more.txt "
        "--validation-file dev.csv --output-dir runs/clf-small",
    )
    parser.add_argument("--teacher", required=True, metavar="DIR", help="folder of a fine-tuned model")
    parser.add_argument("--train-file", metavar="FILE", help="labelled rows to learn from")
    texts = "texts without labels; with them the teacher alone is heard"
    parser.add_argument("--file", metavar="FILE", help=texts)
    held = "labelled rows, held out: the best student on them is kept, and compared with the teacher"
    parser.add_argument("--validation-file", metavar="FILE", help=held)
    add_output(parser, "folder for the student, its checkpoints and its log")
    add_resume(parser)
    add_columns(parser)
    add_fields(parser, "lesson", DistillOptions(), group="distill")
    add_further_training(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Teach a student; with validation rows, say how much of the teacher it has."""
    settings = chosen_settings(args, lambda values: with_own(values, "distill", DistillOptions))
    if not args.train_file and not args.file:
        raise InputError("nothing to learn from; give --train-file, --file (texts without labels), or both")
    teacher = opened_for_training(args.teacher)
    kind = type(teacher.task)
    rows = labelled_examples(kind, args.train_file, args) if args.train_file else []
    if args.file:
        rows += kind.read_unanswered(args.file, named_columns(kind, args))
    held = labelled_examples(kind, args.validation_file, args) if args.validation_file else None
    keep_memory()
    student = distill(
        args.teacher,
        train=rows,
        validation=held,
        output_dir=args.output_dir,
        settings=settings,
        resume=args.resume,
        overwrite_output_dir=args.overwrite_output_dir,
    )
    print(f"the student is in {args.output_dir}")
    result: dict[str, Any] = {"output_dir": args.output_dir, "task": kind.name}
    for name, model in (("teacher", teacher), ("student", student)):
        scores = model.evaluate(held) if held else {}
        result[name] = {
            "layers": len(model.encoder.blocks),
            "weights": sum(weight.numel() for weight in model.parameters()),
            **{metric: value for metric, value in scores.items() if isinstance(value, float)},
        }
    return result
