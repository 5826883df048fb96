"""Exchange words that should not matter, and see how often answers change."""

import argparse
import sys
from typing import Any

from minibert.commands.inputs import named_columns, open_for_labels
from minibert.commands.parser import add_base, add_columns, add_command, add_model
from minibert.errors import InputError
from minibert.evaluation.counterfactual import Counterfactual, counterfactual
from minibert.evaluation.swaps import BUILT_IN, swap_of


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "counterfactual",
        run,
        usage="--model DIR --file FILE --swap NAME [options]",
        about="exchange names, genders or places in texts and see how often the answer changes",
        example="minibert counterfactual --model runs/clf --file test.csv --swap genders",
    )
    add_model(parser, "folder of a model for classification, multi_label or regression")
    add_base(parser)
    parser.add_argument("--file", required=True, metavar="FILE", help="texts; their labels are not looked at")
    own = "or a .csv with a header, whose first two columns change places"
    swap = f"{', '.join(BUILT_IN)} (English and Chinese), {own}"
    parser.add_argument("--swap", required=True, metavar="NAME", help=swap)
    errors = "how many of the changed texts are shown (default: 5)"
    parser.add_argument("--errors", type=int, default=5, metavar="N", help=errors)
    parser.add_argument("--json", action="store_true", help="print nothing but one JSON object")
    add_columns(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Print how many answers change, in which direction, and the texts that change most."""
    if args.errors < 0:
        raise InputError(f"--errors {args.errors}: 0 or more texts can be shown")
    swap = swap_of(args.swap)
    model = open_for_labels(args)
    kind = type(model.task)
    examples = kind.read_unanswered(args.file, named_columns(kind, args))
    told = counterfactual(model, examples, swap, limit=args.errors, progress=sys.stderr.isatty())
    if not args.json:
        print(in_words(told))
    return {"model": args.model, "file": args.file, **told.to_dict()}


def in_words(told: Counterfactual) -> str:
    """Lay out what was found."""
    low, high = told.interval
    lines = [
        f"{told.with_words:,} of {told.texts:,} texts hold a word of the swap {told.swap!r}",
        f"the answer changes in {told.changed:,} of them: {told.share:.4f} ({low:.4f} .. {high:.4f})",
        f"answers move by {told.moved:.4f} on average",
    ]
    if told.undecided:
        why = "stay as they are: the sentence does not tell their partner"
        lines.append(f"{told.undecided:,} of its words {why}")
    if told.shift:
        lines.append("from the left words to the right ones:")
        lines += [f"  {label}  {mean:+.4f}" for label, mean in told.shift.items()]
    for one in told.examples:
        lines += [
            f"  {one.before} -> {one.after}  ({one.moved:.4f})",
            f"    {one.text}",
            f"    {one.swapped}",
        ]
    return "\n".join(lines)
