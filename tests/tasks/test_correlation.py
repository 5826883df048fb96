"""Correlations as scipy has them, and what they are where scipy gives up."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.errors import InputError
from minibert.tasks.correlation import pearson, ranks, spearman

NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda number: round(number, 3))
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=30)
TIED = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=30)


def test_by_hand():
    # Deviations -1.5 -0.5 0.5 1.5 and -2 0 -1 3: their product sums to 7, their squares to 5 and 14.
    assert pearson([1, 2, 3, 4], [1, 3, 2, 6]) == pytest.approx(7 / math.sqrt(5 * 14))
    # Ranks 1 2.5 2.5 4 and 1 2 3 4: 4.5 of sqrt(4.5 * 5).
    assert spearman([1, 7, 7, 9], [1, 2, 3, 4]) == pytest.approx(4.5 / math.sqrt(4.5 * 5))


@given(rows=st.one_of(PAIRS, TIED))
def test_scipy_agrees(rows):
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    first, second = (np.array(column, float) for column in zip(*rows, strict=True))
    if first.std() < 1e-3 or second.std() < 1e-3:
        return
    np.testing.assert_array_equal(ranks(first), stats.rankdata(first))
    assert pearson(first, second) == pytest.approx(stats.pearsonr(first, second).statistic, abs=1e-9)
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-9)


@given(rows=PAIRS, scale=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3))
def test_a_unit_changes_no_correlation_and_a_minus_turns_it_around(rows, scale, shift):
    first, second = (np.array(column, float) for column in zip(*rows, strict=True))
    if first.std() < 1e-3 * max(1.0, np.abs(first).max()) or second.std() < 1e-3:
        return
    for measure in (pearson, spearman):
        assert measure(scale * first, second) == pytest.approx(measure(first, second), abs=1e-6)
        assert measure(-first, second) == pytest.approx(-measure(first, second), abs=1e-6)
    assert pearson(first + shift, second) == pytest.approx(pearson(first, second), abs=1e-4)
    assert pearson(first, second) == pearson(second, first)


@pytest.mark.parametrize("measure", [pearson, spearman])
def test_a_constant_or_a_single_number_has_no_correlation(measure):
    assert measure([3, 3, 3], [1, 2, 3]) == 0.0
    assert measure([1, 2, 3], [3, 3, 3]) == 0.0
    assert measure([3], [3]) == 0.0


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([1, 2], [1, 2, 3], r"\(2,\) and \(3,\)"),
        ([], [], r"\(0,\)"),
        ([1, math.nan], [1, 2], "nan"),
        ([1, math.inf], [1, 2], "infinite"),
    ],
)
def test_lists_that_do_not_belong_together_are_refused(first, second, message):
    with pytest.raises(InputError, match=message):
        pearson(first, second)


def test_ranks_refuse_nan():
    with pytest.raises(InputError, match="nan"):
        ranks([1, math.nan])


def test_very_large_and_very_small_numbers_do_not_overflow():
    assert pearson([1e300, 2e300, 3e300], [1e-300, 2e-300, 3e-300]) == pytest.approx(1.0)
