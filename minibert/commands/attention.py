"""Show which implementation of attention a shape gets on this machine, and why not the others."""

import argparse
from typing import Any

from minibert.commands.flag_help import HELP
from minibert.commands.parser import add_command, add_device
from minibert.kernels.attention import Machine, Request, choose
from minibert.kernels.attention.choose import refusals
from minibert.training.precision import choose_device, choose_dtype


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "attention",
        run,
        usage="[options]",
        about="show which implementation of attention a shape gets on this machine, and why not the others",
        example="minibert attention --max-seq-length 2048 --head-size 64 --window 64",
    )
    parser.add_argument(
        "--max-seq-length", type=int, default=128, metavar="N", help="tokens of the longest text"
    )
    parser.add_argument("--head-size", type=int, default=64, metavar="N", help="channels of a head")
    parser.add_argument("--window", type=int, metavar="N", help="places seen on either side (default: all)")
    parser.add_argument("--causal", action="store_true", help="no token sees a later one")
    parser.add_argument("--dropout", type=float, default=0.0, metavar="X", help="dropout of the weights")
    parser.add_argument("--cross", action="store_true", help="queries of one text, keys of another")
    add_device(parser)
    parser.add_argument("--attention", default="auto", metavar="NAME", help=HELP["train.attention"])


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Print a line for each implementation; raises InputError where the one that was named refuses."""
    device = choose_device(args.device)
    request = Request(
        dtype=choose_dtype(args.precision, device),
        head_size=args.head_size,
        max_seqlen=args.max_seq_length,
        window=args.window,
        causal=args.causal,
        dropout=args.dropout,
        cross=args.cross,
    )
    machine = Machine.of(device)
    taken = choose(request, machine, backend=args.attention).name
    reasons = refusals(request, machine)
    print(f"{request} on {machine}")
    for name, reason in reasons.items():
        mark, word = ("*", "taken") if name == taken else (" ", "would do")
        print(f"{mark} {name:10} {reason or word}")
    return {"request": str(request), "machine": str(machine), "taken": taken, "refusals": reasons}
