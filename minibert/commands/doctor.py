"""Look for what would waste a run, before hours are spent on it."""

import argparse
from typing import Any

from minibert.checkup import check_path
from minibert.commands.finetune import look_at as look_at_finetuning
from minibert.commands.flags import RUN
from minibert.commands.parser import Parser, add_columns, add_command
from minibert.commands.pretrain import look_at as look_at_pretraining
from minibert.config import read_file
from minibert.doctor.findings import Checkup
from minibert.errors import InputError
from minibert.tasks.model import TASKS

OWN = ("--json", "--quick")
LOOKS = {"finetune": look_at_finetuning, "pretrain": look_at_pretraining}
OF_FINETUNING = ("--task", "--train-file")


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "doctor",
        run,
        usage="RUN.toml | DIR | FILE | (the flags of finetune or pretrain) [--quick] [--json]",
        about="look for what would waste a run, before hours are spent",
        example="minibert doctor finetune --task classification --model runs/enc --train-file train.csv\n"
        "  minibert doctor train.csv\n"
        "  minibert doctor run.toml --quick",
    )
    parser.add_argument("--quick", action="store_true", help="a few seconds at most, without training")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument(
        "words",
        nargs=argparse.REMAINDER,
        metavar="WHAT",
        help="data, a model, an earlier run; a .toml as --config takes it, with a table [run] of the flags "
        "(task, model, train_file ...); or those flags, as after finetune or pretrain",
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Print the findings; the exit status is 1 where one is an error."""
    words = [word for word in args.words if word not in OWN]
    quick, json = (given or flag in args.words for given, flag in ((args.quick, OWN[1]), (args.json, OWN[0])))
    checkup = look(words, quick=quick)
    if not json:
        show(checkup)
    return {"ok": checkup.healthy, **(checkup.to_dict() if json else checkup.counts)}


def look(words: list[str], *, quick: bool) -> Checkup:
    """Look at what was typed: a path alone, or the command line of a run."""
    if not words:
        raise InputError("nothing to look at; give data, a model, a .toml, or the flags of a run")
    if len(words) == 1 and words[0].endswith(".toml"):
        words = words_of_file(words[0])
    alone = None if words[0] in LOOKS else path_alone(words)
    if alone is not None:
        columns = {name: value for name, value in vars(alone).items() if name.endswith("_column") and value}
        return check_path(alone.path[0], task=alone.task, columns=columns, quick=quick)
    kind, words = (words[0], words[1:]) if words[0] in LOOKS else (kind_of_run(words), words)
    return LOOKS[kind](parsed(kind, words), quick=quick)


def path_alone(words: list[str]) -> argparse.Namespace | None:
    """Read one path, with at most --task and names of columns; return None for anything else."""
    parser = Parser(prog="minibert doctor", allow_abbrev=False, add_help=False)
    parser.add_argument("path", nargs="*")
    parser.add_argument("--task", choices=tuple(TASKS))
    add_columns(parser)
    found, unknown = parser.parse_known_args(words)
    return None if unknown or len(found.path) != 1 else found


def kind_of_run(words: list[str]) -> str:
    """Tell from its flags whether a run is one of finetune or of pretrain."""
    return "finetune" if any(word.split("=")[0] in OF_FINETUNING for word in words) else "pretrain"


def words_of_file(path: str) -> list[str]:
    """Turn a settings file with a table [run] into the command line that it stands for.

    Raises InputError for a file without that table.
    """
    table = read_file(path).get(RUN)
    if not isinstance(table, dict):
        raise InputError(f"{path}: no table [{RUN}]; add one with task, model and train_file, or with corpus")
    corpus = table.get("corpus", [])
    words = [corpus] if isinstance(corpus, str) else list(map(str, corpus))
    for name, value in table.items():
        if name != "corpus":
            words += [f"--{name.replace('_', '-')}", str(value)]
    return [*words, "--config", path]


def parsed(kind: str, words: list[str]) -> argparse.Namespace:
    """Read the flags of a run; a folder for its results need not be named."""
    from minibert.commands.arguments import parse  # which knows this command too

    named = any(word.split("=")[0] == "--output-dir" for word in words)
    return parse([kind, *words, *(() if named else ("--output-dir", ""))])


def show(checkup: Checkup) -> None:
    """Print facts and findings, as a person reads them."""
    for name, value in checkup.facts.items():
        shown = f"{value:,}" if isinstance(value, int) else value
        print(f"{name.replace('_', ' '):16} {shown}")
    for finding in checkup.findings:
        print(f"\n{finding.severity.upper()}: {finding.name}")
        print(f"  seen  {finding.seen}\n  do    {finding.advice}")
    if not checkup.findings:
        print("\nnothing found")
