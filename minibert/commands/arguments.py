"""What can be typed after `minibert`: the commands, each in a file of its own."""

from minibert.commands import (
    attention,
    check_report,
    demo,
    embed,
    evaluate,
    export,
    fill_mask,
    finetune,
    index,
    predict,
    pretrain,
    rerun,
    search,
    tokenizer,
    update,
)
from minibert.commands.parser import Parser

COMMANDS = (
    tokenizer,
    pretrain,
    finetune,
    evaluate,
    check_report,
    predict,
    fill_mask,
    embed,
    index,
    search,
    export,
    rerun,
    update,
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
