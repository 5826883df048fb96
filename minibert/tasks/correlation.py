"""Whether two lists of numbers go up and down together: Pearson's and Spearman's correlation.

*Pearson* asks for a straight line, *Spearman* only for the same order: it is Pearson's correlation of the
ranks, equal numbers sharing the mean of their ranks. Both lie in -1..1; where one list is constant there is
no correlation to speak of, and 0 is returned.

Sources: K. Pearson (1895); C. Spearman (1904), The Proof and Measurement of Association between Two Things.
Letters: N examples.
"""

from collections.abc import Sequence

import numpy as np

from minibert.errors import InputError

Numbers = Sequence[float] | np.ndarray


def pearson(first: Numbers, second: Numbers) -> float:
    """Return Pearson's correlation of two lists of N numbers.

    >>> pearson([1, 2, 3], [10, 20, 30]), pearson([1, 2, 3], [5, 5, 5])
    (1.0, 0.0)
    """
    first_N, second_N = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first_N.shape != second_N.shape or first_N.ndim != 1 or not len(first_N):
        raise InputError(
            f"{first_N.shape} and {second_N.shape} numbers came; two lists of the same length are wanted"
        )
    if not (np.isfinite(first_N).all() and np.isfinite(second_N).all()):
        raise InputError("nan or an infinite number came; a correlation needs numbers")
    if first_N.min() == first_N.max() or second_N.min() == second_N.max():
        return 0.0
    first_N, second_N = _unit(first_N), _unit(second_N)
    return float(np.clip(first_N @ second_N, -1.0, 1.0).round(15))


def spearman(first: Numbers, second: Numbers) -> float:
    """Return Spearman's correlation of two lists of N numbers.

    >>> spearman([1, 2, 3], [1, 10, 1000]), spearman([1, 2, 3], [2, 1, 0])
    (1.0, -1.0)
    """
    return pearson(ranks(first), ranks(second))


def ranks(numbers: Numbers) -> np.ndarray:
    """Return the rank of each of N numbers, from 1; equal numbers share the mean of their ranks.

    >>> ranks([30, 10, 30, 20]).tolist()
    [3.5, 1.0, 3.5, 2.0]
    """
    number_N = np.asarray(numbers, np.float64)
    if np.isnan(number_N).any():
        raise InputError("nan came; ranks need numbers")
    _, place_N, count = np.unique(number_N, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    mean_rank: np.ndarray = last - (count - 1) / 2
    return mean_rank[place_N.reshape(-1)]


def _unit(number_N: np.ndarray) -> np.ndarray:
    """Return the numbers with mean 0 and length 1, large and tiny ones alike."""
    centred_N = number_N / np.abs(number_N).max() - (number_N / np.abs(number_N).max()).mean()
    centred_N = centred_N / np.abs(centred_N).max()
    unit_N: np.ndarray = centred_N / np.linalg.norm(centred_N)
    return unit_N
