"""Whether one model is better than another on the same examples, or only luckier.

The paired bootstrap (Efron and Tibshirani, 1993; Koehn, 2004, "Statistical Significance Tests for Machine
Translation Evaluation") draws the kept examples anew, with replacement, many times, and scores both models
on each draw: any score of any task will do, for both see the same examples. McNemar's exact test (1947)
looks at the places where just one of the two is right; were they equally good, each would be a fair coin::

    p = 2 sum_{k <= min(b, c)} binom(b + c, k) / 2^(b + c)          at most 1

Left out: several metrics at once, corrections for looking at the same examples again and again.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from minibert.errors import InputError
from minibert.tasks.metrics import Choices
from minibert.tasks.task import Task
from minibert.training.best import goodness


@dataclass(frozen=True)
class Comparison:
    """Two models on the same examples.

    old, new   their scores by `metric`
    low, high  what the middle 95 % of the draws say of the gain, new - old; of an error, old - new
    beyond     share of the draws in which the gain is above the margin
    """

    metric: str
    old: float
    new: float
    low: float
    high: float
    beyond: float

    @property
    def gain(self) -> float:
        return goodness(self.metric, self.new) - goodness(self.metric, self.old)


def compare(
    task: Task,
    examples: Sequence[Any],
    *,
    old: Sequence[Any],
    new: Sequence[Any],
    metric: str | None = None,
    margin: float = 0.0,
    resamples: int = 1000,
) -> Comparison:
    """Score the answers of two models by the paired bootstrap; the same answers give the same numbers.

    metric  a score of the task; None takes its main one
    """
    scores = [task.score(answers, examples) for answers in (old, new)]
    chosen = metric or next(name for name, value in scores[0].items() if isinstance(value, int | float))
    for found in scores:
        if not isinstance(found.get(chosen), int | float):
            numbers = [name for name, value in found.items() if isinstance(value, int | float)]
            raise InputError(f"{chosen!r} is not scored here; use one of {', '.join(numbers)}")
    generator = np.random.Generator(np.random.Philox(key=[0, resamples]))
    gains = np.zeros(resamples)
    bar = tqdm(range(resamples), "compare", unit="draw", delay=3, disable=not sys.stderr.isatty())
    for draw in bar:
        rows = generator.integers(0, len(examples), len(examples))
        drawn = [examples[row] for row in rows]
        before, after = (task.score([answers[row] for row in rows], drawn)[chosen] for answers in (old, new))
        gains[draw] = goodness(chosen, after) - goodness(chosen, before)
    low, high = np.quantile(gains, (0.025, 0.975)).tolist()
    beyond = float((gains > margin).mean())
    return Comparison(chosen, float(scores[0][chosen]), float(scores[1][chosen]), low, high, beyond)


def mcnemar(only_old: int, only_new: int) -> float:
    """Return how likely so uneven a split is between two equally good models, two-sided, in 0..1.

    >>> mcnemar(1, 9), mcnemar(3, 3)
    (0.021484375, 1.0)
    """
    places, fewer = only_old + only_new, min(only_old, only_new)
    tail = sum(math.comb(places, k) for k in range(fewer + 1))
    return float(min(1.0, 2 * tail / 2**places))


def disagreements(old: Choices, new: Choices) -> tuple[int, int]:
    """Count the places where the old model alone is right, and those where the new one alone is.

    >>> old, new = Choices(["a", "b"], ["a", "a"], ("a", "b")), Choices(["a", "b"], ["b", "a"], ("a", "b"))
    >>> disagreements(old, new)
    (1, 0)
    """
    rows = list(zip(old.gold, old.predicted, new.predicted, strict=True))
    only_old = sum(gold == first != second for gold, first, second in rows)
    only_new = sum(gold == second != first for gold, first, second in rows)
    return only_old, only_new
