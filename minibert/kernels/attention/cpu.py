"""Attention as batched matrix products, over sequences of nearly one length at a time.

The packed batch is cut into buckets (`Layout.buckets`); each bucket is a rectangle (N, S), in which attention
is two batched matrix products around a softmax, and its gradient four::

    W = softmax(Q K' / sqrt K)    P = dropout(W)    O = P V
    dV = P' dO    dP = dO V'      dS = P * dP - W * rowsum(dO * O)
    dQ = dS K / sqrt K            dK = dS' Q / sqrt K

The row sums of dO * O stand for those of P * dP (Dao et al., 2022, "FlashAttention", appendix B.2). Writing
the gradient out means that every token's answer goes straight to its place: nothing is added up, nothing
concatenated.

The weights (N, H, S, S) are stored for the backward pass: that is cheap for the lengths that one trains on a
CPU, and dear for very long texts.

Letters: T tokens, N sequences, S their width, H heads, K head size.
"""

import math
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from minibert.kernels.attention.reference import visible
from minibert.kernels.dropout import dropout as drop
from minibert.packed import Bucket, Layout


def cpu_attention(
    q_THK: Tensor,
    k_THK: Tensor,
    v_THK: Tensor,
    layout: Layout,
    *,
    window: int | None = None,
    causal: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """Return softmax(Q K' / sqrt K) V for every sequence, (T, H, K)."""
    output_THK: Tensor = _Attention.apply(q_THK, k_THK, v_THK, layout, window, causal, dropout)
    return output_THK


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q_THK: Tensor,
        k_THK: Tensor,
        v_THK: Tensor,
        layout: Layout,
        window: int | None,
        causal: bool,
        dropout: float,
    ) -> Tensor:
        output_THK = q_THK.new_empty(q_THK.shape)
        kept = []
        for bucket in layout.buckets:
            q, k, v = (_heads(bucket.gather(x_THK)) for x_THK in (q_THK, k_THK, v_THK))
            scores = _scaled(q, k.transpose(1, 2), 1 / math.sqrt(q.shape[-1]))
            mask = _mask(bucket, window, causal)
            if mask is not None:
                scores.unflatten(0, (-1, q_THK.shape[1])).masked_fill_(~mask, -math.inf)
            weights = scores.softmax(-1)
            dropped = drop(weights, dropout)
            bucket.put(output_THK, _tokens(dropped @ v, q_THK.shape[1]))
            kept += [weights, dropped]
        ctx.save_for_backward(q_THK, k_THK, v_THK, output_THK, *kept)
        ctx.layout = layout
        return output_THK

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_THK: Tensor) -> tuple[Tensor | None, ...]:
        q_THK, k_THK, v_THK, output_THK, *kept = ctx.saved_tensors
        grads = [x_THK.new_empty(x_THK.shape) for x_THK in (q_THK, k_THK, v_THK)]
        delta_TH1 = (grad_THK * output_THK).sum(-1, keepdim=True)
        scale = 1 / math.sqrt(q_THK.shape[-1])
        for bucket, weights, dropped in zip(ctx.layout.buckets, kept[::2], kept[1::2], strict=True):
            q, k, v = (_heads(bucket.gather(x_THK)) for x_THK in (q_THK, k_THK, v_THK))
            grad, delta = (_heads(bucket.gather(x, fill=0)) for x in (grad_THK, delta_TH1))
            grad_v = dropped.transpose(1, 2) @ grad
            grad_scores = (grad @ v.transpose(1, 2)).mul_(dropped).addcmul_(weights, delta, value=-1)
            grad_q = _scaled(grad_scores, k, scale)
            grad_k = _scaled(grad_scores.transpose(1, 2), q, scale)
            for whole_THK, part in zip(grads, (grad_q, grad_k, grad_v), strict=True):
                bucket.put(whole_THK, _tokens(part, q_THK.shape[1]))
        return *grads, None, None, None, None


def _heads(x_NSHK: Tensor) -> Tensor:
    return rearrange(x_NSHK, "n s h k -> (n h) s k")


def _tokens(x: Tensor, heads: int) -> Tensor:
    return rearrange(x, "(n h) s k -> n s h k", h=heads)


def _scaled(left: Tensor, right: Tensor, scale: float) -> Tensor:
    """Return scale * left right, for a batch of matrices, in one go."""
    return torch.baddbmm(left.new_zeros(1), left, right, beta=0, alpha=scale)


def _mask(bucket: Bucket, window: int | None, causal: bool) -> Tensor | None:
    """Return what may be seen, broadcastable to (N, H, S, S), or None where everything may."""
    width = bucket.index_NS.shape[1]
    device = bucket.index_NS.device
    narrow = window is not None and window < width - 1
    mask = visible(width, width, window=window, causal=causal, device=device) if narrow or causal else None
    if bucket.full:
        return mask
    inside = bucket.inside_NS[:, None, None, :]
    if mask is None:
        return inside
    # A padded query under a window may see no true key at all; its own place keeps the softmax finite.
    return (inside & mask) | torch.eye(width, dtype=torch.bool, device=device)
