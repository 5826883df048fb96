"""What can be typed after `minibert`: the commands, each in a file of its own."""

import argparse
import difflib
import re
from collections.abc import Sequence

from minibert.commands import (
    attention,
    augment,
    check_report,
    counterfactual,
    demo,
    distill,
    doctor,
    embed,
    evaluate,
    explain,
    export,
    extract,
    few_shot,
    fill_mask,
    finetune,
    index,
    learn,
    predict,
    pretrain,
    rerun,
    search,
    tokenizer,
    tune,
    update,
)
from minibert.commands.flags import with_dashes
from minibert.commands.inputs import spare_inputs
from minibert.commands.parser import Parser
from minibert.errors import InputError

COMMANDS = (
    tokenizer,
    pretrain,
    finetune,
    few_shot,
    augment,
    evaluate,
    check_report,
    counterfactual,
    predict,
    explain,
    extract,
    fill_mask,
    embed,
    index,
    search,
    export,
    rerun,
    tune,
    update,
    distill,
    learn,
    doctor,
    demo,
    attention,
)


def build_parser() -> Parser:
    """Return the parser of all commands; each adds its flags and the function that it runs."""
    parser = Parser(
        prog="minibert",
        description="Transformer encoders from scratch: from raw text to predictions.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read a command line; raises InputError, which names the nearest flag for an unknown one."""
    end = list(argv).index("--") if "--" in argv else len(argv)
    args, unknown = build_parser().parse_known_args([*map(with_dashes, argv[:end]), *argv[end:]])
    if "words" in args:  # whatever stands there is read by the command itself
        args.words = [*unknown, *args.words]
    elif unknown:
        name = unknown[0].partition("=")[0]
        near = difflib.get_close_matches(name, re.findall(r"--[a-z0-9-]+", args.parser.format_help()), n=1)
        hint = f"did you mean {near[0]}?" if near else f"see {args.parser.prog} --help"
        raise InputError(f"unknown argument {unknown[0]!r}; {hint}")
    spare_inputs(args)
    return args
