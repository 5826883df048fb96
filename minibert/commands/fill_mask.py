"""Guess what stands at each mask."""

import argparse
from typing import Any

from minibert.commands.inputs import open_model
from minibert.commands.parser import add_command, add_model
from minibert.errors import InputError
from minibert.tasks.masked_lm import MaskedLM


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "fill-mask",
        run,
        usage="TEXT [TEXT ...] --model DIR",
        about="guess what stands at each [MASK] of a text",
        example='minibert fill-mask --model runs/enc "The [MASK] of a list."',
    )
    parser.add_argument("text", nargs="+", metavar="TEXT", help="texts with [MASK] in them")
    add_model(parser, "folder of a pretrained encoder")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Print the likeliest pieces for each mask."""
    model = open_model(args)
    if not isinstance(model.task, MaskedLM):
        raise InputError(f"{args.model} is a {model.task.name} model; fill-mask needs a pretrained encoder")
    for text in args.text:
        if not len(model.task.encode(text)[0].rows):
            raise InputError(f"no [MASK] in {text!r} that the model sees; write [MASK] where it is to guess")
    results = []
    for text, masks in zip(args.text, model.predict(args.text), strict=True):
        print(text)
        for place in masks:
            print(
                "   " + "  ".join(f"{piece.replace('▁', ' ').strip() or piece} {p:.3f}" for piece, p in place)
            )
        guesses = [[{"piece": piece, "probability": round(p, 6)} for piece, p in place] for place in masks]
        results.append({"text": text, "masks": guesses})
    return {"results": results}
