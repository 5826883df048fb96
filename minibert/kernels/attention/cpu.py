"""Attention as batched matrix products, over sequences of nearly one length at a time.

The packed batch is cut into buckets (`Layout.buckets`); each bucket is a rectangle (N, S), in which attention
is two batched matrix products around a softmax. On a CPU the products run at the speed of the machine's
matrix library forward *and* backward, and a batch of equal lengths needs neither a copy nor a mask.

The weights (N, H, S, S) are stored for the backward pass: that is cheap for the lengths that one trains on a
CPU, and dear for very long texts.

Letters: T tokens, N sequences, S their width, H heads, K head size.
"""

import math

import torch
from einops import rearrange
from torch import Tensor

from minibert.kernels.attention.reference import visible
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
    outputs = []
    for bucket in layout.buckets:
        q, k, v = (rearrange(bucket.gather(x), "n s h k -> (n h) s k") for x in (q_THK, k_THK, v_THK))
        nothing = q.new_zeros(1)
        scores = torch.baddbmm(nothing, q, k.transpose(1, 2), beta=0, alpha=1 / math.sqrt(q.shape[-1]))
        scores_NHSS = rearrange(scores, "(n h) s z -> n h s z", h=q_THK.shape[1])
        mask = _mask(bucket, window, causal)
        if mask is not None:
            scores_NHSS = scores_NHSS.masked_fill(~mask, -math.inf)
        weights_NHSS = torch.nn.functional.dropout(scores_NHSS.softmax(-1), dropout, training=dropout > 0)
        output_NHSK = weights_NHSS.flatten(0, 1) @ v
        outputs.append(bucket.tokens(rearrange(output_NHSK, "(n h) s k -> n s h k", h=q_THK.shape[1])))
    if not outputs:
        return torch.zeros_like(q_THK)
    together = torch.cat(outputs)
    return together if layout.bucket_order is None else together[layout.bucket_order]


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
