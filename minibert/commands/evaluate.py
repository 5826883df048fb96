"""Compare a model's predictions with labelled examples."""

import argparse
import sys
from typing import Any

from minibert.commands.inputs import labelled_examples, open_for_labels
from minibert.commands.parser import add_base, add_columns, add_command, add_model
from minibert.finetune import long_ones, tell_long
from minibert.tasks.metrics import classification_report, confusion_matrix, format_confusion, format_report


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "evaluate",
        run,
        usage="--model DIR --file FILE [options]",
        about="compare a model's predictions with labelled examples",
        example="minibert evaluate --model runs/clf --file test.csv",
    )
    add_model(parser, "folder of the model")
    add_base(parser)
    parser.add_argument("--file", required=True, metavar="FILE", help="labelled examples")
    add_columns(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Print the report by class and the confusion matrix, where there are classes; return the scores."""
    model = open_for_labels(args)
    examples = labelled_examples(type(model.task), args.file, args)
    windows = model.encode(examples)
    tell_long(long_ones(windows, model.task), model.task.max_length)
    answers = model.predict(examples, windows=windows, progress=sys.stderr.isatty())
    scores = model.task.score(answers, examples)
    chosen = model.task.choices(answers, examples)
    if chosen is not None:
        gold, predicted, labels = chosen.gold, chosen.predicted, chosen.labels
        print(format_report(classification_report(gold, predicted, labels)), end="\n\n")
        print(format_confusion(confusion_matrix(gold, predicted, labels), labels), end="\n\n")
    for name, value in scores.get("per_type", {}).items():
        ratios = "  ".join(f"{ratio} {value[ratio]:.4f}" for ratio in ("precision", "recall", "f1"))
        print(f"spans of {name}: {ratios}")
    print("  ".join(f"{name} {value:.4f}" for name, value in scores.items() if isinstance(value, float)))
    return {"model": args.model, "file": args.file, "examples": len(examples), **scores}
