"""Which block of which sequence each program of a kernel works on.

A packed batch of lengths 3, 0 and 5, in blocks of 2 tokens, has five blocks of work::

    sequence   0 0 2 2 2 -1 -1       -1: a spare program, which leaves at once
    block      0 1 0 1 2  0  0

The map has ceil(T / block) + N entries whatever the lengths are, at least as many as there can be blocks. So
the grid depends on T and N alone, no one asks the GPU how long the longest sequence is, and a CUDA graph that
was captured with one packing serves every other.
"""

import torch
from torch import Tensor


def tile_map(cu_seqlens: Tensor, block: int, tokens: int) -> tuple[Tensor, Tensor]:
    """Return the sequence and the block in it for every program, both (ceil(tokens / block) + N,) int32.

    >>> sequence, block = tile_map(torch.tensor([0, 3, 3, 8]), 2, 8)
    >>> sequence.tolist(), block.tolist()
    ([0, 0, 2, 2, 2, -1, -1], [0, 1, 0, 1, 2, 0, 0])
    """
    count = cu_seqlens.shape[0] - 1
    programs = torch.arange(-(-tokens // block) + count, device=cu_seqlens.device)
    if count == 0:
        return torch.full_like(programs, -1, dtype=torch.int32), programs.int()
    blocks_N = (cu_seqlens.diff() + block - 1) // block
    ends_N = blocks_N.cumsum(0)
    sequence = torch.searchsorted(ends_N, programs, right=True)
    used = sequence < count
    owner = sequence.clamp(max=count - 1)
    place = programs - (ends_N - blocks_N)[owner]
    return torch.where(used, sequence, -1).int(), torch.where(used, place, 0).int()
