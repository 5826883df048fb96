"""Attention as batched matrix products, over sequences of nearly one length at a time.

The packed batch is cut into buckets (`Layout.buckets`); each bucket is a rectangle (N, S), in which attention
is two batched matrix products around a softmax, and its gradient four::

    W = softmax(Q K' / sqrt K)    P = dropout(W)    O = P V
    dV = P' dO    dP = dO V'      dS = P * dP - W * rowsum(dO * O)
    dQ = dS K / sqrt K            dK = dS' Q / sqrt K

The row sums of dO * O stand for those of P * dP (Dao et al., 2022, "FlashAttention", appendix B.2). Writing
the gradient out means that every token's answer goes straight to its place in one (T, 3, H, K): nothing is
added up, nothing concatenated.

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
from minibert.kernels.rotary import Angles, turn_in_place
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
    qkv_T3HK = torch.stack((q_THK, k_THK, v_THK), dim=1)
    return cpu_packed_attention(qkv_T3HK, layout, window=window, causal=causal, dropout=dropout)


def cpu_packed_attention(
    qkv_T3HK: Tensor,
    layout: Layout,
    angles: Angles | None = None,
    *,
    window: int | None = None,
    causal: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """Return the same for q, k and v side by side; q and k are turned by `angles` first."""
    output_THK: Tensor = _Attention.apply(qkv_T3HK, layout, angles, window, causal, dropout)
    return output_THK


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        qkv_T3HK: Tensor,
        layout: Layout,
        angles: Angles | None,
        window: int | None,
        causal: bool,
        dropout: float,
    ) -> Tensor:
        _, _, heads, size = qkv_T3HK.shape
        output_THK = qkv_T3HK.new_empty(len(qkv_T3HK), heads, size)
        kept = []
        for bucket in layout.buckets:
            rows_3NHSK = _rows_of_heads(bucket.gather(qkv_T3HK))
            _turn(rows_3NHSK, bucket, angles)
            q, k, v = rows_3NHSK.flatten(1, 2)
            scores = torch.baddbmm(q.new_zeros(1), q, k.mT, beta=0, alpha=1 / math.sqrt(size))
            mask = _mask(bucket, window, causal)
            if mask is not None:
                scores.unflatten(0, (-1, heads)).masked_fill_(~mask, -math.inf)
            weights = scores.softmax(-1)
            dropped = drop(weights, dropout)
            bucket.put(output_THK, rearrange(dropped @ v, "(n h) s k -> n s h k", h=heads))
            kept += [rows_3NHSK, weights, dropped]
        ctx.save_for_backward(output_THK, *kept)
        ctx.layout, ctx.angles = layout, angles
        return output_THK

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_THK: Tensor) -> tuple[Tensor | None, ...]:
        output_THK, *kept = ctx.saved_tensors
        tokens, heads, size = output_THK.shape
        grad_qkv_T3HK = output_THK.new_empty(tokens, 3, heads, size)
        delta_TH1 = (grad_THK * output_THK).sum(-1, keepdim=True)
        zero, scale = output_THK.new_zeros(1), 1 / math.sqrt(size)
        for bucket, rows_3NHSK, weights, dropped in zip(
            ctx.layout.buckets, kept[::3], kept[1::3], kept[2::3], strict=True
        ):
            q, k, v = rows_3NHSK.flatten(1, 2)
            grad, delta = (
                rearrange(bucket.gather(x, fill=0), "n s h k -> (n h) s k") for x in (grad_THK, delta_TH1)
            )
            grads_3NHSK = torch.empty_like(rows_3NHSK)
            grad_q, grad_k, grad_v = grads_3NHSK.flatten(1, 2)
            torch.bmm(dropped.mT, grad, out=grad_v)
            grad_scores = (grad @ v.mT).mul_(dropped).addcmul_(weights, delta, value=-1)
            torch.baddbmm(zero, grad_scores, k, beta=0, alpha=scale, out=grad_q)
            torch.baddbmm(zero, grad_scores.mT, q, beta=0, alpha=scale, out=grad_k)
            _turn(grads_3NHSK, bucket, ctx.angles, back=True)
            bucket.put(grad_qkv_T3HK, rearrange(grads_3NHSK, "three n h s k -> n s three h k"))
        return grad_qkv_T3HK, None, None, None, None, None


def _rows_of_heads(cells_NS3HK: Tensor) -> Tensor:
    """Return (3, N, H, S, K), always a copy: it is changed in place."""
    count, width, three, heads, size = cells_NS3HK.shape
    rows_3NHSK = cells_NS3HK.new_empty(three, count, heads, width, size)
    return rows_3NHSK.copy_(rearrange(cells_NS3HK, "n s three h k -> three n h s k"))


def _turn(rows_3NHSK: Tensor, bucket: Bucket, angles: Angles | None, *, back: bool = False) -> None:
    """Turn queries and keys by the angles of their tokens; turn their gradients back."""
    if angles is None:
        return
    cos, sin = (bucket.gather(part.to(rows_3NHSK.dtype)).transpose(1, 2) for part in angles)
    turn_in_place(rows_3NHSK[:2], cos, -sin if back else sin)


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
