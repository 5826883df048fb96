"""Two models on the same rows: what the resampling and McNemar's test say, against hand and SciPy."""

import numpy as np
import pytest
from fakes import FakeTokenizer
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from small_models import SHAPE

from minibert.data.examples import TextExample
from minibert.errors import InputError
from minibert.further.comparison import compare, disagreements, mcnemar
from minibert.tasks.classification import Classification, ClassificationOptions, Classified
from minibert.tasks.metrics import Choices

TASK = Classification(FakeTokenizer(61), SHAPE, ["a", "b"], ClassificationOptions())


def answers(right: list[bool]) -> list[Classified]:
    return [Classified("a" if yes else "b", {"a": float(yes), "b": float(not yes)}) for yes in right]


def gold(count: int) -> list[TextExample]:
    return [TextExample(str(number), label="a") for number in range(count)]


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_two_sided_binomial_test_of_a_fair_coin(first, second):
    wanted = binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(wanted)


def test_places_are_counted_where_one_model_alone_is_right():
    truth = ["a", "a", "b", "b"]
    old = Choices(truth, ["a", "b", "a", "b"], ("a", "b"))
    new = Choices(truth, ["a", "a", "b", "a"], ("a", "b"))
    assert disagreements(old, new) == (1, 2)


def test_the_same_answers_gain_nothing_in_any_draw():
    same = answers([True, False] * 10)
    found = compare(TASK, gold(20), old=same, new=same, resamples=50)
    assert (found.metric, found.gain, found.low, found.high, found.beyond) == ("accuracy", 0, 0, 0, 0)


def test_a_model_that_is_right_where_the_old_one_is_and_elsewhere_is_better_in_nearly_every_draw():
    old, new = answers([True] * 50 + [False] * 50), answers([True] * 70 + [False] * 30)
    found = compare(TASK, gold(100), old=old, new=new, resamples=200)
    assert found.gain == pytest.approx(0.2)
    assert found.beyond > 0.99
    assert 0.1 < found.low < 0.2 < found.high < 0.3
    assert compare(TASK, gold(100), old=old, new=new, resamples=200, margin=0.3).beyond < 0.05


def test_the_interval_is_that_of_the_normal_law_for_many_rows():
    right = np.random.default_rng(0)
    old, new = right.random(400) < 0.6, right.random(400) < 0.7
    found = compare(TASK, gold(400), old=answers(old), new=answers(new), resamples=800)
    difference = new.astype(float) - old
    spread = difference.std() / np.sqrt(400)
    assert found.low == pytest.approx(difference.mean() - 1.96 * spread, abs=0.4 * spread)
    assert found.high == pytest.approx(difference.mean() + 1.96 * spread, abs=0.4 * spread)


def test_of_an_error_the_lower_is_the_gain():
    old, new = answers([True] * 10), answers([True] * 10)
    new = [Classified("a", {"a": 0.6, "b": 0.4}) for _ in new]
    found = compare(TASK, gold(10), old=old, new=new, metric="calibration_error", resamples=20)
    assert found.new > found.old
    assert found.gain < 0


def test_a_metric_that_is_not_scored_is_named_with_those_that_are():
    same = answers([True] * 3)
    with pytest.raises(InputError, match=r"'f1' is not scored here; use one of accuracy"):
        compare(TASK, gold(3), old=same, new=same, metric="f1")
