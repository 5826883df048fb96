"""Which block of which sequence each program of a kernel works on.

A packed batch of lengths 3, 0 and 5, in tiles of 2 tokens, has five tiles of work::

    sequence   0 0 2 2 2 -1 -1       -1: a spare program, which leaves at once
    block      0 1 0 1 2  0  0

The map has ceil(T / rows) + N columns whatever the lengths are, at least as many as there can be tiles. So
the grid depends on T and N alone, no one asks the GPU how long the longest sequence is, and a CUDA graph that
was captured with one packing serves every other. One map serves all layers, forward and backward: whoever
holds the batch holds the map (`Layout.once(tile_map, rows)`).
"""

import torch
from torch import Tensor

from minibert.packed import Layout


def tile_map(layout: Layout, rows: int) -> Tensor:
    """Return the sequence of every program, and which of its tiles: (2, ceil(T / rows) + N) int32.

    >>> tile_map(Layout.of([3, 0, 5]), 2).tolist()
    [[0, 0, 2, 2, 2, -1, -1], [0, 1, 0, 1, 2, 0, 0]]
    """
    return cut(layout.cu_seqlens, rows, layout.tokens)


def cut(cu_seqlens: Tensor, rows: int, tokens: int) -> Tensor:
    """Return the map of a batch of which only the borders are known, on their device and without waiting."""
    count = cu_seqlens.shape[0] - 1
    programs = torch.arange(-(-tokens // rows) + count, device=cu_seqlens.device)
    if count == 0:
        return torch.stack([torch.full_like(programs, -1), programs]).int()
    tiles_N = (cu_seqlens.diff() + rows - 1) // rows
    ends_N = tiles_N.cumsum(0)
    sequence = torch.searchsorted(ends_N, programs, right=True)
    used = sequence < count
    owner = sequence.clamp(max=count - 1)
    place = programs - (ends_N - tiles_N)[owner]
    return torch.stack([torch.where(used, sequence, -1), torch.where(used, place, 0)]).int()
