"""What the inference benchmark works on, how much, which texts, and what vectors of these are worth."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sentences import Labelled, manual, read


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    train, test    sentences that the regression learns from, and that it is asked
    timed          sentences of a timed pass
    reviews        of imdb, all timed
    probes         sentences, and reviews, on which the ways of one contestant are compared
    ways           of these, how many are tried; 0 is all
    threads        0 leaves them to torch
    """

    train: int = 1500
    test: int = 872
    timed: int = 1000
    reviews: int = 100
    probes: tuple[int, int] = (128, 32)
    ways: int = 0
    rounds: int = 3
    threads: int = 0


DRY = Plan(train=60, test=40, timed=16, reviews=4, probes=(4, 2), ways=1, rounds=2, threads=1)


@dataclass(frozen=True)
class Workload:
    """Texts to embed; where `test` is there, the vectors of `train` serve to tell its labels."""

    name: str
    train: Labelled
    test: Labelled
    timed: int
    probe: int

    @property
    def texts(self) -> list[str]:
        return self.train.texts + self.test.texts


def workloads(plan: Plan, data: Path | None) -> list[Workload]:
    """Read the texts; those of the manual where there is no folder."""
    if data is None:
        found, none = manual(), Labelled([], [])
        test = Labelled(found.texts[plan.train :], found.labels[plan.train :]).some(plan.test)
        joined = [" ".join(found.texts[start::40]) for start in range(plan.reviews)]
        long = Workload("imdb", Labelled(joined, [0] * len(joined)), none, plan.reviews, plan.probes[1])
        return [Workload("sst2", found.some(plan.train), test, plan.timed, plan.probes[0]), long]
    train, test = read(data / "sst2/train.jsonl"), read(data / "sst2/dev.jsonl")
    reviews = read(data / "imdb/dev.jsonl.xz")
    return [
        Workload("sst2", train.some(plan.train), test.some(plan.test), plan.timed, plan.probes[0]),
        Workload("imdb", reviews.some(plan.reviews), Labelled([], []), plan.reviews, plan.probes[1]),
    ]


def answers(vectors: np.ndarray, workload: Workload) -> np.ndarray:
    """Return for each test sentence whether a regression on the vectors tells its label."""
    from sklearn.linear_model import LogisticRegression

    count = len(workload.train.texts)
    model = LogisticRegression(max_iter=1000).fit(vectors[:count], workload.train.labels)
    found: np.ndarray = model.predict(vectors[count:]) == np.array(workload.test.labels)
    return found


def equal(right: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether two lists of answers differ in accuracy by no more than two standard deviations.

    >>> equal(np.array([True] * 9), np.array([True] * 6 + [False] * 3))
    True
    >>> equal(np.array([True] * 9), np.array([True] * 2 + [False] * 7))
    False
    """
    more, less = int((right & ~other).sum()), int((other & ~right).sum())
    return abs(more - less) <= 2 * math.sqrt(more + less)
