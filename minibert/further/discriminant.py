"""A linear discriminant that learns class after class: sums are kept, never rows.

Vectors of a class are taken to be normally distributed about its mean, with one covariance for all::

    S        = 1/N sum_n (x_n - mean of its class) (x_n - mean of its class)'
    S~       = (1 - s) S + s trace(S) / D  I                                    s = 0.1
    score_c  = m_c' S~^-1 x - m_c' S~^-1 m_c / 2                                classes equally likely

What all scores share is taken away, so that they are small enough for bfloat16.

S follows from the sum of x x', and from each class's count and sum; what came first does not matter (Hayes
and Kanan, 2020, "Lifelong Machine Learning with Deep Streaming Linear Discriminant Analysis"). The second
line is for where there are fewer vectors than they have numbers (Friedman, 1989).

Letters: N vectors, D their size, C classes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from minibert.tasks.model import Model
from minibert.tasks.pooling import pool
from minibert.tasks.windows import grouped

READ_AT_ONCE = 8192  # tokens
SHRINKAGE = 0.1
NOTHING = 1e-9  # where every class has one vector, the nearest is the likeliest


class Discriminant:
    """What is known of the classes that came.

    >>> seen = Discriminant()
    >>> seen.add(torch.tensor([[0.0, 1.0], [0.0, 3.0]]), ["low", "low"])
    >>> seen.add(torch.tensor([[9.0, 1.0], [9.0, 3.0]]), ["high", "high"])
    >>> weight, bias = seen.solve()
    >>> seen.labels[int((weight @ torch.tensor([8.0, 2.0]).double() + bias).argmax())]
    'high'
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.sums: dict[str, Tensor] = {}
        self.squares_DD: Tensor | float = 0.0

    @property
    def labels(self) -> list[str]:
        """The classes, in the order in which they came."""
        return [*self.counts]

    def add(self, vectors_ND: Tensor, labels: Sequence[str]) -> None:
        """Take in vectors and the class of each."""
        vectors_ND = vectors_ND.double().cpu()
        self.squares_DD = self.squares_DD + vectors_ND.T @ vectors_ND
        for label, vector_D in zip(labels, vectors_ND, strict=True):
            self.counts[label] = self.counts.get(label, 0) + 1
            self.sums[label] = self.sums.get(label, 0) + vector_D

    def solve(self) -> tuple[Tensor, Tensor]:
        """Return the weights (C, D) and biases (C,), float64, by `labels`."""
        counts_C1 = torch.tensor([*self.counts.values()], dtype=torch.float64)[:, None]
        means_CD = torch.stack([*self.sums.values()]) / counts_C1
        within_DD = (self.squares_DD - means_CD.T @ (counts_C1 * means_CD)) / counts_C1.sum()
        size = len(within_DD)
        even = SHRINKAGE * float(within_DD.trace()) / size
        smooth_DD = (1 - SHRINKAGE) * within_DD + max(even, NOTHING) * torch.eye(size, dtype=torch.float64)
        weight_CD = torch.linalg.solve(smooth_DD, means_CD.T).T
        bias_C = -(weight_CD * means_CD).sum(1) / 2
        return weight_CD - weight_CD.mean(0), bias_C - bias_C.mean()


@torch.no_grad()
def mean_vectors(model: Model, examples: Sequence[Any]) -> tuple[Tensor, list[int]]:
    """Return the mean of what a model's encoder says of each window, (M, D), and whose window it is."""
    model.eval()
    device = next(model.parameters()).device
    windows = model.encode(examples)
    found, owners = [], []
    for group in grouped(windows, READ_AT_ONCE):
        batch = model.task.pack([windows[number][place] for number, place in group]).to(device)
        found.append(pool("mean", model.encoder(batch), batch.layout).double().cpu())
        owners += [number for number, _ in group]
    return torch.cat(found), owners
