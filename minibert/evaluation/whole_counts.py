"""Which whole numbers of answers a class's printed scores may have come from.

Behind precision, recall and F1 stand three counts: n examples of the class (its support), k answers that name
it, and r of them right::

    precision = r / k        recall = r / n        F1 = 2 r / (k + n)

So a recall of 0.93 of 7 examples cannot be: 6/7 is 0.86 and 7/7 is 1. A ratio with nothing below its line is
0, 1 or undefined, as scikit-learn's `zero_division` says.
"""

import math
from dataclasses import dataclass

import numpy as np

from minibert.evaluation.printed_numbers import Printed
from minibert.evaluation.printed_report import Line

MANY = 1_000_000  # candidates; where more whole numbers fit, rounding leaves nothing to find out


@dataclass(frozen=True)
class Counts:
    """The right answers and the answers of a class that fit its scores, as intervals of whole numbers."""

    fewest_right: float
    most_right: float
    fewest_answers: float
    most_answers: float


def counts_of(line: Line) -> Counts | None:
    """Return the counts that fit the scores of a class, None where no whole numbers do.

    The support must be a whole number.

    >>> def of(precision, recall):
    ...     return counts_of(Line("a", printed(precision), printed(recall), None, 7.0))
    >>> from minibert.evaluation.printed_numbers import printed
    >>> of("0.75", "0.86"), of("0.75", "0.93")
    (Counts(fewest_right=6, most_right=6, fewest_answers=8, most_answers=8), None)
    """
    assert line.support is not None and line.support == int(line.support)
    wanted = int(line.support)
    low, high = right_answers(line.recall, wanted)
    if low > high:
        return None
    found = [counts for counts in (_none_right(line, wanted) if low == 0 else None,) if counts]
    if high >= 1:
        some = _some_right(line, wanted, low=max(1, low), high=high)
        found += [some] if some else []
    if not found:
        return None
    return Counts(
        min(counts.fewest_right for counts in found),
        max(counts.most_right for counts in found),
        min(counts.fewest_answers for counts in found),
        max(counts.most_answers for counts in found),
    )


def right_answers(recall: Printed | None, wanted: int) -> tuple[int, int]:
    """Return the fewest and the most right answers of `wanted` that a recall may mean; (1, 0) for none.

    >>> from minibert.evaluation.printed_numbers import printed
    >>> right_answers(printed("0.67"), 300), right_answers(printed("0.67"), 2)
    ((200, 202), (2, 1))
    """
    if recall is None:
        return 0, wanted
    if not wanted or recall.undefined:
        nothing = not wanted and (recall.undefined or recall.low <= 0 or recall.high >= 1)
        return (0, 0) if nothing else (1, 0)
    low, high = max(0.0, recall.low) * wanted, min(1.0, recall.high) * wanted
    return math.ceil(low - 1e-9), math.floor(high + 1e-9)


def _none_right(line: Line, wanted: int) -> Counts | None:
    """Fit no right answer at all: the answers may be any number, or must be none."""
    precision, f1 = line.precision, line.f1
    wrong = precision is None or precision.low <= 0
    unasked = precision is None or precision.undefined or precision.low <= 0 or precision.high >= 1
    if f1 is not None:
        zero = f1.low <= 0
        wrong = wrong and zero
        unasked = unasked and (zero or (not wanted and (f1.undefined or f1.high >= 1)))
    if not (wrong or unasked):
        return None
    return Counts(0, 0, 0 if unasked else 1, math.inf if wrong else 0)


def _some_right(line: Line, wanted: int, *, low: int, high: int) -> Counts | None:
    """Fit at least one right answer."""
    scores = (line.precision, line.f1)
    if any(score is not None and score.undefined for score in scores):
        return None
    whole = high - low < MANY
    right_R = np.arange(low, high + 1, dtype=np.float64) if whole else np.array([low, high], np.float64)
    fewest_R, most_R = right_R, np.full(len(right_R), np.inf)
    for score, power, beside in ((line.precision, 1, 0), (line.f1, 2, wanted)):
        if score is not None:
            if score.high <= 0:
                return None
            fewest_R = np.maximum(fewest_R, power * right_R / min(1.0, score.high) - beside)
            if score.low > 0:
                most_R = np.minimum(most_R, power * right_R / score.low - beside)
    if whole:
        fewest_R, most_R = np.ceil(fewest_R - 1e-6), np.floor(most_R + 1e-6)
    fits_R = fewest_R <= most_R
    if whole and not fits_R.any():
        return None
    kept_R = fits_R if whole else np.full(len(right_R), True)
    return Counts(
        int(right_R[kept_R].min()),
        int(right_R[kept_R].max()),
        _whole(fewest_R[kept_R].min()),
        _whole(most_R[kept_R].max()),
    )


def _whole(number: float) -> float:
    return int(number) if math.isfinite(number) else math.inf
