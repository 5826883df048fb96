"""Fine-tune an encoder, once or with several seeds."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minibert.checkpoint import read_json
from minibert.checkup import check_finetuning
from minibert.commands.evaluate import add_page, show
from minibert.commands.flags import add_fields, add_settings_flags, chosen_settings
from minibert.commands.inputs import labelled_examples, named_columns
from minibert.commands.memory import keep_memory
from minibert.commands.parser import add_budget, add_columns, add_command, add_doctor, add_output, add_resume
from minibert.commands.seeds import finetune_seeds
from minibert.distributed.joining import joined
from minibert.distributed.ranks import Ranks
from minibert.doctor.findings import Checkup, look_first, unreadable
from minibert.doctor.unread import unread_findings
from minibert.errors import InputError
from minibert.evaluation.examine import examine
from minibert.finetune import Settings as FinetuneSettings
from minibert.finetune import finetune, task_class
from minibert.interop.opening import load
from minibert.tasks.model import TASKS, Model
from minibert.training.recipes import RECIPES, recipe_for

Examples = tuple[list[Any], list[Any] | None]  # to train on, and to validate on


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "finetune",
        run,
        usage="--task TASK --model DIR --train-file FILE --output-dir DIR [options]",
        about="train an encoder on labelled examples",
        example="minibert finetune --task classification --model runs/enc --train-file train.csv "
        "--validation-file dev.csv --output-dir runs/clf",
        many=True,
    )
    parser.add_argument(
        "--task", required=True, choices=tuple(options_of_tasks()), help="what is to be predicted"
    )
    model = "folder of the encoder; a size (mini) starts seq2seq from nothing"
    parser.add_argument("--model", required=True, metavar="DIR", help=model)
    files = "labelled .csv, .tsv, .jsonl, CoNLL columns, or lines side by side: a.de,a.en"
    parser.add_argument("--train-file", required=True, metavar="FILE", help=files)
    parser.add_argument(
        "--validation-file", metavar="FILE", help="the same, held out: the best model on it is kept"
    )
    add_output(parser, "folder for the model, its checkpoints and its log")
    add_resume(parser)
    seeds = "train N times and report mean and spread; the best is kept"
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help=seeds)
    recipe = "settings that were measured together; what else is given wins (default: plain)"
    parser.add_argument("--recipe", default="plain", choices=tuple(RECIPES), help=recipe)
    add_budget(parser)
    add_doctor(parser)
    add_columns(parser)
    defaults = FinetuneSettings.of({})
    add_fields(parser, "data", defaults.data, group="data")
    seen: set[str] = set()
    for name, options in options_of_tasks().items():
        add_fields(parser, name, options, group="task", without=tuple(seen))
        seen |= vars(options).keys()
    add_fields(parser, "training", defaults.train, group="train", without=("fsdp",))
    add_fields(parser, "adapting", defaults.adapt, group="adapt")
    add_settings_flags(parser)


def look_at(args: argparse.Namespace, *, quick: bool) -> Checkup:
    """Let the doctor look at the run that a command line asks for."""
    settings = settings_of(args)
    try:
        examples = files_of(args)
    except InputError as error:
        return unreadable(error)
    return checkup_of(args, settings, examples, quick=quick)


def checkup_of(
    args: argparse.Namespace, settings: dict[str, Any], examples: Examples, *, quick: bool
) -> Checkup:
    """Let the doctor look at a run whose examples have been read."""
    train, held = examples
    found = check_finetuning(
        args.model, task=args.task, train=train, validation=held, output_dir=args.output_dir or None,
        budget=args.budget, settings=settings, quick=quick,
    )  # fmt: skip
    kind = task_class(args.task)
    unread = unread_findings(kind, args.train_file, columns=named_columns(kind, args))
    return Checkup.of([*found.findings, *unread], found.facts)


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of the recipe, with what else is given."""
    recipe = recipe_for(task_class(args.task), args.recipe)
    return {**recipe, **chosen_settings(args, FinetuneSettings.of)}


def files_of(args: argparse.Namespace) -> Examples:
    """Read the examples to train on, and those to validate on if there are any."""
    kind = task_class(args.task)
    train = labelled_examples(kind, args.train_file, args)
    held = labelled_examples(kind, args.validation_file, args) if args.validation_file else None
    return train, held


def options_of_tasks() -> dict[str, Any]:
    """Return the tasks that are fine-tuned, each with its options at their defaults."""
    return {name: task.Options() for name, task in TASKS.items() if task.Options is not None}


def run(args: argparse.Namespace) -> dict[str, Any] | None:
    """Fine-tune an encoder, with several seeds if asked to."""
    settings = settings_of(args)
    with joined() as ranks:
        if args.seeds != 1 and ranks.size > 1:
            raise InputError(
                f"--seeds {args.seeds} in {ranks.size} processes: they train one model together; start them "
                "once for each --seed, or leave out torchrun"
            )
        done = finetuned(args, settings, ranks)
    return done if ranks.first else None


def finetuned(args: argparse.Namespace, settings: dict[str, Any], ranks: Ranks) -> dict[str, Any]:
    """Fine-tune and return the scores; of several processes the first alone has some."""
    train, held = files_of(args)
    if ranks.first and not (args.no_doctor or args.resume):
        look_first(checkup_of(args, settings, (train, held), quick=True))
    keep_memory()
    given: dict[str, Any] = {
        "task": args.task,
        "train": train,
        "validation": held,
        "output_dir": args.output_dir,
        "budget": args.budget,
        "settings": settings,
        "resume": args.resume,
        "overwrite_output_dir": args.overwrite_output_dir,
    }
    if args.seeds != 1:
        result = finetune_seeds(args.model, args.seeds, given)
        report_on(load(args.output_dir), args, train=train, held=held or ())
        return result
    model = finetune(args.model, **given)
    if not ranks.first:
        return {}
    record = read_json(Path(args.output_dir) / "run.json")
    result = {"output_dir": args.output_dir, "task": args.task, "steps": record["steps_done"]}
    if held:
        scores = report_on(model, args, train=train, held=held)
        result |= {name: value for name, value in scores.items() if isinstance(value, float)}
        result["best_step"] = record["best"]["step"]
    print(f"the model is in {args.output_dir}")
    return result


def report_on(
    model: Model, args: argparse.Namespace, *, train: Sequence[Any], held: Sequence[Any]
) -> dict[str, Any]:
    """Print the evaluation of the best model, write it beside the model, and return the task's scores."""
    told = examine(model, held, train=train)
    print(f"on {args.validation_file}, which also chose the best model; the test is minibert evaluate\n")
    show(told)
    add_page(told, args.output_dir, title=f"{args.task}: {args.output_dir}", task=args.task)
    return told.scores
