"""The equation of attention, one sequence at a time: what every other implementation is measured against.

For the queries Q, keys K and values V of one sequence and one head (Vaswani et al., 2017, "Attention Is All
You Need", equation 1)::

    scores  = Q K' / sqrt(K)          (S, S)
    weights = softmax(scores)         each row sums to 1
    output  = weights V               (S, K)

A query may be kept from keys that are more than `window` places away on either side (Beltagy et al., 2020,
"Longformer") or that come after it (causal): their score is minus infinity, so that their weight is zero.
In cross-attention the keys belong to the memory's sequence of the same number.

Letters: T tokens, U tokens of the memory, S sequence length, H heads, K head size.
Slow on purpose: nothing here is clever, so it can be trusted, in float64 too.
"""

import math

import torch
from torch import Tensor

from minibert.packed import Layout


def visible(queries: range, keys: range, *, window: int | None, causal: bool, device: torch.device) -> Tensor:
    """(queries, keys) bool: may a query at this place look at a key at that place? Both are ranges."""
    distance = _places(keys, device) - _places(queries, device)[:, None]
    seen = torch.ones_like(distance, dtype=torch.bool)
    if window is not None:
        seen &= distance.abs() <= window
    if causal:
        seen &= distance <= 0
    return seen


def _places(places: range, device: torch.device) -> Tensor:
    return torch.arange(places.start, places.stop, device=device)


def attention_weights(
    q_THK: Tensor,
    k_UHK: Tensor,
    layout: Layout,
    memory: Layout | None = None,
    *,
    window: int | None = None,
    causal: bool = False,
) -> list[Tensor]:
    """Return softmax(Q K' / sqrt K) of every sequence, each (H, queries, keys); for pictures too."""
    weights = []
    for q, k in zip(layout.split(q_THK), (memory or layout).split(k_UHK), strict=True):
        scores = torch.einsum("qhk,shk->hqs", q, k) / math.sqrt(q.shape[-1])
        hidden = ~visible(range(len(q)), range(len(k)), window=window, causal=causal, device=q.device)
        weights.append(scores.masked_fill(hidden, -math.inf).softmax(-1))
    return weights


def reference_attention(
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
    """Return weights V for every sequence, (T, H, K); `dropout` drops weights, not outputs."""
    weights = attention_weights(q_THK, k_UHK, layout, memory, window=window, causal=causal)
    outputs = [
        torch.einsum("hqs,shk->qhk", torch.nn.functional.dropout(w, dropout), v)
        for w, v in zip(weights, (memory or layout).split(v_UHK), strict=True)
    ]
    return torch.cat(outputs) if outputs else torch.zeros_like(q_THK)
