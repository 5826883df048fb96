"""The shapes of the attention benchmark, and how fast each could be at best.

A *floor* is the time below which no kernel can come on this machine: either its memory has to move what goes
in and out once, or its matrix unit has to do the two products of the forward pass, and five more backward (a
kernel that repeats some does so at its own cost). Pairs of a query and a key that cannot see each other do
not count.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pretraining_workload import visible_pairs

PASSES = ("forward", "both")


@dataclass(frozen=True)
class Shape:
    """One row of the table.

    kind     "equal": all sequences are as long as the longest; "ragged": as paragraphs are
    longest  tokens of the longest sequence
    tokens   of the batch, at most
    window   places seen on either side, None for all
    """

    kind: str
    longest: int
    tokens: int
    heads: int
    size: int
    window: int | None = None

    def lengths(self) -> list[int]:
        """Return the sequences' lengths: log-normal if ragged, the median 0.45 of the longest, one full."""
        if self.kind == "equal":
            return [self.longest] * (self.tokens // self.longest)
        random = np.random.default_rng(0)
        lengths = [self.longest]
        while sum(lengths) < self.tokens:
            draw = random.lognormal(math.log(0.45 * self.longest), 0.7)
            lengths.append(int(np.clip(draw, 4, self.longest)))
        lengths[-1] -= sum(lengths) - self.tokens
        return [length for length in lengths if length]

    def operations(self, part: str) -> int:
        """Return what the pass has to compute: 4 K operations a pair forward, 10 K backward."""
        pairs = sum(visible_pairs(length, self.window) for length in self.lengths())
        return {"forward": 4, "both": 14}[part] * self.size * self.heads * pairs

    def moved(self, part: str, dtype: torch.dtype) -> int:
        """Return the bytes in and out: q k v o forward; q k v o, o's gradient and those of q k v backward."""
        elements = sum(self.lengths()) * self.heads * self.size
        return {"forward": 4, "both": 12}[part] * elements * dtype.itemsize


def floor(shape: Shape, part: str, dtype: torch.dtype, rates: dict[str, float]) -> tuple[float, str]:
    """Return the least seconds of a pass, and what sets them; `rates` are those measured in this run.

    >>> shape = Shape("equal", 2, 4, heads=1, size=8)
    >>> floor(shape, "forward", torch.float32, {"operations": 1e9, "bytes": 1e12})
    (2.56e-07, 'arithmetic')
    """
    memory = shape.moved(part, dtype) / rates["bytes"]
    arithmetic = shape.operations(part) / rates["operations"]
    return max((memory, "memory"), (arithmetic, "arithmetic"))


def on_cpu(longest: Sequence[int] = (32, 64, 128, 256, 512, 1024, 2048), tokens: int = 4096) -> list[Shape]:
    """Return the shapes for a CPU: heads as in `bert-mini`."""
    full = [Shape(kind, length, tokens, 4, 64) for length in longest for kind in ("equal", "ragged")]
    return full + [Shape("equal", length, tokens, 4, 64, window=64) for length in longest if length >= 512]


def on_gpu() -> list[Shape]:
    """Return the twenty shapes for a GPU: the small rows first, since they are the ones to win."""
    many = 65536
    return [
        *(Shape("equal", length, many, 12, 64) for length in (128, 256, 512, 1024, 2048, 8192)),
        *(Shape("ragged", length, many, 12, 64) for length in (128, 512, 2048, 8192)),
        *(Shape("equal", length, many, 12, 64, window=64) for length in (512, 1024, 8192)),
        Shape("ragged", 1024, many, 12, 64, window=64),
        *(Shape("equal", 512, many, heads, size) for heads, size in ((12, 32), (6, 64), (8, 96), (6, 128))),
        Shape("equal", 128, 1024, 12, 64),
        Shape("ragged", 512, 4096, 12, 64),
    ]


DRY = [Shape("equal", 8, 16, 2, 16), Shape("ragged", 24, 60, 2, 16), Shape("equal", 24, 48, 2, 16, window=3)]
