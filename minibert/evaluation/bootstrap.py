"""How far a score would move with other examples of the same kind: the percentile bootstrap.

The N examples are drawn N times with replacement, and the score is computed anew; of a thousand such scores
the middle 95 % are the interval. Two systems that answered the same examples are compared on the same draws,
which says more than two intervals side by side.

Macro F1 is that of the tasks, the mean over the classes that are wanted. The macro avg of the report is
scikit-learn's: it counts a class that is only given, with an F1 of 0. Where they differ, in_words.py says so.

Source: B. Efron (1979), Bootstrap Methods: Another Look at the Jackknife; P. Koehn (2004), Statistical
Significance Tests for Machine Translation Evaluation, for pairs of systems.

Letters: B draws, N examples, C labels. Left out: what other seeds of training would give (--seeds), and
scores that are no counts of labels (resampled.py).
"""

from collections.abc import Iterator

import numpy as np

from minibert.errors import InputError
from minibert.evaluation.class_report import share
from minibert.evaluation.outcomes import Outcomes

AT_ONCE = 4_000_000  # cells of a table of draws
Interval = tuple[float, float]
METRICS = ("accuracy", "micro_f1", "macro_f1", "weighted_f1")


def scores_of(outcomes: Outcomes) -> dict[str, float]:
    """Return the scores that intervals are given for.

    >>> from minibert.evaluation.outcomes import of_choices
    >>> scores_of(of_choices([["a"], ["b"]], [["a"], ["a"]], ["a", "b"]))["accuracy"]
    0.5
    """
    return {name: float(values[0]) for name, values in _scores(_columns(outcomes).sum(axis=0)[None]).items()}


def intervals(outcomes: Outcomes, *, draws: int = 1000, seed: int = 0) -> dict[str, Interval]:
    """Return the 95 % interval of each score over `draws` draws of the examples.

    >>> from minibert.evaluation.outcomes import of_choices
    >>> outcomes = of_choices([["a"], ["b"]] * 50, [["a"], ["a"]] * 50, ["a", "b"])
    >>> low, high = intervals(outcomes)["accuracy"]
    >>> 0.35 < low < 0.45 and 0.55 < high < 0.65
    True
    """
    return {name: middle(values) for name, values in drawn_scores(outcomes, draws=draws, seed=seed).items()}


def gains(one: Outcomes, other: Outcomes, *, draws: int = 1000, seed: int = 0) -> dict[str, Interval]:
    """Return the 95 % intervals of what `one` has more than `other` on the same draws."""
    if len(one) != len(other):
        raise InputError(
            f"{len(one)} examples and {len(other)}; two systems are compared on the same examples"
        )
    first, second = (drawn_scores(each, draws=draws, seed=seed) for each in (one, other))
    return {name: middle(first[name] - second[name]) for name in first}


def drawn_scores(outcomes: Outcomes, *, draws: int, seed: int) -> dict[str, np.ndarray]:
    """Return each score (B,) of B draws; a pure function of seed and N."""
    check_draws(draws)
    columns = _columns(outcomes).astype(np.float64)
    parts = [_scores(times @ columns) for times in _times(len(outcomes), draws, seed)]
    return {name: np.concatenate([part[name] for part in parts]) for name in METRICS}


def _times(examples: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Yield tables (b, N) of how often each example was drawn, b draws at a time."""
    random = np.random.default_rng(seed)
    size = max(1, AT_ONCE // max(1, examples))
    for start in range(0, draws, size):
        rows = min(size, draws - start)
        chosen = random.integers(0, examples, (rows, examples)) + examples * np.arange(rows)[:, None]
        counts = np.bincount(chosen.ravel(), minlength=rows * examples)
        yield counts.reshape(rows, examples).astype(np.float64)


def _columns(outcomes: Outcomes) -> np.ndarray:
    """Lay the counts of an example in one row: (N, 3 C + 2)."""
    ends = np.stack([outcomes.exact, outcomes.units], axis=1)
    return np.concatenate([outcomes.right, outcomes.given, outcomes.wanted, ends], axis=1)


def _scores(sums_BX: np.ndarray) -> dict[str, np.ndarray]:
    """Score summed counts (B, 3 C + 2); macro F1 is over the classes that a draw holds, as in the tasks."""
    right_BC, given_BC, wanted_BC = np.split(sums_BX[:, :-2], 3, axis=1)
    f1_BC = share(2 * right_BC, given_BC + wanted_BC)
    return {
        "accuracy": share(sums_BX[:, -2], sums_BX[:, -1]),
        "micro_f1": share(2 * right_BC.sum(1), (given_BC + wanted_BC).sum(1)),
        "macro_f1": share((f1_BC * (wanted_BC > 0)).sum(1), (wanted_BC > 0).sum(1)),
        "weighted_f1": share((f1_BC * wanted_BC).sum(1), wanted_BC.sum(1)),
    }


def check_draws(draws: int) -> None:
    """Raise InputError for no draws."""
    if draws < 1:
        raise InputError(f"{draws} draws; at least 1 is needed, 1000 are usual")


def middle(values: np.ndarray) -> Interval:
    """Return what holds the middle 95 % of values (B,)."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
