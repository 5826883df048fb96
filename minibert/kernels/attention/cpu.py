"""Attention as batched matrix products, over sequences of nearly one length at a time.

The packed batch is cut into `buckets`; each bucket is a rectangle (N, S), in which attention is two batched
matrix products around a softmax, and its gradient four. M says which weights dropout keeps, c = 1 / (1 - p)::

    W = softmax(Q K' / sqrt K)    P = M * W          O = c P V
    dV = P' (c dO)                dP = (c dO) V'     dS = P * dP - W * rowsum(dO * O)
    dQ = dS K / sqrt K            dK = dS' Q / sqrt K

The row sums of dO * O stand for those of P * dP (Dao et al., 2022, "FlashAttention", appendix B.2). Every
token's gradient goes straight to its place in one (T, 3, H, K): nothing is added up, nothing concatenated.

Up to 1,024 places the weights (N, H, S, S) are stored for the backward pass. Wider rectangles go a few heads
at a time, and those of which a window shows but a band, a few queries at a time, with the keys that these can
see; then the weights are worked out anew in the backward pass, unless dropout has to be the same again.
Where no gradient is asked for, no weight is ever stored: torch's fused kernel takes each rectangle whole.

Letters: T tokens, N sequences, S their width, H heads, K head size.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from minibert.kernels.attention.buckets import GROUPS, Bucket, buckets_of
from minibert.kernels.attention.request import Machine, Request
from minibert.kernels.attention.rules import WHOLE, Block, Rules, unseen
from minibert.kernels.dropout import draw, gain, keep
from minibert.kernels.rotary import Angles, turn_in_place
from minibert.packed import Layout


def cpu_refuses(request: Request, machine: Machine) -> str | None:
    """Return why this cannot be done, or should not, or None."""
    if machine.device != "cpu":
        return f"made for a CPU, and this is {machine.device}"
    if request.cross:
        return "queries and keys of different lengths are not supported"
    if request.dtype == torch.float16:
        return "float16 is slow on a CPU; use bfloat16 or float32"
    if request.max_seqlen > WHOLE and request.dropout:
        return f"it stores the weights for the sake of dropout, too many at {request.max_seqlen} tokens"
    return None


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
    output_THK: Tensor = _Attention.apply(qkv_T3HK, layout, angles, Rules(window, causal, dropout))
    return output_THK


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv_T3HK: Tensor, layout: Layout, angles: Angles | None, rules: Rules) -> Tensor:
        tokens, _, heads, size = qkv_T3HK.shape
        output_THK = qkv_T3HK.new_empty(tokens, heads, size)
        saved: list[Tensor] = []
        trains = ctx.needs_input_grad[0]
        for bucket in layout.once(buckets_of, GROUPS):
            cells_NS3HK = bucket.gather(qkv_T3HK)
            if trains or rules.dropout or rules.band(cells_NS3HK.shape[1]):
                rows_3NHSK = _turn(_rows_of_heads(cells_NS3HK), bucket, angles)
                heard, weights = _attend(rows_3NHSK, bucket, rules)
                heard_NSHK = rearrange(heard, "(n h) s k -> n s h k", h=heads)
                saved += [rows_3NHSK, *weights] if trains else []
            else:
                heard_NSHK = _answer(cells_NS3HK, bucket, angles, rules)
            bucket.put(output_THK, heard_NSHK)
        ctx.save_for_backward(output_THK, *saved)
        ctx.layout, ctx.angles, ctx.rules = layout, angles, rules
        return output_THK

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_THK: Tensor) -> tuple[Tensor | None, ...]:
        output_THK, *rest = ctx.saved_tensors
        saved = iter(rest)
        tokens, heads, size = output_THK.shape
        grad_qkv_T3HK = output_THK.new_empty(tokens, 3, heads, size)
        delta_TH1 = (grad_THK * output_THK).sum(-1, keepdim=True)
        for bucket in ctx.layout.once(buckets_of, GROUPS):
            rows_3NHSK = next(saved)
            grad, delta = (
                rearrange(bucket.gather(x, fill=0), "n s h k -> (n h) s k") for x in (grad_THK, delta_TH1)
            )
            grads_3NHSK = _gradients(rows_3NHSK, saved, grad, delta, bucket, rules=ctx.rules)
            grads_3NHSK = _turn(grads_3NHSK, bucket, ctx.angles, back=True)
            bucket.put(grad_qkv_T3HK, rearrange(grads_3NHSK, "three n h s k -> n s three h k"))
        return grad_qkv_T3HK, None, None, None


def _answer(cells_NS3HK: Tensor, bucket: Bucket, angles: Angles | None, rules: Rules) -> Tensor:
    """Return the output (N, S, H, K) of a rectangle that nobody asks the gradient of."""
    if angles is None:
        rows_3NHSK = rearrange(cells_NS3HK, "n s three h k -> three n h s k")
    else:
        rows_3NHSK = _turn(_rows_of_heads(cells_NS3HK), bucket, angles)
    _, count, heads, width, _ = rows_3NHSK.shape
    mask = unseen(bucket, Block.whole(count * heads, width), rules, rows_3NHSK.dtype)
    mask = None if mask is None else mask[:, None]
    q, k, v = rows_3NHSK
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)


def _attend(rows_3NHSK: Tensor, bucket: Bucket, rules: Rules) -> tuple[Tensor, list[Tensor]]:
    """Return the output (N H, S, K) of a rectangle, and its weights where they are to be stored."""
    q, k, v = rows_3NHSK.flatten(1, 2)
    heard, stored = torch.empty_like(q), []
    for block in rules.blocks(*q.shape[:2]):
        weights = _weights(q, k, block, bucket, rules)
        kept = keep(weights, draw(weights, rules.dropout)) if rules.dropout else weights
        _product(heard[block.asking], kept, v[block.seen], gain(rules.dropout), adds=False)
        if rules.stores(q.shape[1]):
            stored += [weights, kept]
    return heard, stored


def _weights(q: Tensor, k: Tensor, block: Block, bucket: Bucket, rules: Rules) -> Tensor:
    """Return softmax(Q K' / sqrt K) of a block, (heads, queries, keys)."""
    mask, scale = unseen(bucket, block, rules, q.dtype), 1 / math.sqrt(q.shape[-1])
    if mask is None:
        scores = torch.baddbmm(q.new_zeros(1), q[block.asking], k[block.seen].mT, beta=0, alpha=scale)
        return scores.softmax(-1)
    if len(mask) > 1:
        mask = mask.repeat_interleave(len(q) // len(mask), 0)[block.heads]
    return torch.baddbmm(mask, q[block.asking], k[block.seen].mT, alpha=scale).softmax(-1)


def _gradients(
    rows_3NHSK: Tensor, saved: Iterator[Tensor], grad: Tensor, delta: Tensor, bucket: Bucket, *, rules: Rules
) -> Tensor:
    """Return the gradients of a rectangle's queries, keys and values; along a band they add up in float32."""
    q, k, v = rows_3NHSK.flatten(1, 2)
    if adds := rules.band(q.shape[1]):
        grads_3NHSK = torch.zeros_like(rows_3NHSK, dtype=torch.promote_types(q.dtype, torch.float32))
    else:
        grads_3NHSK = torch.empty_like(rows_3NHSK)
    grad_q, grad_k, grad_v = grads_3NHSK.flatten(1, 2)
    grad = grad * gain(rules.dropout)
    scale = 1 / math.sqrt(q.shape[-1])
    for block in rules.blocks(*q.shape[:2]):
        if rules.stores(q.shape[1]):
            weights, kept = next(saved), next(saved)
        else:
            weights = kept = _weights(q, k, block, bucket, rules)
        asking, seen = block.asking, block.seen
        slope = grad[asking] @ v[seen].mT
        slope.mul_(kept).addcmul_(weights, delta[asking], value=-1)
        _product(grad_v[seen], kept.mT, grad[asking], 1.0, adds=adds)
        _product(grad_q[asking], slope, k[seen], scale, adds=adds)
        _product(grad_k[seen], slope.mT, q[asking], scale, adds=adds)
    return grads_3NHSK.to(q.dtype)


def _product(into: Tensor, left: Tensor, right: Tensor, scale: float, *, adds: bool) -> None:
    """Write scale * left right, or add it to what is there."""
    if adds:
        into.add_(left @ right, alpha=scale)
    else:
        torch.baddbmm(left.new_zeros(1), left, right, beta=0, alpha=scale, out=into)


def _rows_of_heads(cells_NS3HK: Tensor) -> Tensor:
    """Return (3, N, H, S, K), always a copy: it is changed in place."""
    count, width, three, heads, size = cells_NS3HK.shape
    rows_3NHSK = cells_NS3HK.new_empty(three, count, heads, width, size)
    return rows_3NHSK.copy_(rearrange(cells_NS3HK, "n s three h k -> three n h s k"))


def _turn(rows_3NHSK: Tensor, bucket: Bucket, angles: Angles | None, *, back: bool = False) -> Tensor:
    """Turn queries and keys by the angles of their tokens, in place; turn their gradients back."""
    if angles is not None:
        cos, sin = (bucket.gather(part.to(rows_3NHSK.dtype)).transpose(1, 2) for part in angles)
        turn_in_place(rows_3NHSK[:2], cos, -sin if back else sin)
    return rows_3NHSK
