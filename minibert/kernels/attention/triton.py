"""Attention through our own GPU kernels, which store nothing as large as the scores (see `fused/`)."""

import torch
from torch import Tensor

from minibert.packed import Layout

LARGEST_HEAD = 128
DTYPES = (torch.bfloat16, torch.float16, torch.float32)


def triton_attention(
    q_THK: Tensor,
    k_UHK: Tensor,
    v_UHK: Tensor,
    layout: Layout,
    memory: Layout | None = None,
    *,
    window: int | None = None,
    causal: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """Return softmax(Q K' / sqrt K) V for every sequence, (T, H, K)."""
    # Triton is no part of a plain install, and its kernels are made when they are imported.
    from minibert.kernels.attention.fused.launch import blocks_for
    from minibert.kernels.attention.fused.operators import attention
    from minibert.kernels.attention.fused.tiles import tile_map

    memory = memory or layout
    if not layout.tokens or not memory.tokens:
        return torch.zeros_like(q_THK)
    device = q_THK.device
    seed = (
        torch.randint(2**62, (1,), device=device)
        if dropout
        else torch.zeros(1, dtype=torch.int64, device=device)
    )
    places = -1 if window is None else window
    rows = blocks_for(q_THK.shape[2], q_THK.dtype).rows
    borders = (layout.cu_seqlens, memory.cu_seqlens)
    tiles = (layout.once(tile_map, rows), memory.once(tile_map, rows))
    output_THK: Tensor = attention(q_THK, k_UHK, v_UHK, *borders, *tiles, seed, places, causal, dropout)[0]
    return output_THK
