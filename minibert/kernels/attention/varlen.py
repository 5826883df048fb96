"""Attention through torch's own kernel for packed sequences, `torch.nn.attention.varlen`, on a CUDA GPU.

It is FlashAttention-2 (Dao, 2023) behind a function that takes packed tokens and their borders, as we have
them: nothing is padded. For long sequences it is hard to beat. It drops no weights.
"""

import functools
import importlib.util
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minibert.kernels.attention.request import Machine, Request
from minibert.packed import Layout

LARGEST_HEAD = 256


@functools.cache
def varlen_function() -> Callable[..., Tensor] | None:
    """Return torch's function, or None where this torch has none that knows windows (before 2.11)."""
    if importlib.util.find_spec("torch.nn.attention.varlen") is None:
        return None
    from torch.nn.attention.varlen import varlen_attn

    function: Any = varlen_attn
    return function if "window_size" in inspect.signature(function).parameters else None


def varlen_refuses(request: Request, machine: Machine) -> str | None:
    """Return why torch's kernel cannot do this, or None."""
    if reason := machine.no_cuda() or machine.too_old():
        return reason
    if request.dtype not in (torch.bfloat16, torch.float16):
        return f"computes in bfloat16 or float16, not in {request.dtype_name}"
    if request.dropout:
        return "it drops no weights"
    if request.head_size > LARGEST_HEAD or request.head_size % 8:
        return f"heads are multiples of 8 up to {LARGEST_HEAD}, these are {request.head_size}"
    if request.cross and (request.causal or request.window is not None):
        return "in cross-attention it counts places from the end"
    if varlen_function() is None:
        return f"torch {torch.__version__} has no variable-length attention with windows; 2.11 does"
    return None


def varlen_attention(
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
    """Return softmax(Q K' / sqrt K) V for every sequence, (T, H, K); `dropout` has to be 0."""
    memory = memory or layout
    if not layout.tokens or not memory.tokens:
        return torch.zeros_like(q_THK)
    attend = varlen_function()
    assert attend is not None and not dropout
    return attend(
        q_THK,
        k_UHK,
        v_UHK,
        layout.cu_seqlens,
        memory.cu_seqlens,
        layout.max_seqlen,
        memory.max_seqlen,
        window_size=reach(window, causal=causal),
    )


def reach(window: int | None, *, causal: bool) -> tuple[int, int]:
    """Return how many places a token sees to its left and right, -1 for all.

    >>> reach(None, causal=True), reach(64, causal=False)
    ((-1, 0), (64, 64))
    """
    places = -1 if window is None else window
    return places, 0 if causal else places
