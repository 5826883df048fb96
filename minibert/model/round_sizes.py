"""Batches of round sizes, on CPUs whose products are compiled for every shape (`kernels/round_rows`).

The whole batch is filled up once, before the first block. What is put behind it is one more sequence, which
nobody sees.

Letters: T tokens, D hidden size.
"""

from torch import Tensor

from minibert.kernels.round_rows import SIZES, filled, missing
from minibert.packed import Layout


def round_up(hidden_TD: Tensor, layout: Layout) -> tuple[Tensor, Layout]:
    """Return hidden states and layout with zeros behind them, or as they are where that would not help."""
    rows_TD = hidden_TD if layout.inside_NS is not None else filled(hidden_TD)
    return (hidden_TD, layout) if rows_TD is hidden_TD else (rows_TD, layout.once(filled_up, SIZES))


def filled_up(layout: Layout, sizes: int = SIZES) -> Layout:
    """Return a layout with one more sequence, which fills it up to a round number of tokens."""
    more = missing(layout.tokens, sizes)
    return Layout.of([*layout.lengths, more], layout.positions.device) if more else layout
