"""Temperatures and thresholds, against a search over all of them."""

import numpy as np
import pytest
from check_task import shape
from fakes import FakeTokenizer
from hypothesis import given
from hypothesis import strategies as st

from minibert.data.examples import TextExample
from minibert.errors import InputError
from minibert.tasks.calibration import (
    COLDEST,
    HOTTEST,
    at_temperature,
    fit_rejection,
    fit_temperature,
    fit_threshold,
)
from minibert.tasks.classification import Classification
from minibert.tasks.label_sets import label_set_scores
from minibert.tasks.metrics import calibration_error

SEEDS = st.integers(0, 10_000)


def drawn(seed, n=40, classes=5, sharpness=3.0):
    """Return probabilities (n, classes), the logits they come from, and labels drawn from softer ones."""
    random = np.random.default_rng(seed)
    logits = sharpness * random.normal(size=(n, classes))
    powers = np.exp(logits)
    softer = np.exp(logits / 2)
    softer /= softer.sum(1, keepdims=True)
    gold = np.array([random.choice(classes, p=row) for row in softer])
    return powers / powers.sum(1, keepdims=True), logits, gold


def likelihood(probabilities, gold):
    return float(np.log(probabilities[np.arange(len(gold)), gold]).mean())


@given(seed=SEEDS)
def test_no_other_temperature_makes_the_labels_likelier(seed):
    probabilities, logits, gold = drawn(seed)
    best = fit_temperature(probabilities, gold)
    assert COLDEST <= best <= HOTTEST
    found = likelihood(at_temperature(probabilities, best), gold)
    for temperature in np.geomspace(COLDEST, HOTTEST, 60):
        powers = np.exp(logits / temperature - (logits / temperature).max(1, keepdims=True))
        shares = powers / powers.sum(1, keepdims=True)
        with np.errstate(divide="ignore"):
            assert likelihood(shares, gold) <= found + 1e-9


def test_a_temperature_mends_what_is_too_sure_and_keeps_the_order():
    probabilities, _, gold = drawn(7, n=4000)
    found = fit_temperature(probabilities, gold)
    assert found == pytest.approx(2.0, rel=0.1)
    cooled = at_temperature(probabilities, found)
    assert (cooled.argmax(1) == probabilities.argmax(1)).all()
    assert calibration_error(cooled, gold) < 0.03 < calibration_error(probabilities, gold)


def test_a_classifier_that_is_always_right_is_made_as_sure_as_may_be():
    assert fit_temperature(np.array([[0.6, 0.4]] * 3), np.zeros(3, int)) == pytest.approx(COLDEST, rel=1e-3)
    assert fit_temperature(np.array([[0.6, 0.4]] * 3), np.ones(3, int)) == pytest.approx(HOTTEST, rel=1e-3)


def accuracy_at(threshold, probabilities, gold):
    answers = np.where(probabilities.max(1) < threshold, -1, probabilities.argmax(1))
    return float((answers == gold).mean())


@given(seed=SEEDS, ties=st.booleans())
def test_no_other_threshold_rejects_better(seed, ties):
    probabilities, _, gold = drawn(seed, n=30, classes=3)
    probabilities = probabilities.round(1) if ties else probabilities
    gold[np.random.default_rng(seed).random(30) < 0.4] = -1
    gold[0] = -1
    best = accuracy_at(fit_rejection(probabilities, gold), probabilities, gold)
    for threshold in [*np.linspace(0, 1.01, 200), *probabilities.max(1)]:
        assert accuracy_at(threshold, probabilities, gold) <= best + 1e-12


def test_without_a_text_of_no_class_a_twentieth_is_rejected():
    probabilities, _, gold = drawn(3, n=200)
    threshold = fit_rejection(probabilities, gold)
    assert (probabilities.max(1) < threshold).sum() == 10


def test_one_text_is_enough_for_a_threshold():
    assert fit_rejection(np.array([[0.75, 0.25]]), np.array([0])) == 0.375
    assert fit_rejection(np.array([[0.75, 0.25]]), np.array([-1])) == pytest.approx(0.875)


@given(seed=SEEDS, ties=st.booleans())
def test_no_other_threshold_has_a_better_micro_f1(seed, ties):
    random = np.random.default_rng(seed)
    probabilities = random.random((12, 3))
    probabilities = probabilities.round(1) if ties else probabilities
    gold = random.random((12, 3)) < probabilities

    def score(threshold):
        sets = [[[str(c) for c in range(3) if row[c]] for row in table] for table in (
            gold, probabilities >= threshold)]  # fmt: skip
        return label_set_scores(*sets, ["0", "1", "2"])["micro_f1"]

    best = score(fit_threshold(probabilities, gold))
    assert all(score(threshold) <= best + 1e-12 for threshold in [*np.linspace(0.01, 1, 60)])


def test_a_temperature_for_windows_that_are_averaged_is_refused():
    examples = [TextExample("a list", label="a"), TextExample("an error", label="b")]
    options = {"calibrate": True, "on_long": "split"}
    with pytest.raises(InputError, match=r"calibrate .* on_long split .* leave out one"):
        Classification.build(FakeTokenizer(61, ["a"]), shape("bert", 61), examples, options)
