"""Dropout with sixteen random bits for a value (Srivastava et al., 2014, section 4).

Each value is kept with probability 1 - p and divided by it, so that its mean stays. On a CPU it is not the
arithmetic that costs but

- the generator, of which torch asks one number for each value: here one draw of 64 bits serves four values,
  at the price that p is rounded to a multiple of 1 / 65,536;
- a product of numbers with truth values, which goes value by value: here the bits of a value, as a whole
  number, are multiplied by 1 or 0, which goes 16 or 32 values at a time and gives the value or zero.
"""

from typing import Any

import torch
from torch import Tensor

LEVELS = 2**16
WHOLE_NUMBER = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # as many bytes as a value


def draw(x: Tensor, p: float) -> Tensor:
    """Return which values of x are kept, as 1 or 0 (int16), each dropped with probability p."""
    draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    pieces = draws.view(torch.int16)[: x.numel()].view(x.shape)
    return torch.ge(pieces, min(_dropped(p) - LEVELS // 2, LEVELS // 2 - 1), out=pieces)


def keep(x: Tensor, kept: Tensor) -> Tensor:
    """Return x where `kept` is 1, zero where it is 0.

    >>> keep(torch.tensor([1.5, -2.5, float("inf")]), torch.tensor([1, 0, 0], dtype=torch.int16))
    tensor([1.5000, 0.0000, 0.0000])
    """
    return (x.view(WHOLE_NUMBER[x.element_size()]) * kept).view(x.dtype)


def gain(p: float) -> float:
    """Return what the kept values are multiplied by, so that the mean stays; 0 where nothing is kept.

    >>> gain(0.0), gain(0.5), gain(1.0)
    (1.0, 2.0, 0.0)
    """
    kept = LEVELS - _dropped(p)
    return LEVELS / kept if kept else 0.0


def _dropped(p: float) -> int:
    return round(p * LEVELS)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        kept = draw(x, p)
        ctx.save_for_backward(kept)
        ctx.gain = gain(p)
        return keep(x, kept).mul_(ctx.gain)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (kept,) = ctx.saved_tensors
        return keep(grads[0], kept).mul_(ctx.gain), None


def dropout(x: Tensor, p: float) -> Tensor:
    """Return x with each value dropped with probability p, the others divided by 1 - p.

    >>> dropout(torch.ones(3), 0.0).tolist(), set(dropout(torch.ones(99), 0.5).tolist()) <= {0.0, 2.0}
    ([1.0, 1.0, 1.0], True)
    """
    if p == 0:
        return x
    if torch.compiler.is_compiling() or x.device.type != "cpu":
        return torch.nn.functional.dropout(x, p)
    dropped: Tensor = _Dropout.apply(x, p)
    return dropped
