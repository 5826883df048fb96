"""Who sees whom in a rectangle of sequences, and in which blocks its scores are worked out.

Letters: N sequences, S their width, H heads.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from minibert.kernels.attention.buckets import Bucket
from minibert.kernels.attention.reference import visible

WHOLE = 1024  # places of a rectangle whose weights are stored
SCORES = 2**24  # of a block in a wider one
BAND = 64  # queries at least, in a block under a window
UNSEEN = -1e30  # added to a score that must not count; finite, so that a row of nothing else is no NaN


class Block(NamedTuple):
    """Some of a rectangle's (N H) heads, some of their queries, and the keys that these see."""

    heads: slice
    queries: slice
    keys: slice

    @staticmethod
    def whole(count: int, width: int) -> "Block":
        """All of a rectangle."""
        return Block(slice(0, count), slice(0, width), slice(0, width))

    @property
    def asking(self) -> tuple[slice, slice]:
        """Where the queries lie in a tensor (N H, S, ...)."""
        return self.heads, self.queries

    @property
    def seen(self) -> tuple[slice, slice]:
        """Where the keys lie."""
        return self.heads, self.keys


@dataclass(frozen=True)
class Rules:
    """Who sees whom, and how many weights are dropped."""

    window: int | None
    causal: bool
    dropout: float

    def blocks(self, count: int, width: int) -> list[Block]:
        """Cut `count` squares of `width` places into blocks.

        >>> for block in Rules(window=30, causal=False, dropout=0.0).blocks(12, 150):
        ...     print(*((part.start, part.stop) for part in block))
        (0, 12) (0, 64) (0, 94)
        (0, 12) (64, 128) (34, 150)
        (0, 12) (128, 150) (98, 150)
        """
        if self.window is not None and self.band(width):
            before, after = self.window, 0 if self.causal else self.window
            step = max(BAND, before)
            return [
                Block(
                    slice(0, count),
                    slice(first, min(first + step, width)),
                    slice(max(0, first - before), min(first + step + after, width)),
                )
                for first in range(0, width, step)
            ]
        step = count if width <= WHOLE else max(1, SCORES // width**2)
        return [
            Block(slice(first, min(first + step, count)), slice(0, width), slice(0, width))
            for first in range(0, count, step)
        ]

    def band(self, width: int) -> bool:
        """Whether the window shows so little that it pays to go along it."""
        return self.window is not None and 4 * self.window < width

    def stores(self, width: int) -> bool:
        """Whether the backward pass finds the weights stored."""
        return self.dropout > 0 or (width <= WHOLE and not self.band(width))


def unseen(bucket: Bucket, block: Block, rules: Rules, dtype: torch.dtype) -> Tensor | None:
    """Return what is added to a block's scores, (N or 1, queries or 1, keys), or None where all are seen."""
    width = bucket.inside_NS.shape[1]
    narrow = rules.window is not None and rules.window < width - 1
    mask = None if bucket.full else _far_below(bucket.inside_NS[:, None, block.keys], dtype)
    if narrow or rules.causal:
        places = range(width)[block.queries], range(width)[block.keys]
        device = bucket.inside_NS.device
        near = visible(*places, window=rules.window, causal=rules.causal, device=device)
        far = _far_below(near[None], dtype)
        mask = far if mask is None else mask + far
    return mask


def _far_below(seen: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros_like(seen, dtype=dtype).masked_fill_(~seen, UNSEEN)
