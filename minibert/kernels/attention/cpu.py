"""Attention as batched matrix products, over sequences of nearly one length at a time.

The packed batch is cut into `buckets`; each bucket is a rectangle (N, S), in which attention
is two batched matrix products around a softmax, and its gradient four::

    W = softmax(Q K' / sqrt K)    P = dropout(W)    O = P V
    dV = P' dO    dP = dO V'      dS = P * dP - W * rowsum(dO * O)
    dQ = dS K / sqrt K            dK = dS' Q / sqrt K

The row sums of dO * O stand for those of P * dP (Dao et al., 2022, "FlashAttention", appendix B.2). Writing
the gradient out means that every token's answer goes straight to its place in one (T, 3, H, K): nothing is
added up, nothing concatenated.

Up to 1,024 places the weights (N, H, S, S) are stored for the backward pass. Wider rectangles go a few heads
at a time, and those of which a window shows but a band, a few queries at a time, with the keys that these can
see; then the weights are worked out anew in the backward pass, unless dropout has to be the same again.

Letters: T tokens, N sequences, S their width, H heads, K head size.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from minibert.kernels.attention.buckets import GROUPS, Bucket, buckets_of
from minibert.kernels.attention.reference import visible
from minibert.kernels.attention.request import Machine, Request
from minibert.kernels.dropout import dropout as drop
from minibert.kernels.rotary import Angles, turn_in_place
from minibert.packed import Layout

WHOLE = 1024  # places of a rectangle whose weights are stored
SCORES = 2**24  # of a block in a wider one
BAND = 64  # queries at least, in a block under a window


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


class Block(NamedTuple):
    """Some of a rectangle's (N H) heads, some of their queries, and the keys that these see."""

    heads: slice
    queries: slice
    keys: slice

    @property
    def asking(self) -> tuple[slice, slice]:
        """Where the queries lie in a tensor (N H, S, ...)."""
        return self.heads, self.queries

    @property
    def seen(self) -> tuple[slice, slice]:
        """Where the keys lie."""
        return self.heads, self.keys


@dataclass(frozen=True)
class Rules:
    """Who sees whom, and how many weights are dropped."""

    window: int | None
    causal: bool
    dropout: float

    def blocks(self, count: int, width: int) -> list[Block]:
        """Cut `count` squares of `width` places into blocks.

        >>> for block in Rules(window=30, causal=False, dropout=0.0).blocks(12, 150):
        ...     print(*((part.start, part.stop) for part in block))
        (0, 12) (0, 64) (0, 94)
        (0, 12) (64, 128) (34, 150)
        (0, 12) (128, 150) (98, 150)
        """
        if self.window is not None and self.band(width):
            before, after = self.window, 0 if self.causal else self.window
            step = max(BAND, before)
            return [
                Block(
                    slice(0, count),
                    slice(first, min(first + step, width)),
                    slice(max(0, first - before), min(first + step + after, width)),
                )
                for first in range(0, width, step)
            ]
        step = count if width <= WHOLE else max(1, SCORES // width**2)
        return [
            Block(slice(first, min(first + step, count)), slice(0, width), slice(0, width))
            for first in range(0, count, step)
        ]

    def band(self, width: int) -> bool:
        """Whether the window shows so little that it pays to go along it."""
        return self.window is not None and 4 * self.window < width

    def stores(self, width: int) -> bool:
        """Whether the backward pass finds the weights stored."""
        return self.dropout > 0 or (width <= WHOLE and not self.band(width))


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv_T3HK: Tensor, layout: Layout, angles: Angles | None, rules: Rules) -> Tensor:
        tokens, _, heads, size = qkv_T3HK.shape
        output_THK = qkv_T3HK.new_empty(tokens, heads, size)
        saved: list[Tensor] = []
        for bucket in layout.once(buckets_of, GROUPS):
            rows_3NHSK = _rows_of_heads(bucket.gather(qkv_T3HK))
            _turn(rows_3NHSK, bucket, angles)
            heard, weights = _attend(rows_3NHSK, bucket, rules)
            bucket.put(output_THK, rearrange(heard, "(n h) s k -> n s h k", h=heads))
            if ctx.needs_input_grad[0]:
                saved += [rows_3NHSK, *weights]
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
            _turn(grads_3NHSK, bucket, ctx.angles, back=True)
            bucket.put(grad_qkv_T3HK, rearrange(grads_3NHSK, "three n h s k -> n s three h k"))
        return grad_qkv_T3HK, None, None, None


def _attend(rows_3NHSK: Tensor, bucket: Bucket, rules: Rules) -> tuple[Tensor, list[Tensor]]:
    """Return the output (N H, S, K) of a rectangle, and its weights where they are to be stored."""
    q, k, v = rows_3NHSK.flatten(1, 2)
    heard, stored = torch.empty_like(q), []
    for block in rules.blocks(*q.shape[:2]):
        weights = _weights(q, k, block, _mask(bucket, block, len(q), rules))
        dropped = drop(weights, rules.dropout)
        torch.bmm(dropped, v[block.seen], out=heard[block.asking])
        if rules.stores(q.shape[1]):
            stored += [weights, dropped]
    return heard, stored


def _weights(q: Tensor, k: Tensor, block: Block, mask: Tensor | None) -> Tensor:
    """Return softmax(Q K' / sqrt K) of a block, (heads, queries, keys)."""
    scale = 1 / math.sqrt(q.shape[-1])
    scores = torch.baddbmm(q.new_zeros(1), q[block.asking], k[block.seen].mT, beta=0, alpha=scale)
    if mask is not None:
        scores.masked_fill_(~mask, -math.inf)
    return scores.softmax(-1)


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
    scale = 1 / math.sqrt(q.shape[-1])
    for block in rules.blocks(*q.shape[:2]):
        if rules.stores(q.shape[1]):
            weights, dropped = next(saved), next(saved)
        else:
            weights = dropped = _weights(q, k, block, _mask(bucket, block, len(q), rules))
        asking, seen = block.asking, block.seen
        slope = grad[asking] @ v[seen].mT
        slope.mul_(dropped).addcmul_(weights, delta[asking], value=-1)
        _product(grad_v[seen], dropped.mT, grad[asking], 1.0, adds=adds)
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


def _turn(rows_3NHSK: Tensor, bucket: Bucket, angles: Angles | None, *, back: bool = False) -> None:
    """Turn queries and keys by the angles of their tokens; turn their gradients back."""
    if angles is None:
        return
    cos, sin = (bucket.gather(part.to(rows_3NHSK.dtype)).transpose(1, 2) for part in angles)
    turn_in_place(rows_3NHSK[:2], cos, -sin if back else sin)


def _mask(bucket: Bucket, block: Block, heads: int, rules: Rules) -> Tensor | None:
    """Return what may be seen, broadcastable to (heads, queries, keys), or None where everything may."""
    count, width = bucket.index_NS.shape
    inside = bucket.inside_NS.repeat_interleave(heads // count, 0)[block.seen][:, None]
    narrow = rules.window is not None and rules.window < width - 1
    if not narrow and not rules.causal:
        return None if bucket.full else inside
    places = range(width)[block.queries], range(width)[block.keys]
    seen = visible(*places, window=rules.window, causal=rules.causal, device=inside.device)
    # A padded query under a window may see no true key at all; its own place keeps the softmax finite.
    own = visible(*places, window=0, causal=False, device=inside.device)
    return (inside & seen) | own
