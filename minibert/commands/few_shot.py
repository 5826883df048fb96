"""Compare what a few labelled texts give, by several methods and several draws."""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

from minibert.checkpoint import replace_json
from minibert.commands.flags import add_fields, add_settings_flags, chosen_settings
from minibert.commands.inputs import check_output, labelled_examples
from minibert.commands.memory import keep_memory
from minibert.commands.parser import Parser, add_columns, add_command
from minibert.errors import InputError
from minibert.few_labels.compare import (
    DEFAULTS,
    METHODS,
    SIZES,
    Plan,
    Trial,
    best_method,
    few_shot_model,
    summary_of,
    table_of,
)
from minibert.finetune import Settings
from minibert.output import check_free, replaced
from minibert.tasks.classification import Classification
from minibert.tasks.cloze import ClozeOptions

UNUSED = ("eval_steps", "save_steps", "save_total_limit", "early_stopping_patience", "metric_for_best_model",
          "logging_steps", "num_train_epochs", "fsdp")  # fmt: skip


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "few-shot",
        run,
        usage="--model DIR --train-file FILE --test-file FILE [options]",
        about="compare methods on 8, 16, 32 labelled texts of each class, five draws each",
        example="minibert few-shot --model runs/enc --train-file train.csv --test-file test.csv --template "
        '"{text} It was [MASK]." --verbalizer positive=great,negative=bad --output few.json',
    )
    add_data(parser)
    counts = ",".join(map(str, SIZES))
    parser.add_argument(
        "--per-class",
        default=counts,
        metavar="N,N",
        help=f"texts of each class that are drawn (default: {counts})",
    )
    parser.add_argument(
        "--draws", type=int, default=5, metavar="N", help="draws, counted up from 0 (default: 5)"
    )
    names = (
        f"some of {','.join(METHODS)} (default: all with --template, else finetune,contrastive); contrastive "
        "takes half the steps, from a sentence encoder at a rate of 2e-5 if none is given"
    )
    parser.add_argument("--methods", default="", metavar="NAMES", help=names)
    parser.add_argument("--output", metavar="FILE.json", help="write all trials and their summary there")
    parser.add_argument("--overwrite", action="store_true", help="replace an older --output")
    add_columns(parser)
    add_fields(parser, "cloze", ClozeOptions(), group="task")
    usual = {key.partition(".")[2]: value for key, value in DEFAULTS.items()}
    training = dataclasses.replace(Settings.of({}).train, **usual)
    add_fields(parser, "training, alike for all methods", training, group="train", without=UNUSED)
    add_settings_flags(parser)


def add_data(parser: Parser) -> None:
    """Add what is compared on what, and what is kept."""
    model = "folder of an encoder; cloze and zero_shot need a masked-language-model head in it"
    parser.add_argument("--model", required=True, metavar="DIR", help=model)
    parser.add_argument("--train-file", required=True, metavar="FILE", help="labelled texts to draw from")
    parser.add_argument(
        "--test-file", metavar="FILE", help="labelled texts to score on; with --save-model it may be left out"
    )
    parser.add_argument(
        "--save-model",
        metavar="DIR",
        help="train the best method, or the only one, on all of --train-file and write the model there",
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Compare the methods, and train the best of them for good where a model is asked for."""
    if args.output:
        check_output(Path(args.output), overwrite=args.overwrite)
    if args.save_model:
        check_free(Path(args.save_model))
    elif not args.test_file:
        raise InputError(
            "--test-file is missing: what are the methods to be compared on? or --save-model DIR"
        )
    settings = chosen_settings(args, Settings.of)
    counts = [whole(text, "--per-class") for text in args.per_class.split(",")]
    methods = [name.strip() for name in args.methods.split(",") if name.strip()]
    train = labelled_examples(Classification, args.train_file, args)
    test = labelled_examples(Classification, args.test_file, args) if args.test_file else []
    keep_memory()
    told: dict[str, Any] = {"model": args.model}
    if test:
        plan = Plan.of(args.model, train, test, methods=methods, settings=settings)
        trials = compared(plan, counts, args)
        print(table_of(trials))
        told["summary"], methods = summary_of(trials), [best_method(trials)]
    if args.save_model:
        if len(methods) != 1:
            raise InputError("--save-model without --test-file: name one of --methods, such as contrastive")
        with replaced(args.save_model, overwrite=False) as output:
            few_shot_model(args.model, train, method=methods[0], settings=settings).save(output)
        print(f"{methods[0]}, trained on {len(train):,} texts, is in {args.save_model}")
        told |= {"output_dir": args.save_model, "method": methods[0]}
    return told


def compared(plan: Plan, counts: list[int], args: argparse.Namespace) -> list[Trial]:
    """Run all trials; write each as it is done."""
    trials: list[Trial] = []
    for trial in plan.trials(counts, args.draws, progress=sys.stderr.isatty()):
        trials.append(trial)
        if args.output:
            replace_json(Path(args.output), report(args, plan, trials))
    return trials


def report(args: argparse.Namespace, plan: Plan, trials: list[Trial]) -> dict[str, Any]:
    """Return what the file holds."""
    return {
        "model": args.model,
        "train_file": args.train_file,
        "test_file": args.test_file,
        "test_rows": len(plan.test),
        "settings": plan.settings,
        "summary": summary_of(trials),
        "trials": [dataclasses.asdict(trial) for trial in trials],
    }


def whole(text: str, flag: str) -> int:
    """Read a count; raises InputError for what is none."""
    if not text.strip().isdigit():
        raise InputError(f"{flag} {text!r}: whole numbers are wanted, such as 8,16,32")
    return int(text)
