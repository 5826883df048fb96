"""What the parsers of all commands share."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from minibert.commands.flag_help import HELP
from minibert.distributed.joining import check_alone
from minibert.errors import InputError
from minibert.tasks.model import TASKS

Command = Callable[[argparse.Namespace], dict[str, Any] | None]
CORPUS = (
    "files, folders or globs of .txt (blank lines part its documents), .jsonl, .csv (each row is one), "
    "all also as .gz or .xz; s3://... and what else fsspec reaches"
)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are ours; of that of `minibert`, commands are the parsers of each."""

    commands: dict[str, "Parser"]

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def add_command(
    commands: Any, name: str, command: Command, *, usage: str, about: str, example: str, many: bool = False
) -> Parser:
    """Add a command with its shortest form, a line about it and an example.

    many  whether several processes do its work together (torchrun); others are refused there
    """
    parser: Parser = commands.add_parser(
        name,
        usage=f"minibert {name} {usage}",
        help=about,
        description=about[0].upper() + about[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=command if many else alone(name, command), parser=parser)
    return parser


def alone(name: str, command: Command) -> Command:
    """Return a command that refuses to be one of several processes, which would all do and write the same."""

    def run(args: argparse.Namespace) -> dict[str, Any] | None:
        check_alone(f"minibert {name}")
        return command(args)

    return run


def add_output(parser: Parser, what: str) -> None:
    """Add --output-dir and --overwrite-output-dir."""
    parser.add_argument("--output-dir", required=True, metavar="DIR", help=what)
    parser.add_argument("--overwrite-output-dir", action="store_true", help="replace an earlier run there")


def add_resume(parser: Parser) -> None:
    """Add --resume, which Hugging Face's training arguments call --resume-from-checkpoint."""
    parser.add_argument(
        "--resume",
        "--resume-from-checkpoint",
        action="store_true",
        help="go on from the newest whole checkpoint in the output folder; start afresh where there is none",
    )


def add_budget(parser: Parser) -> None:
    """Add --budget."""
    parser.add_argument(
        "--budget", metavar="TIME", help="train at most so long, such as 90s, 30m or 1h: as many steps as fit"
    )


def add_doctor(parser: Parser) -> None:
    """Add --no-doctor."""
    parser.add_argument(
        "--no-doctor", action="store_true", help="begin without the quick look of `minibert doctor`"
    )


def add_model(parser: Parser, what: str) -> None:
    """Add --model, --device and --precision, for commands that only ask a model."""
    parser.add_argument("--model", required=True, metavar="DIR", help=what)
    add_device(parser)


def add_prompt(parser: Parser, what: str, names: tuple[str, ...]) -> None:
    """Add --prompt; without it a prompt of the checkpoint is used that has one of the names."""
    parser.add_argument(
        "--prompt",
        metavar="TEXT",
        help=f'words put before each {what}, such as "{names[0]}: " '
        f"(default: the prompt {' or '.join(names)} of the checkpoint, if it has one)",
    )


def add_base(parser: Parser) -> None:
    """Add --base."""
    parser.add_argument("--base", metavar="DIR", help="of an adapter: its base, if that is not where it was")


def add_device(parser: Parser) -> None:
    """Add --device and --precision."""
    parser.add_argument("--device", default="auto", metavar="NAME", help=HELP["train.device"])
    parser.add_argument(
        "--precision", choices=("auto", "fp32", "bf16"), default="auto", help=HELP["train.precision"]
    )


def add_columns(parser: Parser) -> None:
    """Add the names of columns, which are else found by their usual names."""
    section = parser.add_argument_group(
        "columns of .csv, .tsv and .jsonl", "found by their usual names if not given"
    )
    for column in dict.fromkeys(column for task in TASKS.values() for column in task.columns):
        name = column.removesuffix("_column").replace("_", "-")
        section.add_argument(f"--{name}-column", metavar="NAME", help=f"the column that holds the {name}")
