"""Attention over a padded rectangle, in operations that every exporter and every runtime knows.

A graph that leaves Python behind cannot count tokens: it gets N rows of one width S and a mask. The equation
is that of `reference`, for all rows at once, with a large negative number added to the scores that must not
be seen. Cells past a text's end get some answer, which nobody reads.

Letters: T = N S cells, N texts, S their width, H heads, K head size.
Left out: dropout and causal attention, which no exported encoder needs; speed, which is the runtime's.
"""

import math

import torch
from torch import Tensor

from minibert.kernels.attention.request import Machine, Request
from minibert.kernels.rotary import Angles
from minibert.packed import Layout

EVERYWHERE = -1  # the window of a layer that sees the whole text


def dense_refuses(request: Request, machine: Machine) -> str | None:
    """Return why this cannot be done, or None."""
    if request.dropout or request.causal or request.cross:
        return "made for exported encoders: no dropout, no causal attention, one text at a time"
    return None


def dense_attention(
    q_THK: Tensor,
    k_THK: Tensor,
    v_THK: Tensor,
    layout: Layout,
    *,
    window: int | None = None,
    causal: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """Return softmax(Q K' / sqrt K) V for every row of the rectangle, (T, H, K)."""
    assert layout.inside_NS is not None
    shape = layout.inside_NS.shape
    q, k, v = (x_THK.unflatten(0, shape).transpose(1, 2) for x_THK in (q_THK, k_THK, v_THK))
    unseen = layout.once(_unseen, EVERYWHERE if window is None else window).to(q.dtype)
    scores_NHSS = q @ k.mT / math.sqrt(q.shape[-1]) + unseen
    heard_NHSK = scores_NHSS.softmax(-1) @ v
    return heard_NHSK.transpose(1, 2).flatten(0, 1)


def dense_packed_attention(
    qkv_T3HK: Tensor,
    layout: Layout,
    angles: Angles | None = None,
    *,
    window: int | None = None,
    causal: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """Return the same for q, k and v side by side; q and k are turned by `angles` first."""
    q_THK, k_THK, v_THK = qkv_T3HK.unbind(1)
    if angles is not None:
        q_THK, k_THK = _turned(q_THK, angles), _turned(k_THK, angles)
    return dense_attention(q_THK, k_THK, v_THK, layout, window=window)


def _turned(x_THK: Tensor, angles: Angles) -> Tensor:
    """Turn as `rotate` does, without writing into parts of a tensor."""
    cos, sin = (part.to(x_THK.dtype) for part in angles)
    first, second = x_THK.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def _unseen(layout: Layout, window: int) -> Tensor:
    """Return what is added to scores, broadcastable to (N, H, S, S): 0, or a number far below them all.

    It is finite, so that a row without a token, or a cell that sees none, gives numbers and not NaN.
    """
    inside_NS = layout.inside_NS
    assert inside_NS is not None
    seen = inside_NS[:, None, None, :]
    if window != EVERYWHERE:
        places = torch.arange(layout.max_seqlen, device=inside_NS.device)
        seen = seen & ((places - places[:, None]).abs() <= window)
    return (~seen).float() * torch.finfo(torch.bfloat16).min
