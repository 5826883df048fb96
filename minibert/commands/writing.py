"""How a model of seq2seq writes its answers this once; what it was trained with stays in its folder."""

import argparse

from minibert.commands.flag_help import HELP
from minibert.commands.parser import Parser
from minibert.config import from_dict, to_dict
from minibert.errors import InputError
from minibert.tasks.model import Model
from minibert.tasks.seq2seq import Seq2Seq
from minibert.tasks.seq2seq_options import Seq2SeqOptions

KINDS = {
    "num_beams": int,
    "length_penalty": float,
    "no_repeat_ngram_size": int,
    "min_target_length": int,
    "max_target_length": int,
    "metric": str,
}


def add_writing(parser: Parser, *, metric: bool) -> None:
    """Add the flags; `metric` is for who scores."""
    section = parser.add_argument_group("writing (seq2seq)", "as the model was trained, if not given")
    for name, kind in KINDS.items():
        if metric or name != "metric":
            text = HELP[f"task.{name}"].removeprefix("seq2seq: ")
            section.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="X", help=text)


def write_so(model: Model, args: argparse.Namespace) -> None:
    """Let the model write as the flags say; raises InputError where it writes nothing, or not so."""
    given = {name: value for name in KINDS if (value := getattr(args, name, None)) is not None}
    if not given:
        return
    flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
    if not isinstance(model.task, Seq2Seq):
        raise InputError(f"{flags}: {model.task.name} writes no text; leave it out")
    options = model.task.options
    learned = options.decoder_positions == "learned"
    if learned and given.get("max_target_length", 0) > options.max_target_length:
        raise InputError(
            f"--max-target-length {given['max_target_length']}: the decoder has learnt positions up to "
            f"{options.max_target_length}; use at most that"
        )
    model.task.options = from_dict(Seq2SeqOptions, {**to_dict(options), **given}, where=flags)
