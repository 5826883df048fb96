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
from minibert.version import VERSION

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


# Names that hands know from transformers, and what stands for them here (docs/12-huggingface.md).
STANDS_FOR = {
    "--do-train": "finetune, evaluate and predict are commands",
    "--do-eval": "finetune, evaluate and predict are commands",
    "--do-predict": "finetune, evaluate and predict are commands",
    "--eval-strategy": "validation comes after each epoch, or every --eval-steps steps",
    "--evaluation-strategy": "validation comes after each epoch, or every --eval-steps steps",
    "--fp16": "bfloat16 needs no loss scaling: --bf16, or --precision auto",
    "--gradient-checkpointing": "--gradient-accumulation-steps takes less memory",
    "--load-best-model-at-end": "with --validation-file the best model is always what is kept",
    "--model-name-or-path": "the folder is --model",
    "--save-strategy": "--save-steps saves in between",
}


def build_parser() -> Parser:
    """Return the parser of all commands; each adds its flags and the function that it runs."""
    parser = Parser(
        prog="minibert",
        description="Transformer encoders from scratch: from raw text to predictions.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"minibert {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    parser.commands = commands.choices
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read a command line; raises InputError, which names the nearest flag for an unknown one."""
    end = list(argv).index("--") if "--" in argv else len(argv)
    words, parser = [*map(with_dashes, argv[:end]), *argv[end:]], build_parser()
    refuse_unknown_command(words)
    try:
        args, unknown = parser.parse_known_args(words)
    except InputError as error:
        raise first_of_two(error, words[: end or None], parser) from error
    if "words" in args:  # whatever stands there is read by the command itself
        args.words = [*unknown, *args.words]
    elif unknown:
        raise unknown_argument(unknown[0], args.parser, words)
    spare_inputs(args)
    return args


def refuse_unknown_command(words: Sequence[str]) -> None:
    """Raise InputError, which names the nearest one, where the first word is no command."""
    names = [module.__name__.rpartition(".")[2].replace("_", "-") for module in COMMANDS]
    if words and not words[0].startswith("-") and words[0] not in names:
        near = difflib.get_close_matches(words[0], names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
        raise InputError(f"unknown command {words[0]!r}; {hint}")


def unknown_argument(word: str, parser: argparse.ArgumentParser, words: Sequence[str]) -> InputError:
    """Return the error for one of the words that a command does not know, and what was meant perhaps."""
    name, known = word.partition("=")[0], flags_of(parser)
    near = difflib.get_close_matches(name, known, n=1)
    before = words[max(0, words.index(word) - 1)] if word in words else ""
    if name in STANDS_FOR:
        hint = STANDS_FOR[name]
    elif before in known and not word.startswith("-"):
        hint = f"{before} takes no value"
    else:
        hint = f"did you mean {near[0]}?" if near else f"see {parser.prog} --help"
    return InputError(f"unknown argument {word!r}; {hint}")


def first_of_two(error: InputError, words: Sequence[str], parser: Parser) -> InputError:
    """Return the error for a flag that is unknown and close to a known one, if there is one, else `error`.

    A flag that is misspelt is also one that is missing, and only the first of the two can be mended.
    """
    command = parser.commands.get(words[0]) if words else None
    if command is None or "the following arguments are required" not in str(error):
        return error
    known = flags_of(command)
    for word in words[1:]:
        name = word.partition("=")[0]
        is_flag = re.fullmatch(r"--[a-z0-9-]+", name)
        near = name in STANDS_FOR or difflib.get_close_matches(name, known, n=1)
        if is_flag and name not in known and near:
            return unknown_argument(word, command, words)
    return error


def flags_of(parser: argparse.ArgumentParser) -> list[str]:
    """Return the flags that a parser's help names."""
    return re.findall(r"--[a-z0-9-]+", parser.format_help())
