"""Guess what stands at each mask."""

import argparse
from typing import Any

from minibert.commands.inputs import open_model, typed_texts
from minibert.commands.parser import add_command, add_model
from minibert.data.readers import read_texts
from minibert.data.remote import local
from minibert.errors import InputError
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.tasks.replaced_tokens import ReplacedTokens

TOGETHER = 64  # texts that are answered at a time: each mask has a number for every piece


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "fill-mask",
        run,
        usage="[TEXT ...] --model DIR [--file FILE] [--top-k N]",
        about="guess what stands at each [MASK] of a text",
        example='minibert fill-mask --model runs/enc "The [MASK] of a list."',
    )
    parser.add_argument("text", nargs="*", metavar="TEXT", help="texts with [MASK]; - reads lines from stdin")
    add_model(parser, "folder of a pretrained encoder")
    parser.add_argument("--file", metavar="FILE", help=".txt (a text on each line), .csv, .tsv or .jsonl")
    parser.add_argument(
        "--top-k", type=int, default=5, metavar="N", help="guesses for each mask (default: 5)"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Print the likeliest pieces for each mask."""
    if args.top_k < 1:
        raise InputError(f"--top-k {args.top_k} must be at least 1")
    texts = typed_texts(args) + ([row.text for row in read_texts(local(args.file))] if args.file else [])
    if not texts:
        raise InputError("no text to fill; give texts, - for lines of stdin, or --file")
    model = open_to_fill(args)
    for text in texts:
        if not len(model.task.encode(text)[0].rows):
            raise InputError(f"no [MASK] in {text!r} that the model sees; write [MASK] where it is to guess")
    results = []
    for start in range(0, len(texts), TOGETHER):
        part = texts[start : start + TOGETHER]
        for text, masks in zip(part, model.predict(part), strict=True):
            print(text)
            for place in masks:
                guesses = (f"{piece.replace('▁', ' ').strip() or piece} {p:.3f}" for piece, p in place)
                print("   " + "  ".join(guesses))
            told = [[{"piece": piece, "probability": round(p, 6)} for piece, p in place] for place in masks]
            results.append({"text": text, "masks": told})
    return {"results": results}


def open_to_fill(args: argparse.Namespace) -> Model:
    """Open a model that fills masks; raises InputError, with what is missing, for another."""
    model = open_model(args)
    if isinstance(model.task, ReplacedTokens):
        raise InputError(
            f"{args.model} was pretrained to tell replaced tokens (ELECTRA): no head fills masks; "
            f"train one: minibert pretrain corpus.txt --model {args.model} --output-dir runs/lm"
        )
    if not isinstance(model.task, MaskedLM):
        raise InputError(f"{args.model} is a {model.task.name} model; fill-mask needs a pretrained encoder")
    model.task.top_k = args.top_k
    return model
