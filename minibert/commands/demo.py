"""See the whole life of an encoder."""

import argparse
from pathlib import Path
from typing import Any

from minibert.commands.memory import keep_memory
from minibert.commands.parser import add_command


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "demo",
        run,
        usage="[options]",
        about="see the whole life of an encoder, on text that Python brings along",
        example="minibert demo --quick",
    )
    parser.add_argument("--quick", action="store_true", help="under 90 seconds, with less to show for it")
    parser.add_argument(
        "--output-dir", default="runs/demo", metavar="DIR", help="folder for report and models"
    )
    parser.add_argument("--overwrite-output-dir", action="store_true", help="replace an earlier run there")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Run the demo."""
    # Only here, for no other command needs the demo's code.
    from minibert.demo.run import run_demo as show_demo

    keep_memory()
    result: dict[str, Any] = show_demo(
        Path(args.output_dir), quick=args.quick, overwrite_output_dir=args.overwrite_output_dir
    )
    return result
