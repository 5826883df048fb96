"""Batches of round sizes, where a matrix product is compiled for every shape that it meets.

On a CPU torch multiplies bfloat16 matrices by oneDNN, which writes machine code for each new shape, up to
20 ms of it, and keeps that of the last 1,024 shapes, about a megabyte each. A packed batch has another T at
every step. Filled up to one of few sizes it has a shape that is known already: fine-tuning then spends less
time, and a long run less memory. What is put behind the batch is one more sequence, which nobody sees.

Letters: T tokens, D hidden size.
"""

import torch
from torch import Tensor

from minibert.packed import Layout

SIZES = 16  # between a power of two and the next one


def round_up(hidden_TD: Tensor, layout: Layout) -> tuple[Tensor, Layout]:
    """Return hidden states and layout with zeros behind them, or as they are where that would not help."""
    on_cpu = hidden_TD.device.type == "cpu" and hidden_TD.dtype == torch.bfloat16
    if not on_cpu or layout.inside_NS is not None or torch.compiler.is_compiling():
        return hidden_TD, layout
    filled = layout.once(filled_up, SIZES)
    if filled is layout:
        return hidden_TD, layout
    return torch.nn.functional.pad(hidden_TD, (0, 0, 0, filled.tokens - layout.tokens)), filled


def filled_up(layout: Layout, sizes: int) -> Layout:
    """Return a layout with one more sequence, which fills it up to one of so many sizes an octave.

    >>> [filled_up(Layout.of([tokens]), 16).tokens for tokens in (7, 31, 33, 813, 1000, 1024, 1025)]
    [7, 31, 34, 832, 1024, 1024, 1088]
    """
    step = max(1, 2 ** (layout.tokens.bit_length() - 1) // sizes)
    more = -layout.tokens % step
    return Layout.of([*layout.lengths, more], layout.positions.device) if more else layout
