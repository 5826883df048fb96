"""The key/value cache: what a decoder that writes token by token need not work out twice.

No token sees a later one, so the keys and values of what is written never change. Each step asks one new
query for each sequence, and adds one key and one value to those that are kept::

    step t:   q_t  against  k_1 .. k_t,  v_1 .. v_t        work for one token instead of t

All sequences grow together, so the cache is a rectangle and needs no padding.

Letters: N sequences, S tokens so far, D hidden size, H heads, K head size.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from minibert.kernels.attention import attend
from minibert.kernels.rotary import Angles, take_apart
from minibert.model.attention import MultiHeadAttention
from minibert.packed import Layout


@dataclass(frozen=True)
class Cache:
    """The keys and values of all tokens so far, of one layer.

    >>> one = Cache(torch.ones(3, 1, 2, 4), torch.ones(3, 1, 2, 4))
    >>> one.grown(torch.ones(3, 2, 4), torch.ones(3, 2, 4)).keys_NSHK.shape
    torch.Size([3, 2, 2, 4])
    """

    keys_NSHK: Tensor
    values_NSHK: Tensor

    def grown(self, k_NHK: Tensor, v_NHK: Tensor) -> "Cache":
        """Return the cache with one more token for each sequence."""
        return Cache(
            torch.cat([self.keys_NSHK, k_NHK[:, None]], dim=1),
            torch.cat([self.values_NSHK, v_NHK[:, None]], dim=1),
        )

    def select(self, rows: Tensor) -> "Cache":
        """Keep these sequences, in this order; one may come more than once."""
        return Cache(self.keys_NSHK[rows], self.values_NSHK[rows])


def attend_next(
    attention: MultiHeadAttention, hidden_ND: Tensor, angles: Angles | None, cache: Cache | None
) -> tuple[Tensor, Cache]:
    """Let the newest token of each sequence look at itself and at all before it.

    hidden (N, D) and angles are those of the newest tokens; cache is None before the first. Returns what they
    heard, (N, D), and the cache with the newest token in it: the last row of each sequence of
    `attention.forward` over all tokens.
    """
    q_NHK, k_NHK, v_NHK = take_apart(attention.project(hidden_ND), angles)
    cache = Cache(k_NHK[:, None], v_NHK[:, None]) if cache is None else cache.grown(k_NHK, v_NHK)
    count, length = cache.keys_NSHK.shape[:2]
    device = hidden_ND.device
    heard_NHK = attend(
        q_NHK,
        cache.keys_NSHK.flatten(0, 1),
        cache.values_NSHK.flatten(0, 1),
        Layout.of([1] * count, device),
        Layout.of([length] * count, device),
        backend=attention.backend,
    )
    output_ND: Tensor = attention.output(rearrange(heard_NHK, "n h k -> n (h k)"))
    return output_ND, cache
