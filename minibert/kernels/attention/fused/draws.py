"""The random numbers of attention dropout, made where they are needed and never stored.

Whether the weight between a query and a key is kept must come out alike in the forward and in the backward
kernel. So it is a function of (seed, head, query, key): a hash of 32 bits, "lowbias32" (Wellons, 2018), once
for each row and one round more for each weight. A generator such as Philox would cost more than the
attention.

`kept` and `row_keys` run inside the kernels, `kept_weights` is the same arithmetic in torch, for tests.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

FIRST, SECOND, GOLDEN = 0x7FEB352D, 0x846CA68B, 0x9E3779B1
_FIRST, _SECOND, _GOLDEN = tl.constexpr(FIRST), tl.constexpr(SECOND), tl.constexpr(GOLDEN)


@triton.jit
def scramble(x):
    """Mix 32 bits."""
    x = (x ^ (x >> 16)) * tl.cast(_FIRST, tl.uint32)
    x = (x ^ (x >> 15)) * tl.cast(_SECOND, tl.uint32)
    return x ^ (x >> 16)


@triton.jit
def row_keys(seed, head, rows):
    """Return a key for each query: rows are its places in the packed batch."""
    start = scramble(seed.to(tl.uint32) + head.to(tl.uint32) * tl.cast(_GOLDEN, tl.uint32))
    return scramble(start ^ rows.to(tl.uint32))


@triton.jit
def kept(keys, columns, THRESHOLD: tl.constexpr):
    """Say which weights are kept, (queries, keys): those whose hash reaches the threshold."""
    x = keys[:, None] ^ (columns.to(tl.uint32) * tl.cast(_GOLDEN, tl.uint32))[None, :]
    x = (x ^ (x >> 15)) * tl.cast(_FIRST, tl.uint32)
    return (x ^ (x >> 16)) >= tl.cast(THRESHOLD, tl.uint32)


def threshold(dropout: float) -> int:
    """Return the number of 32-bit values, of 2**32, that drop a weight.

    >>> threshold(0.0), threshold(0.25) == 2**30
    (0, True)
    """
    return min(round(dropout * 2**32), 2**32 - 1)


def kept_weights(seed: int, head: int, rows: Tensor, columns: Tensor, dropout: float) -> Tensor:
    """Return what `kept` says, (queries, keys) bool, computed by torch."""
    whole = 2**32 - 1

    def mixed(x: Tensor) -> Tensor:
        x = (x ^ (x >> 16)) * FIRST & whole
        x = (x ^ (x >> 15)) * SECOND & whole
        return x ^ (x >> 16)

    start = mixed(torch.tensor((seed + head * GOLDEN) & whole))
    keys = mixed(start ^ rows.long())
    x = keys[:, None] ^ (columns.long() * GOLDEN & whole)[None, :]
    x = (x ^ (x >> 15)) * FIRST & whole
    return (x ^ (x >> 16)) >= threshold(dropout)
