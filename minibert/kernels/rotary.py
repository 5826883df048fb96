"""Rotary positions: a token's place turns its queries and keys (Su et al., 2021, "RoFormer", equation 34).

Channel i and channel i + K/2 of a head are one point in the plane, turned by the angle::

    angle(place, i) = place * base^(-2 i / K)        i = 0 .. K/2 - 1

The product of a turned query and a turned key depends on the distance of their places alone. Low channels
turn fast and tell near places apart; high channels turn slowly and reach far.

Letters: T tokens, H heads, K head size.
"""

from typing import Any

import torch
from torch import Tensor

Angles = tuple[Tensor, Tensor]


def rotary_angles(positions_T: Tensor, head_size: int, base: float) -> Angles:
    """Return the cosine and sine of every token's angles, each (T, 1, K/2) in float32."""
    channels = torch.arange(0, head_size, 2, device=positions_T.device, dtype=torch.float64)
    speeds = base ** (-channels / head_size)
    angles = (positions_T[:, None].double() * speeds)[:, None, :]
    return angles.cos().float(), angles.sin().float()


class _Rotate(torch.autograd.Function):
    """Turns without intermediate copies; the gradient is turned back by the same angles."""

    @staticmethod
    def forward(ctx: Any, x_THK: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(x_THK, cos, sin)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turn(grads[0], cos, -sin), None, None


def _turn(x_THK: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    turned_THK = torch.empty(x_THK.shape, dtype=x_THK.dtype, device=x_THK.device)
    first, second = x_THK.chunk(2, dim=-1)
    into_first, into_second = turned_THK.chunk(2, dim=-1)
    torch.mul(first, cos, out=into_first).addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=into_second).addcmul_(first, sin)
    return turned_THK


def turn_in_place(x: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Turn half-split pairs of channels where they lie; for steps that autograd does not see."""
    first, second = x.chunk(2, dim=-1)
    before = first.clone()
    first.mul_(cos).addcmul_(second, sin, value=-1)
    second.mul_(cos).addcmul_(before, sin)


def rotate(x_THK: Tensor, angles: Angles) -> Tensor:
    """Turn each half-split pair of channels by its token's angle.

    >>> quarter = (torch.tensor([[[0.0]]]), torch.tensor([[[1.0]]]))    # 90 degrees
    >>> rotate(torch.tensor([[[1.0, 0.0]]]), quarter).tolist()
    [[[0.0, 1.0]]]
    """
    cos, sin = (part.to(x_THK.dtype) for part in angles)
    turned_THK: Tensor = _Rotate.apply(x_THK, cos, sin)
    return turned_THK


def take_apart(qkv_T3HK: Tensor, angles: Angles | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values, each (T, H, K); queries and keys turned if there are angles."""
    q_THK, k_THK, v_THK = qkv_T3HK.unbind(1)
    if angles is not None:
        q_THK, k_THK = rotate(q_THK, angles), rotate(k_THK, angles)
    return q_THK, k_THK, v_THK
