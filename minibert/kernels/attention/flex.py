"""Attention through torch's FlexAttention, which compiles a kernel around a rule of who may see whom.

The rule is one line of Python: same sequence, near enough, not later (Dong et al., 2024, "Flex Attention: A
Programming Model for Generating Optimized Attention Kernels"). Here it is a second opinion for our own
kernels, not a way to be fast: the blocks that can be skipped are looked for anew at every call, and each
number of tokens is compiled on its own.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minibert.kernels.attention.request import Machine, Request
from minibert.packed import Layout

Rule = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def flex_refuses(request: Request, machine: Machine) -> str | None:
    """Return why FlexAttention cannot do this, or None."""
    if machine.device != "cuda":
        return f"has no gradient except on a CUDA GPU, and this is {machine.device}"
    if reason := machine.no_triton():
        return reason
    if request.dropout:
        return "it drops no weights"
    if request.dtype == torch.float64:
        return "computes in bfloat16, float16 or float32, not in float64"
    return None


def rule_of(layout: Layout, memory: Layout, window: int | None, causal: bool) -> Rule:
    """Return the rule as FlexAttention calls it, over numbers of queries and keys in the packed batch."""
    owner_T, owner_U = layout.sequence_T, memory.sequence_T
    place_T, place_U = layout.positions, memory.positions

    def visible(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        seen = owner_T[query] == owner_U[key]
        if window is not None:
            seen = seen & ((place_T[query] - place_U[key]).abs() <= window)
        if causal:
            seen = seen & (place_U[key] <= place_T[query])
        return seen

    return visible


@functools.cache
def flex_function(device: str) -> Callable[..., Any]:
    """Return FlexAttention: compiled where there is a GPU, step by step elsewhere."""
    from torch.nn.attention.flex_attention import flex_attention

    function: Any = flex_attention
    return torch.compile(function, dynamic=False) if device == "cuda" else function


def flex_attention(
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
    from torch.nn.attention.flex_attention import create_block_mask

    assert not dropout
    memory = memory or layout
    if not layout.tokens or not memory.tokens:
        return torch.zeros_like(q_THK)
    rule = rule_of(layout, memory, window, causal)
    mask = create_block_mask(rule, None, None, layout.tokens, memory.tokens, device=str(q_THK.device))
    q_1HTK, k_1HUK, v_1HUK = (x.transpose(0, 1)[None] for x in (q_THK, k_UHK, v_UHK))
    output_1HTK: Tensor = flex_function(q_THK.device.type)(q_1HTK, k_1HUK, v_1HUK, block_mask=mask)
    return output_1HTK[0].transpose(0, 1)
