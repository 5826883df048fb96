"""Train a model again on newer data, and keep the old one unless the new one is better."""

import argparse
from dataclasses import asdict
from typing import Any

from minibert.commands.flags import add_fields, chosen_settings
from minibert.commands.further_training import add_further_training
from minibert.commands.inputs import labelled_examples
from minibert.commands.memory import keep_memory
from minibert.commands.parser import add_columns, add_command, add_output, add_resume
from minibert.further.settings import opened_for_training, with_own
from minibert.further.update import UpdateOptions, update


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "update",
        run,
        usage="--model DIR --train-file FILE [FILE ...] --kept-file FILE --output-dir DIR [options]",
        about="train a model on newer rows; take it only if it is better than the old one on kept rows",
        example="minibert update --model runs/clf --train-file new.csv old.csv --kept-file kept.csv "
        "--output-dir runs/clf-2\n"
        "  exit status: 0 the new model was taken, 1 the old one stays",
    )
    parser.add_argument(
        "--model", required=True, metavar="DIR", help="folder of the model that is served now"
    )
    rows = "labelled rows to learn from: new ones, and old ones against forgetting"
    parser.add_argument("--train-file", required=True, nargs="+", action="extend", metavar="FILE", help=rows)
    kept = "labelled rows that both models answer; never trained on, even if they stand in --train-file"
    parser.add_argument("--kept-file", required=True, metavar="FILE", help=kept)
    held = "other rows that are not trained on: the best epoch on them is the candidate"
    parser.add_argument("--validation-file", metavar="FILE", help=held)
    add_output(parser, "folder for the better model, the candidate and update.json")
    add_resume(parser)
    add_columns(parser)
    add_fields(parser, "verdict", UpdateOptions(), group="update")
    add_further_training(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Update a model and tell whether the new one was taken."""
    settings = chosen_settings(args, lambda values: with_own(values, "update", UpdateOptions))
    kind = type(opened_for_training(args.model).task)
    held = labelled_examples(kind, args.validation_file, args) if args.validation_file else None
    train = [row for path in args.train_file for row in labelled_examples(kind, path, args)]
    kept = labelled_examples(kind, args.kept_file, args)
    keep_memory()
    done = update(
        args.model,
        train=train,
        kept=kept,
        validation=held,
        output_dir=args.output_dir,
        settings=settings,
        resume=args.resume,
        overwrite_output_dir=args.overwrite_output_dir,
    )
    print(f"{'the new model is taken' if done.accepted else 'the old model stays'}: {done.reason}")
    told = {"output_dir": args.output_dir, **asdict(done.comparison)}
    return {**told, "ok": done.accepted}
