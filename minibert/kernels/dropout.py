"""Dropout with sixteen random bits for a value (Srivastava et al., 2014, section 4).

Each value is kept with probability 1 - p and divided by it, so that its mean stays. On a CPU the generator is
what costs: torch draws one number for each value, from one thread. One draw of 64 bits serves four values
here, at the price that p is rounded to a multiple of 1 / 65,536.
"""

from typing import Any

import torch
from torch import Tensor

LEVELS = 2**16


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        threshold = round(p * LEVELS)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        pieces = draws.view(torch.int16)[: x.numel()].view(x.shape)
        ctx.scale = LEVELS / (LEVELS - threshold)
        kept = pieces >= threshold - LEVELS // 2
        ctx.save_for_backward(kept)
        return (x * kept).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (kept,) = ctx.saved_tensors
        return (grads[0] * kept).mul_(ctx.scale), None


def dropout(x: Tensor, p: float) -> Tensor:
    """Return x with each value dropped with probability p, the others divided by 1 - p.

    >>> dropout(torch.ones(3), 0.0).tolist(), set(dropout(torch.ones(99), 0.5).tolist()) <= {0.0, 2.0}
    ([1.0, 1.0, 1.0], True)
    """
    if p == 0:
        return x
    if (
        torch.compiler.is_compiling() or x.device.type != "cpu" or round(p * LEVELS) == LEVELS
    ):  # nothing is kept: nothing to divide by
        return torch.nn.functional.dropout(x, p)
    dropped: Tensor = _Dropout.apply(x, p)
    return dropped
