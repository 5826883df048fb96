"""Show which tokens of a text speak for a model's answer, and which against it."""

import argparse
import sys
from pathlib import Path
from typing import Any, get_args

from tqdm import tqdm

from minibert.adapt.prompts import rows_before
from minibert.attribution import Attribution, Method, Nothing, explain
from minibert.commands.inputs import (
    add_questions,
    check_report,
    named_columns,
    open_for_labels,
    refuse_empty,
    typed_questions,
)
from minibert.commands.parser import add_base, add_columns, add_command, add_model
from minibert.errors import InputError
from minibert.inspect import attention_maps
from minibert.report.explanations import coloured, stretches, strongest
from minibert.report.html import write_page
from minibert.tasks.model import Model
from minibert.tasks.retrieval import Retrieval

DRAWN = 64  # tokens of a text whose attention is drawn
BETWEEN = " / "  # a text and its pair


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "explain",
        run,
        usage="(TEXT ... | --file FILE) --model DIR [options]",
        about="show which tokens speak for an answer and which against it",
        example='minibert explain --model runs/clf "what a film" --output why.html',
    )
    parser.add_argument("text", nargs="*", metavar="TEXT", help="texts")
    parser.add_argument("--file", metavar="FILE", help="a file of them, as predict reads it")
    add_model(parser, "folder of a fine-tuned model")
    add_base(parser)
    add_columns(parser)
    add_questions(parser)
    label = "the label, choice (or its place) or written text to explain (default: the model's answer)"
    parser.add_argument("--label", metavar="NAME", help=label)
    word = "tagging: the number of the word whose tag is explained, from 0 (default: the first tagged)"
    parser.add_argument("--word", type=int, metavar="N", help=word)
    method = "how (default: integrated_gradients, whose scores sum to what is explained)"
    parser.add_argument("--method", choices=get_args(Method), default="integrated_gradients", help=method)
    nothing = "what a token that says nothing is (default: mask)"
    parser.add_argument("--baseline", choices=get_args(Nothing), default="mask", help=nothing)
    unit = "what has a score: tokens, or words with their tokens added up (default: token)"
    parser.add_argument("--unit", choices=("token", "word"), default="token", help=unit)
    steps = "points at which gradients are taken (default: 50)"
    parser.add_argument("--steps", type=int, default=50, metavar="N", help=steps)
    colour = "shade the text in the terminal (default: auto)"
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto", help=colour)
    page = "write a page with shaded texts, and the attention of the last layer"
    parser.add_argument("--output", metavar="FILE.html", help=page)
    parser.add_argument("--overwrite", action="store_true", help="replace an older page")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Print each text with the scores of its tokens."""
    if args.output and not args.output.endswith((".html", ".htm")):
        raise InputError(f"--output {args.output}: the page is HTML; name it x.html")
    if args.output:
        check_report([Path(args.output)], overwrite=args.overwrite)
    refuse_empty(args.text)
    args.precision = "fp32"  # gradients of small numbers
    model = open_for_labels(args)
    examples = typed_and_read(model, args)
    bar = tqdm(examples, desc="explain", unit="text", disable=len(examples) < 2 or not sys.stderr.isatty())
    found = [
        explain(
            model,
            example,
            label=args.label,
            word=args.word,
            method=args.method,
            nothing=args.baseline,
            steps=args.steps,
        )
        for example in bar
    ]
    found = [one.by_words() for one in found] if args.unit == "word" else found
    colour = args.color == "always" or (args.color == "auto" and sys.stdout.isatty())
    for one in found:
        print(in_words(one, colour=colour), end="\n\n")
    if args.output:
        write_page(page_of(model, found, args), args.output)
        print(f"the page is {args.output}")
    return {"model": args.model, "explanations": [plain(one) for one in found]}


def typed_and_read(model: Model, args: argparse.Namespace) -> list[Any]:
    """Return the texts that were typed and the rows of the file; raises InputError where there are none."""
    kind = type(model.task)
    read = kind.read if kind is Retrieval else kind.read_unanswered  # a passage belongs to each query
    rows = read(args.file, named_columns(kind, args)) if args.file else []
    asked = typed_questions(kind, args)
    if not args.text and not rows and not asked:
        raise InputError("nothing to explain; give texts, or --file")
    return [*args.text, *asked, *rows]


def in_words(one: Attribution, *, colour: bool) -> str:
    """Lay out an attribution: the shaded text, or a line for each token."""
    parts = shaded(one)
    head = f"{one.label}: {one.value:+.4f}, a text that says nothing {one.nothing:+.4f}, gap {one.gap:.4f}"
    if colour:
        return f"{coloured(parts, strongest(parts))}\n{head}"
    lines = [f"  {score:+.4f}  {text}" for text, score in parts if text.strip() and text != BETWEEN]
    control = sum(piece.score for piece in one.pieces if piece.word < 0)
    both = one.text if one.pair is None else one.text + BETWEEN + one.pair
    return "\n".join([both, *lines, f"  {control:+.4f}  (control tokens)", head])


def shaded(one: Attribution) -> list[tuple[str, float]]:
    """Return the stretches of a text, and of its pair behind it, with their scores."""
    parts: list[tuple[str, float]] = []
    for segment, text in enumerate((one.text, one.pair)):
        inside = [piece for piece in one.pieces if piece.word >= 0 and piece.segment == segment]
        if text is not None:
            parts += [(BETWEEN, 0.0)] if segment else []
            parts += stretches(text, [(piece.start, piece.end, piece.score) for piece in inside])
    return parts


def plain(one: Attribution) -> dict[str, Any]:
    """Return an attribution as plain values."""
    tokens = [vars(piece) for piece in one.pieces]
    pair = {} if one.pair is None else {"pair": one.pair}
    told = {"text": one.text, **pair, "label": one.label, "method": one.method}
    return {**told, "value": one.value, "nothing": one.nothing, "gap": one.gap, "tokens": tokens}


def page_of(model: Model, found: list[Attribution], args: argparse.Namespace) -> dict[str, Any]:
    """Return the page: shaded texts, and the attention of the last layer in the first one's window."""
    window = found[0].window
    page: dict[str, Any] = {
        "title": f"Why {model.task.name} answers so",
        "summary": f"{args.model}, {args.method.replace('_', ' ')}",
        "explanations": [
            {"parts": shaded(one), "label": one.label, "value": one.value, "nothing": one.nothing}
            for one in found
        ],
    }
    prompts = [f"prompt {number}" for number in range(1, rows_before(model.encoder) + 1)]
    if len(prompts) + len(window) <= DRAWN:
        weights = attention_maps(model.encoder, window.tokens.ids.tolist())[-1].mean(0)
        tokens = [*prompts, *model.task.tokenizer.tokens(window.tokens.ids)]
        layer = model.encoder.config.num_hidden_layers
        page["attention"] = {"tokens": tokens, "weights": weights.tolist(), "layer": layer, "head": "mean"}
    return page
