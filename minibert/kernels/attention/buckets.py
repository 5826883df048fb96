"""Rectangles out of a packed batch, for matrix products: sequences of nearly one length are put together.

A bucket is as wide as its group's upper end, and a batch of one length as that: few different widths, since
a CPU's products are compiled for every shape that they meet (`kernels/round_rows`).

Letters: T tokens in the batch, N sequences, S the width of a bucket.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from minibert.packed import Layout

GROUPS = 16  # widths between nothing and the longest sequence
NARROWEST = 16  # places between two widths, at least


@dataclass(frozen=True)
class Bucket:
    """Sequences of nearly one length, as the rows of a rectangle of width S.

    first, last  the tokens [first, last) are exactly this bucket, or None if they do not lie together
    index_NS     row of each cell in the packed batch; cells past the end repeat the sequence's last token
    inside_NS    True at the cells that are tokens, False past the end
    full         every cell is a token: no mask is needed
    """

    first: int | None
    last: int | None
    index_NS: Tensor
    inside_NS: Tensor
    full: bool

    def gather(self, packed_T: Tensor, *, fill: float | None = None) -> Tensor:
        """(T, ...) -> (N, S, ...): a view where the bucket lies together without gaps.

        fill  what the cells past each sequence's end hold; None leaves the last token there
        """
        if self.full and self.first is not None:
            return packed_T[self.first : self.last].unflatten(0, tuple(self.index_NS.shape))
        cells = packed_T.reshape(len(packed_T), -1).index_select(0, self.index_NS.flatten())
        if fill is not None and not self.full:
            cells.index_fill_(0, self._past, fill)
        return cells.view(*self.index_NS.shape, *packed_T.shape[1:])

    def put(self, packed_T: Tensor, cells_NS: Tensor) -> None:
        """Write the cells (N, S, ...) that are tokens to their places in `packed_T` (T, ...)."""
        if self.full and self.first is not None:
            packed_T[self.first : self.last].unflatten(0, tuple(self.index_NS.shape)).copy_(cells_NS)
            return
        rows = cells_NS.reshape(self.index_NS.numel(), -1)
        if not self.full:
            rows = rows.index_select(0, self._inside)
        packed_T.view(len(packed_T), -1).index_copy_(0, self._tokens, rows)

    @cached_property
    def _inside(self) -> Tensor:
        """The cells that are tokens, counted through the rectangle."""
        return self.inside_NS.flatten().nonzero()[:, 0]

    @cached_property
    def _past(self) -> Tensor:
        """The other cells."""
        return (~self.inside_NS).flatten().nonzero()[:, 0]

    @cached_property
    def _tokens(self) -> Tensor:
        """Row in the packed batch of each cell that is a token."""
        return self.index_NS.flatten()[self._inside]


def buckets_of(layout: Layout, groups: int = GROUPS) -> tuple[Bucket, ...]:
    """Group the sequences by length, rounded up to one of so many parts of the longest.

    A batch of equal lengths is one full bucket.

    >>> [tuple(bucket.index_NS.shape) for bucket in buckets_of(Layout.of([30, 20, 7, 7]))]
    [(2, 16), (2, 32)]
    """
    lengths = np.asarray(layout.lengths, dtype=np.int64)
    step = max(NARROWEST, layout.max_seqlen // groups)
    group = -(-lengths // step)
    return tuple(
        _bucket(layout, np.flatnonzero(group == number), int(number) * step)
        for number in np.unique(group[lengths > 0])
    )


def _bucket(layout: Layout, rows: np.ndarray, widest: int) -> Bucket:
    borders = np.concatenate([[0], np.cumsum(np.asarray(layout.lengths, dtype=np.int64))])
    lengths = borders[rows + 1] - borders[rows]
    alone = layout.tokens == lengths.sum()
    even = lengths.min() == lengths.max() and (alone or lengths[0] == widest)
    width = int(lengths[0]) if even else widest
    together = bool((np.diff(rows) == 1).all())
    index = borders[rows, None] + np.minimum(np.arange(width), lengths[:, None] - 1)
    inside = np.arange(width) < lengths[:, None]
    device = layout.positions.device
    return Bucket(
        int(borders[rows[0]]) if together else None,
        int(borders[rows[-1] + 1]) if together else None,
        torch.from_numpy(index).to(device),
        torch.from_numpy(inside).to(device),
        bool(even),
    )
