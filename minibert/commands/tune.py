"""Look for better settings of a fine-tuning run."""

import argparse
from typing import Any

from minibert.commands.finetune import options_of_tasks
from minibert.commands.flags import add_fields, add_settings_flags, chosen_settings
from minibert.commands.inputs import labelled_examples
from minibert.commands.memory import keep_memory
from minibert.commands.parser import add_columns, add_command, add_output
from minibert.finetune import task_class
from minibert.training.finetuning import Settings
from minibert.training.recipes import RECIPES, recipe_for
from minibert.tune.search import BEST, told, tune
from minibert.tune.space import parse_space


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "tune",
        run,
        usage="--task TASK --model DIR --train-file FILE --validation-file FILE --search KEY=RANGE "
        "--output-dir DIR [options]",
        about="try settings of a fine-tuning run and keep the best as a settings file (extra: tune)",
        example="minibert tune --task classification --model runs/enc --train-file train.csv "
        "--validation-file dev.csv --trials 20 \\\n"
        "    --search train.learning_rate=1e-5..5e-4:log --search train.num_train_epochs=2..6 \\\n"
        "    --search 'recipe=plain|few_rows' --output-dir runs/tune\n"
        "  minibert finetune --config runs/tune/best.toml --task classification --model runs/enc ...",
    )
    parser.add_argument("--task", required=True, choices=tuple(options_of_tasks()), help="what is predicted")
    parser.add_argument("--model", required=True, metavar="DIR", help="folder of the encoder")
    parser.add_argument("--train-file", required=True, metavar="FILE", help="labelled rows to train on")
    held = "labelled rows, held out: what does best on them wins"
    parser.add_argument("--validation-file", required=True, metavar="FILE", help=held)
    search = "what may be tried: KEY=LOW..HIGH, KEY=LOW..HIGH:log or KEY=ONE|TWO; may be given again"
    parser.add_argument("--search", action="append", default=[], metavar="KEY=RANGE", help=search)
    parser.add_argument("--space", metavar="FILE", help="the same as tables of a .toml; --search wins")
    trials = "trials in all, those before --resume included"
    parser.add_argument("--trials", type=int, default=20, metavar="N", help=trials + " (default: 20)")
    budget = "begin no trial after so long, such as 30m or 2h"
    parser.add_argument("--budget", metavar="TIME", help=budget)
    recipe = "the recipe of every trial, unless one is searched for (default: plain)"
    parser.add_argument("--recipe", default="plain", choices=tuple(RECIPES), help=recipe)
    add_output(parser, "folder for trials.db and best.toml")
    parser.add_argument("--resume", action="store_true", help="go on with the search in the output folder")
    add_columns(parser)
    defaults = Settings.of({})
    add_fields(parser, "the same in all trials: data", defaults.data, group="data")
    add_fields(parser, "the same in all trials: training", defaults.train, group="train")
    add_settings_flags(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Search, and return the best trial."""
    space = parse_space(args.search, args.space)
    kind = task_class(args.task)
    recipe = {} if "recipe" in space else recipe_for(kind, args.recipe)
    settings = {**recipe, **chosen_settings(args, Settings.of)}
    train, held = (labelled_examples(kind, path, args) for path in (args.train_file, args.validation_file))
    keep_memory()
    found = tune(
        args.model,
        task=args.task,
        train=train,
        validation=held,
        space=space,
        output_dir=args.output_dir,
        trials=args.trials,
        budget=args.budget,
        settings=settings,
        resume=args.resume,
        overwrite_output_dir=args.overwrite_output_dir,
    )
    print(f"{told(found)}: minibert finetune --config {args.output_dir}/{BEST}")
    numbers = {"metric": found.metric, "score": found.score, "trials": found.trials, "pruned": found.pruned}
    return {"output_dir": args.output_dir, **numbers, "best": found.values}
