"""Repeat a run from its record: the same files, settings and plan, into another folder.

The recorded command says which files are read, the settings are those that were in force, and the plan takes
the place of the clock. On the same machine, with the same versions and number of threads, the weights are the
same bit for bit; where they are not, what differs is told.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from minibert.checkpoint import WEIGHTS, read_table
from minibert.commands.flags import with_dashes
from minibert.commands.parser import add_command, add_output
from minibert.durable import sha256
from minibert.errors import InputError
from minibert.output import RECORD
from minibert.output.record import changed_before
from minibert.training.plan import Plan

KINDS = ("pretrain", "finetune")
DECIDING = ("data", "settings", "versions", "machine", "commit")


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "rerun",
        run,
        usage="DIR --output-dir DIR",
        about="repeat a run of pretrain or finetune from its run.json, and compare the weights",
        example="minibert rerun runs/clf --output-dir runs/clf-again",
    )
    parser.add_argument("run_dir", metavar="DIR", help="folder of the run that is to be repeated")
    add_output(parser, "folder for the repetition")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Repeat a run and say whether its weights came out the same."""
    if not (Path(args.run_dir) / RECORD).is_file():
        raise InputError(
            f"{args.run_dir} has no {RECORD}, so nothing tells how it was made; give the output folder of a "
            f"run of minibert {' or '.join(KINDS)}"
        )
    record = read_table(Path(args.run_dir) / RECORD)
    again = recorded_command(record, Path(args.run_dir))
    again.output_dir, again.overwrite_output_dir = args.output_dir, args.overwrite_output_dir
    result = again.command(again)
    repeated = read_table(Path(args.output_dir) / RECORD)
    differing = [name for name in DECIDING if record.get(name) != repeated.get(name)]
    first, second = (sha256(Path(folder) / WEIGHTS) for folder in (args.run_dir, args.output_dir))
    if first != second:
        told = f"what differs: {', '.join(differing)}" if differing else "and nothing that run.json knows of"
        ended = record.get("state")
        note = f"; the first run is {ended!r}, not finished" if ended != "finished" else ""
        for part in changed_before(Path(args.run_dir)):
            note += f"; from step {part.get('step')} the first run went on with other settings"
        print(f"the weights differ, {told}{note}", file=sys.stderr)
    return {**result, "same_weights": first == second, "differing": differing}


def recorded_command(record: dict[str, Any], folder: Path) -> argparse.Namespace:
    """Return the parsed command of a record, with the settings and the plan of the run that it began.

    Raises InputError for a record that no `minibert pretrain` or `minibert finetune` began.
    """
    from minibert.commands.arguments import build_parser  # which knows this command too

    told, kind = record.get("command"), record.get("kind")
    words = [str(word) for word in told] if isinstance(told, list) else []
    if kind not in KINDS or words[1:2] != [kind] or "plan" not in record:
        raise InputError(
            f"{folder / RECORD}: begun by {str(told)[:100]}, which is no run of minibert "
            f"{' or '.join(KINDS)} with one seed; repeat what it was begun by"
        )
    end = words.index("--") if "--" in words else len(words)
    args = build_parser().parse_args([*map(with_dashes, words[1:end]), *words[end:]])
    for key in [key for key in vars(args) if "." in key]:
        delattr(args, key)  # run.json holds every setting, whoever gave it
    args.config, args.set, args.resume = str(folder / RECORD), [], False
    args.budget = plan_of(record, folder)
    if kind == "finetune":
        args.seeds, args.recipe = 1, "plain"
    return args


def plan_of(record: dict[str, Any], folder: Path) -> Plan:
    """Return the plan of a record; raises InputError where it is none."""
    try:
        plan = Plan(tuple((int(start), int(total)) for start, total in record["plan"]))
        plan.total(0)
    except (TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"{folder / RECORD}: its plan is {str(record['plan'])[:60]}; a list is wanted"
        ) from error
    return plan
