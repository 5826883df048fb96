"""Attention through our own GPU kernels, which store nothing as large as the scores (see `fused/`)."""

import torch
from torch import Tensor

from minibert.kernels.attention.request import Machine, Request
from minibert.kernels.rotary import Angles
from minibert.packed import Layout

LARGEST_HEAD = 128
DTYPES = (torch.bfloat16, torch.float16, torch.float32)


def triton_refuses(request: Request, machine: Machine) -> str | None:
    """Return why the kernels cannot do this, or None."""
    if reason := machine.no_cuda() or machine.no_triton() or machine.too_old():
        return reason
    if request.dtype not in DTYPES:
        return f"computes in bfloat16, float16 or float32, not in {request.dtype_name}"
    if request.head_size > LARGEST_HEAD:
        return f"heads are at most {LARGEST_HEAD} wide, these are {request.head_size}"
    return None


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
    from minibert.kernels.attention.fused.operators import attention
    from minibert.kernels.attention.fused.table import blocks_for
    from minibert.kernels.attention.fused.tiles import tile_map

    memory = memory or layout
    if not layout.tokens or not memory.tokens:
        return torch.zeros_like(q_THK)
    rows = blocks_for("forward", q_THK.shape[2], q_THK).rows
    borders = (layout.cu_seqlens, memory.cu_seqlens)
    tiles = (layout.once(tile_map, rows), memory.once(tile_map, rows))
    seed, places = _seed(dropout, q_THK.device), _places(window, max(layout.max_seqlen, memory.max_seqlen))
    output_THK: Tensor = attention(q_THK, k_UHK, v_UHK, *borders, *tiles, seed, places, causal, dropout)[0]
    return output_THK


def triton_packed_attention(
    qkv_T3HK: Tensor,
    layout: Layout,
    angles: Angles | None = None,
    *,
    window: int | None = None,
    causal: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """Return the same for a packed qkv (T, 3, H, K), its queries and keys turned if there are angles."""
    from minibert.kernels.attention.fused.operators import packed_attention
    from minibert.kernels.attention.fused.table import blocks_for, whole_for
    from minibert.kernels.attention.fused.tiles import tile_map

    if not layout.tokens:
        return qkv_T3HK[:, 0]
    tiles = layout.once(tile_map, blocks_for("forward", qkv_T3HK.shape[3], qkv_T3HK).rows)
    cos, sin = (None, None) if angles is None else (part.contiguous() for part in angles)
    output_THK: Tensor = packed_attention(
        qkv_T3HK,
        layout.cu_seqlens,
        tiles,
        _seed(dropout, qkv_T3HK.device),
        cos,
        sin,
        whole_for(layout.max_seqlen),
        _places(window, layout.max_seqlen),
        causal,
        dropout,
    )[0]
    return output_THK


def _places(window: int | None, longest: int) -> int:
    """Return the window, or -1 where it hides nothing."""
    return -1 if window is None or window >= longest - 1 else window


def _seed(dropout: float, device: torch.device) -> Tensor:
    """Return what decides which weights are dropped: drawn on the device, so that a CUDA graph draws anew."""
    if not dropout:
        return torch.zeros(1, dtype=torch.int64, device=device)
    return torch.randint(2**62, (1,), device=device)
