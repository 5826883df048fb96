"""Ordered levels, such as one to five stars: one score for a text, and thresholds that cut it into levels.

    p(level > k) = sigmoid(score - threshold_k)        threshold_0 < threshold_1 < ...

The score says how high a text is, the thresholds where the levels lie; so a text of four stars is nearer to
five than to one, which classes do not know, and levels need not lie equally far apart, which a plain number
does not know. The thresholds stay in order: each is the one before plus something above 0.

Source: P. McCullagh (1980), Regression Models for Ordinal Data: the proportional-odds model.
Letters: N texts, L levels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

NARROWEST = 0.01  # between two thresholds: at 0 a level would be impossible
QUICK = 20.0  # weights move in the third digit while an encoder is fine-tuned; thresholds have further to go


class Levels(nn.Module):
    """The thresholds between L levels.

    >>> levels = Levels([1.0, 2.0, 5.0])
    >>> levels.log_probabilities(torch.tensor([0.0])).exp().sum().round(decimals=4).item()
    1.0
    """

    def __init__(self, values: Sequence[float]) -> None:
        super().__init__()
        self.values = tuple(map(float, values))
        self.first = nn.Parameter(torch.zeros(1))
        self.steps = nn.Parameter(torch.zeros(max(0, len(self.values) - 2)))

    @torch.no_grad()
    def start(self, numbers: Sequence[float]) -> None:
        """Put the thresholds where a score of 0 gives each level the share that it has among the numbers."""
        places = self.nearest(np.asarray(numbers))
        count_L = np.bincount(places, minlength=len(self.values))
        below = np.cumsum(count_L)[:-1] / len(places)
        thresholds = np.log(below / (1 - below))
        self.first.copy_(torch.from_numpy(thresholds[:1]) / QUICK)
        gaps = torch.from_numpy(np.diff(thresholds)).clamp(min=2 * NARROWEST) - NARROWEST
        self.steps.copy_((gaps + torch.log(-torch.expm1(-gaps))) / QUICK)  # the inverse of softplus

    def thresholds(self) -> Tensor:
        """Return the thresholds (L - 1,), rising."""
        first = QUICK * self.first
        return torch.cat([first, first + (NARROWEST + softplus(QUICK * self.steps)).cumsum(0)])

    def log_probabilities(self, scores_N: Tensor) -> Tensor:
        """Return the logarithm of each level's probability (N, L).

        sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), which loses no digits far out.
        """
        inner = self.thresholds()
        ends = inner.new_tensor([float("inf")])
        lower_L, upper_L = torch.cat([-ends, inner]), torch.cat([inner, ends])
        above_NL, below_NL = scores_N[:, None] - lower_L, upper_L - scores_N[:, None]
        return logsigmoid(above_NL) + logsigmoid(below_NL) + torch.log1p(-torch.exp(lower_L - upper_L))

    def loss(self, scores_N: Tensor, numbers_N: Tensor) -> Tensor:
        """Return the summed negative log-likelihood of the levels that are nearest to the numbers."""
        places_N = (numbers_N[:, None] - numbers_N.new_tensor(self.values)).abs().argmin(1)
        return -self.log_probabilities(scores_N).gather(1, places_N[:, None]).sum()

    def expected(self, scores_N: Tensor) -> Tensor:
        """Return the expected level (N,)."""
        values_L = torch.tensor(self.values, dtype=torch.float64, device=scores_N.device)
        return self.log_probabilities(scores_N).double().exp() @ values_L

    def nearest(self, numbers: np.ndarray) -> np.ndarray:
        """Return the places of the levels nearest to some numbers; halfway, the lower."""
        places: np.ndarray = np.abs(numbers[:, None] - np.array(self.values)).argmin(axis=1)
        return places
