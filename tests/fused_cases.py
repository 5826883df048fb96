"""What the tests of the fused kernels share: numbers of odd shapes, and the truth in float64."""

import numpy as np
import torch
from attention_oracle import loop_attention
from torch import Tensor

from minibert.kernels.attention.fused.launch import Rules, Side
from minibert.kernels.attention.fused.tiles import cut

TOLERANCE = {torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}
NO_SEED = torch.zeros(1, dtype=torch.int64)
PLAIN = Rules(-1, False, 0.0)


def borders(lengths: list[int]) -> Tensor:
    return torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32)


def side(lengths: list[int], rows: int) -> Side:
    return Side(borders(lengths), cut(borders(lengths), rows, sum(lengths)))


def draw(lengths: list[int], memory: list[int], dtype: torch.dtype, heads: int, size: int) -> list[Tensor]:
    """Return q, k, v and the output's gradient."""
    generator = torch.Generator().manual_seed(11)
    counts = (sum(lengths), sum(memory), sum(memory), sum(lengths))
    return [torch.randn(n, heads, size, generator=generator, dtype=torch.float64).to(dtype) for n in counts]


def truth(inputs: list[Tensor], lengths: list[int], memory: list[int] | None, rules: Rules) -> list[Tensor]:
    """Return output, dq, dk, dv."""
    found = loop_attention(
        *(x.double().numpy() for x in inputs),
        lengths=lengths,
        memory=memory,
        window=None if rules.window < 0 else rules.window,
        causal=rules.causal,
    )
    return [torch.from_numpy(x) for x in found]


def turned_truth(inputs: list[Tensor], lengths: list[int], rules: Rules, angles_TK: Tensor) -> list[Tensor]:
    """Return the same where queries and keys are turned first: points of the complex plane, multiplied."""
    by = torch.polar(torch.ones_like(angles_TK), angles_TK)[:, None]

    def turn(x: Tensor, factor: Tensor) -> Tensor:
        z = torch.complex(*x.double().chunk(2, -1)) * factor
        return torch.cat([z.real, z.imag], -1)

    q, k, v, grad = inputs
    output, dq, dk, dv = truth([turn(q, by), turn(k, by), v, grad], lengths, None, rules)
    return [output, turn(dq, by.conj()), turn(dk, by.conj()), dv]


def assert_near(found: list[Tensor], wanted: list[Tensor], tolerance: float) -> None:
    """Compare, relative to the truth's norm or the output's: dq and dk may be differences near zero."""
    least = wanted[0].norm()
    for name, mine, true in zip("output dq dk dv".split(), found, wanted, strict=True):
        assert mine.isfinite().all(), name
        assert (mine.double() - true).norm() <= tolerance * max(least, true.norm()), name


def poison(monkeypatch) -> None:
    """Fill fresh memory with NaNs, so that what no kernel writes is seen."""

    def poisoned(plain):
        def made(*args, **kwargs):
            memory = plain(*args, **kwargs)
            return memory.fill_(torch.nan) if memory.is_floating_point() else memory

        return made

    for name in ("empty", "empty_like"):
        monkeypatch.setattr(torch, name, poisoned(getattr(torch, name)))
