"""A running mean of the weights, which often predicts better than where the last step happened to land.

After n steps, the weights w_1 .. w_n have the mean in which each counts `decay` times as much as the next
(Polyak and Juditsky, 1992; Morales-Brotons et al., 2024, "Exponential Moving Average of Weights in Deep
Learning")::

    mean_n = sum over k of decay^(n - k) w_k  /  sum over k of decay^(n - k)

The division makes it a true mean from the first step on; the weights before that step have no part in it. A
decay of 0.99 looks back about 100 steps, 0.999 about 1,000.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from minibert.distributed.sharding import like
from minibert.errors import InputError


class Average:
    """The mean of some weights over the steps so far; with decay 0 there is none, and every method rests.

    >>> weight = torch.nn.Parameter(torch.tensor([3.0]))
    >>> average = Average([weight], decay=0.5)
    >>> average.update(1)
    >>> weight.data[:] = 6.0
    >>> average.update(2)  # (0.5 * 3 + 1 * 6) / 1.5
    >>> with average.applied():
    ...     weight.item()
    5.0
    >>> weight.item()
    6.0
    """

    def __init__(self, weights: Sequence[Tensor], decay: float) -> None:
        self.weights, self.decay = list(weights) if decay else [], decay
        self.means: list[Tensor] = []

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights as they are after `step`, the first step being 1."""
        if not self.means:
            self.means = [weight.detach().clone() for weight in self.weights]
        share = (1 - self.decay) / (1 - self.decay**step)
        for mean, weight in zip(self.means, self.weights, strict=True):
            mean.lerp_(weight, share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the mean in a `with` block, and its own weights back afterwards."""
        own = [weight.detach().clone() for weight in self.weights]
        self.settle()
        try:
            yield
        finally:
            self._write(own)

    def settle(self) -> None:
        """Give the model the mean for good; before the first step it keeps its weights."""
        self._write(self.means)

    @torch.no_grad()
    def _write(self, values: Sequence[Tensor]) -> None:
        for weight, value in zip(self.weights, values, strict=False):
            weight.copy_(value)

    def state(self) -> list[Tensor]:
        """Return what a resumed run needs."""
        return self.means

    def load(self, means: Sequence[Tensor], step: int) -> None:
        """Go on from what `state` returned after `step`.

        Raises InputError where the earlier run kept an average and this one does not, or the reverse.
        """
        wanted = len(self.weights) if step else 0
        if len(means) != wanted:
            raise InputError(
                f"the run to resume kept the averages of {len(means)} weights and this one needs {wanted}; "
                "give the ema_decay that it had"
            )
        self.means = [like(mean, weight).clone() for mean, weight in zip(means, self.weights, strict=False)]
