"""Compare a model's predictions with labelled examples."""

import argparse
import sys
from pathlib import Path
from typing import Any

from minibert.commands.inputs import check_report, labelled_examples, open_for_labels
from minibert.commands.parser import add_base, add_columns, add_command, add_model
from minibert.commands.writing import add_writing, write_so
from minibert.data.rows import rows_of
from minibert.errors import InputError
from minibert.evaluation.examine import Evaluation, examine
from minibert.evaluation.in_words import in_words, page_of
from minibert.evaluation.resampled import has_simple_system, refuse_untold
from minibert.report.html import write_report
from minibert.tasks.windows import long_ones, tell_long


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "evaluate",
        run,
        usage="--model DIR --file FILE [options]",
        about="compare a model's predictions with labelled examples",
        example="minibert evaluate --model runs/clf --file test.csv --train-file train.csv",
    )
    add_model(parser, "folder of the model")
    add_base(parser)
    parser.add_argument("--file", required=True, metavar="FILE", help="labelled examples")
    train = "what the model was trained on: adds the most frequent label and a bag of words to compare with"
    parser.add_argument("--train-file", metavar="FILE", help=train)
    group = "tell the scores for each value of this column of --file"
    parser.add_argument("--group-column", dest="groups", metavar="NAME", help=group)
    draws = "draws of the bootstrap that gives the 95 %% intervals (default: 1000)"
    parser.add_argument("--draws", type=int, metavar="N", help=draws)
    errors = "how many of the surest mistakes are shown (default: 5)"
    parser.add_argument("--errors", type=int, default=5, metavar="N", help=errors)
    parser.add_argument("--output-dir", metavar="DIR", help="folder for report.html and report.json")
    parser.add_argument("--overwrite", action="store_true", help="replace an older report there")
    parser.add_argument("--json", action="store_true", help="print nothing but one JSON object")
    add_columns(parser)
    add_writing(parser, metric=True)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Print the whole evaluation, write it where wanted, and return it."""
    draws = 1000 if args.draws is None else args.draws
    if draws < 1 or args.errors < 0:
        raise InputError(f"--draws {draws}, --errors {args.errors}: at least 1 draw and 0 mistakes")
    if args.output_dir:
        reports = [Path(args.output_dir) / name for name in ("report.html", "report.json")]
        check_report(reports, overwrite=args.overwrite)
    groups = groups_of(args.file, args.groups) if args.groups else ()
    model = open_for_labels(args)
    write_so(model, args)
    kind = type(model.task)
    refuse_untold(kind, train=bool(args.train_file), groups=bool(groups), draws=args.draws is not None)
    if not args.train_file and has_simple_system(kind):
        what = "the most frequent label or a bag of words"
        print(f"  no --train-file: the model is not compared with {what}", file=sys.stderr)
    examples = labelled_examples(kind, args.file, args)
    train = labelled_examples(kind, args.train_file, args) if args.train_file else ()
    windows = model.encode(examples)
    tell_long(long_ones(windows, model.task), model.task.max_length)
    told = examine(
        model,
        examples,
        train=train,
        groups=groups,
        draws=draws,
        mistakes=args.errors,
        windows=windows,
        progress=sys.stderr.isatty(),
    )
    if args.output_dir:
        title = f"{model.task.name}: {args.model} on {args.file}"
        add_page(told, args.output_dir, title=title, task=model.task.name)
    if not args.json:
        show(told)
    return {"model": args.model, "file": args.file, **told.scores, **told.to_dict()}


def add_page(told: Evaluation, folder: str | Path, *, title: str, task: str) -> None:
    """Write report.html and report.json into a folder."""
    page = write_report(page_of(told, title=title, task=task), folder)
    print(f"the report is in {page}", file=sys.stderr)


def show(told: Evaluation) -> None:
    """Print an evaluation, and the scores of the task in one line."""
    if words := in_words(told):
        print(words)
    classes = told.report.classes if told.report else {}
    for name, value in told.scores.get("per_type", {}).items():
        if name not in classes:
            ratios = "  ".join(f"{ratio} {value[ratio]:.4f}" for ratio in ("precision", "recall", "f1"))
            print(f"spans of {name}: {ratios}")
    print("  ".join(f"{name} {value:.4f}" for name, value in told.scores.items() if isinstance(value, float)))


def groups_of(path: str, column: str) -> list[str]:
    """Return the value of a column in each row of a table; raises InputError where a row has none."""
    found = []
    for number, row in rows_of(Path(path)):
        if row.get(column) is None:
            there = ", ".join(row)
            raise InputError(
                f"{path}, line {number}: no column {column!r} (--group-column); there are {there}"
            )
        found.append(str(row[column]).strip() or "(empty)")
    return found
