"""Scores of sets of labels, as scikit-learn has them."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.errors import InputError
from minibert.tasks.label_sets import label_set_scores, natural, refuse_broken

LABELS = ["a", "b", "c", "d"]
SETS = st.lists(st.tuples(st.sets(st.sampled_from(LABELS)), st.sets(st.sampled_from(LABELS))), min_size=1)


def test_by_hand():
    scores = label_set_scores([["a"], ["a", "b"], []], [["a"], ["b", "c"], []], ["a", "b", "c"])
    assert scores["micro_f1"] == pytest.approx(2 * 2 / (3 + 3))
    assert scores["per_class"]["a"] == {
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
        "support": 2,
    }
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)  # c is in no gold set
    assert scores["accuracy"] == pytest.approx(2 / 3)


@given(rows=SETS)
def test_scikit_learn_agrees(rows):
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    gold, predicted = (list(column) for column in zip(*rows, strict=True))
    tables = [np.array([[label in some for label in LABELS] for some in sets]) for sets in (gold, predicted)]
    scores = label_set_scores(gold, predicted, LABELS)
    options = {"zero_division": 0.0}
    assert scores["micro_f1"] == pytest.approx(metrics.f1_score(*tables, average="micro", **options))
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(*tables))
    every = metrics.f1_score(*tables, average=None, **options)
    present = [f1 for f1, support in zip(every, tables[0].sum(0), strict=True) if support]
    assert scores["macro_f1"] == pytest.approx(np.mean(present) if present else 0.0)
    for label, f1 in zip(LABELS, every, strict=True):
        assert scores["per_class"][label]["f1"] == pytest.approx(f1)


def test_empty_sets_are_right_but_count_for_nothing():
    scores = label_set_scores([[], []], [[], []], ["a"])
    assert (scores["accuracy"], scores["micro_f1"], scores["macro_f1"]) == (1.0, 0.0, 0.0)


def test_strange_labels_and_missing_answers_are_refused():
    with pytest.raises(InputError, match="'x' is not among"):
        label_set_scores([["a"]], [["x"]], ["a"])
    with pytest.raises(InputError, match=r"2 texts .* 1 answers"):
        label_set_scores([["a"], []], [[]], ["a"])
    with pytest.raises(InputError, match="0 texts"):
        label_set_scores([], [], ["a"])


def test_a_label_with_half_a_character_is_refused():
    refuse_broken(["a", "caf\u00e9", "\U0001f600", 3])
    for label in ("a\ud800", "\udfff"):
        with pytest.raises(InputError, match="half of a character") as error:
            refuse_broken(["a", label])
        assert repr(label) in str(error.value)


def test_labels_have_one_order_whatever_the_order_in_which_they_come():
    labels = ["-inf", "2", "NaN", "10", "a", "inf", "nan"]
    for some in itertools.permutations(labels):
        assert sorted(some, key=natural) == ["2", "10", "-inf", "NaN", "a", "inf", "nan"]
