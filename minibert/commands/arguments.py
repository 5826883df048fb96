"""What can be typed after `minibert`: the commands, their flags, and their help."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from minibert.commands import verbs
from minibert.commands.flag_help import HELP
from minibert.commands.flags import add_fields, add_settings_flags
from minibert.errors import InputError
from minibert.finetune import Settings as FinetuneSettings
from minibert.tasks.classification import ClassificationOptions
from minibert.tasks.tagging import TaggingOptions
from minibert.training.pretraining import Settings as PretrainSettings

Command = Callable[[argparse.Namespace], dict[str, Any] | None]
CORPUS = "files, folders or globs of .txt, .jsonl, .csv"


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def build_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="minibert",
        description="Transformer encoders from scratch: from raw text to predictions.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_tokenizer(commands)
    add_pretrain(commands)
    add_finetune(commands)
    add_evaluate(commands)
    add_predict(commands)
    add_fill_mask(commands)
    add_demo(commands)
    return parser


def add_command(
    commands: Any, name: str, command: Command, *, usage: str, about: str, example: str
) -> Parser:
    """Add a command with its shortest form, a line about it and an example."""
    parser: Parser = commands.add_parser(
        name,
        usage=f"minibert {name} {usage}",
        help=about,
        description=about[0].upper() + about[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=command, parser=parser)
    return parser


def add_output(parser: Parser, what: str) -> None:
    """Add --output-dir and --overwrite-output-dir."""
    parser.add_argument("--output-dir", required=True, metavar="DIR", help=what)
    parser.add_argument("--overwrite-output-dir", action="store_true", help="replace an earlier run there")


def add_budget(parser: Parser) -> None:
    """Add --budget."""
    parser.add_argument(
        "--budget", metavar="TIME", help="train at most so long, such as 90s, 30m or 1h: as many steps as fit"
    )


def add_model(parser: Parser, what: str) -> None:
    """Add --model and --device, for commands that only ask a model."""
    parser.add_argument("--model", required=True, metavar="DIR", help=what)
    parser.add_argument("--device", default="auto", metavar="NAME", help=HELP["train.device"])


def add_columns(parser: Parser) -> None:
    """Add the names of columns, which are else found by their usual names."""
    section = parser.add_argument_group(
        "columns of .csv, .tsv and .jsonl", "found by their usual names if not given"
    )
    for name in ("text", "pair", "label"):
        section.add_argument(f"--{name}-column", metavar="NAME", help=f"the column that holds the {name}")


def add_tokenizer(commands: Any) -> None:
    parser = add_command(
        commands,
        "tokenizer",
        verbs.run_tokenizer,
        usage="CORPUS [CORPUS ...] --output-dir DIR [options]",
        about="train a SentencePiece vocabulary on text files",
        example="minibert tokenizer corpus.txt --vocab-size 8192 --output-dir tok/",
    )
    parser.add_argument("corpus", nargs="+", metavar="CORPUS", help=CORPUS)
    add_output(parser, "folder for the tokenizer")
    defaults = PretrainSettings.of({})
    add_fields(parser, "vocabulary", defaults.tokenizer, group="tokenizer")
    parser.add_argument(
        "--text-column", default="text", metavar="NAME", help="the column that holds the text"
    )


def add_pretrain(commands: Any) -> None:
    parser = add_command(
        commands,
        "pretrain",
        verbs.run_pretrain,
        usage="CORPUS [CORPUS ...] --output-dir DIR [options]",
        about="pretrain an encoder on text files with masked language modelling",
        example="minibert pretrain corpus.txt --output-dir runs/enc --budget 30m --masking-unit word",
    )
    parser.add_argument("corpus", nargs="+", metavar="CORPUS", help=CORPUS)
    add_output(parser, "folder for the encoder, its checkpoints and its log")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the last checkpoint in the output folder"
    )
    parser.add_argument(
        "--size", default="modern-mini", metavar="NAME", help="modern-tiny .. modern-base, tiny .. base"
    )
    parser.add_argument("--tokenizer", metavar="DIR", help="folder of a tokenizer; else one is trained")
    add_budget(parser)
    defaults = PretrainSettings.of({})
    add_fields(parser, "data", defaults.data, group="data")
    add_fields(parser, "vocabulary, unless --tokenizer is given", defaults.tokenizer, group="tokenizer")
    add_fields(parser, "masking", defaults.masking, group="masking")
    unused = ("train_batch_size", "early_stopping_patience", "metric_for_best_model")
    add_fields(parser, "training", defaults.train, group="train", without=unused)
    add_settings_flags(parser)


def add_finetune(commands: Any) -> None:
    parser = add_command(
        commands,
        "finetune",
        verbs.run_finetune,
        usage="--task TASK --model DIR --train-file FILE --output-dir DIR [options]",
        about="train an encoder on labelled examples",
        example="minibert finetune --task classification --model runs/enc --train-file train.csv "
        "--validation-file dev.csv --output-dir runs/clf",
    )
    parser.add_argument(
        "--task", required=True, choices=("classification", "tagging"), help="what is to be predicted"
    )
    parser.add_argument("--model", required=True, metavar="DIR", help="folder of the encoder")
    parser.add_argument(
        "--train-file", required=True, metavar="FILE", help="labelled .csv, .tsv, .jsonl, or CoNLL columns"
    )
    parser.add_argument(
        "--validation-file", metavar="FILE", help="the same, held out: the best model on it is kept"
    )
    add_output(parser, "folder for the model and its log")
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        metavar="N",
        help="train N times and report mean and spread; the best is kept",
    )
    add_budget(parser)
    add_columns(parser)
    defaults = FinetuneSettings.of({})
    add_fields(parser, "data", defaults.data, group="data")
    add_fields(parser, "task", ClassificationOptions(), group="task")
    shared = tuple(vars(ClassificationOptions()))
    add_fields(parser, "tagging", TaggingOptions(), group="task", without=shared)
    add_fields(parser, "training", defaults.train, group="train", without=("save_steps",))
    add_settings_flags(parser)


def add_evaluate(commands: Any) -> None:
    parser = add_command(
        commands,
        "evaluate",
        verbs.run_evaluate,
        usage="--model DIR --file FILE [options]",
        about="compare a model's predictions with labelled examples",
        example="minibert evaluate --model runs/clf --file test.csv",
    )
    add_model(parser, "folder of the model")
    parser.add_argument("--file", required=True, metavar="FILE", help="labelled examples")
    add_columns(parser)


def add_predict(commands: Any) -> None:
    parser = add_command(
        commands,
        "predict",
        verbs.run_predict,
        usage="[TEXT ...] --model DIR [options]",
        about="predict labels or tags; one JSON object a line",
        example='minibert predict --model runs/clf "what a film"\n'
        "  cat lines.txt | minibert predict --model runs/clf -",
    )
    parser.add_argument("text", nargs="*", metavar="TEXT", help="texts; - reads lines from stdin")
    add_model(parser, "folder of the model")
    parser.add_argument(
        "--file", metavar="FILE", help=".txt (a text on each line), .csv, .tsv, .jsonl, or CoNLL columns"
    )
    add_columns(parser)


def add_fill_mask(commands: Any) -> None:
    parser = add_command(
        commands,
        "fill-mask",
        verbs.run_fill_mask,
        usage="TEXT [TEXT ...] --model DIR",
        about="guess what stands at each [MASK] of a text",
        example='minibert fill-mask --model runs/enc "The [MASK] of a list."',
    )
    parser.add_argument("text", nargs="+", metavar="TEXT", help="texts with [MASK] in them")
    add_model(parser, "folder of a pretrained encoder")


def add_demo(commands: Any) -> None:
    parser = add_command(
        commands,
        "demo",
        verbs.run_demo,
        usage="[options]",
        about="see the whole life of an encoder, on text that Python brings along",
        example="minibert demo --quick",
    )
    parser.add_argument("--quick", action="store_true", help="under 90 seconds, with less to show for it")
    parser.add_argument(
        "--output-dir", default="runs/demo", metavar="DIR", help="folder for report and models"
    )
    parser.add_argument("--overwrite-output-dir", action="store_true", help="replace an earlier run there")
