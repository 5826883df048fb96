"""Learn one file after the other, without losing what the earlier ones taught."""

import argparse
from typing import Any

from minibert.adapt.options import AdaptOptions
from minibert.commands.flags import add_fields, chosen_settings
from minibert.commands.further_training import add_further_training
from minibert.commands.inputs import labelled_examples
from minibert.commands.memory import keep_memory
from minibert.commands.parser import add_columns, add_command, add_output, add_resume
from minibert.further.learn_on import learn_on, names_of, settings_of
from minibert.further.methods import LearnOptions
from minibert.further.transfer import Transfer
from minibert.tasks.classification import Classification, ClassificationOptions


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "learn",
        run,
        usage="--model DIR --train-file A B C --validation-file A B C --output-dir DIR [options]",
        about="learn new classes or texts, file after file, without forgetting the earlier ones",
        example="minibert learn --model runs/enc --method replay --train-file a.csv b.csv c.csv "
        "--validation-file a-dev.csv b-dev.csv c-dev.csv --output-dir runs/learnt",
    )
    parser.add_argument("--model", required=True, metavar="DIR", help="folder of a classifier or an encoder")
    parts = "labelled rows, a file for each part, in the order in which they are learnt"
    parser.add_argument("--train-file", required=True, nargs="+", action="extend", metavar="FILE", help=parts)
    asked = "labelled rows of the same parts, held out: all are asked after each"
    parser.add_argument(
        "--validation-file", required=True, nargs="+", action="extend", metavar="FILE", help=asked
    )
    add_output(parser, "folder for the model, learn.json and the run of each part")
    add_resume(parser)
    add_columns(parser)
    add_fields(parser, "learning on", LearnOptions(), group="learn")
    add_fields(parser, "classification (where --model is an encoder)", ClassificationOptions(), group="task")
    add_fields(
        parser,
        "adapters (--method adapters)",
        AdaptOptions("lora"),
        group="adapt",
        without=("cache_features",),
    )
    add_further_training(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Learn the parts, print the matrix of accuracies and return what it says."""
    settings = chosen_settings(args, settings_of)
    train, asked = (
        [labelled_examples(Classification, path, args) for path in paths]
        for paths in (args.train_file, args.validation_file)
    )
    keep_memory()
    _, found = learn_on(
        args.model,
        train=train,
        validation=asked,
        output_dir=args.output_dir,
        settings=settings,
        resume=args.resume,
        overwrite_output_dir=args.overwrite_output_dir,
    )
    named = Transfer(found.matrix, names_of(args.train_file))
    print(named.table())
    print("  ".join(f"{name} {value:.4f}" for name, value in named.summary.items()))
    return {"output_dir": args.output_dir, "parts": named.names, "matrix": named.matrix, **named.summary}
