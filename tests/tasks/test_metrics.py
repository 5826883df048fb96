"""Scores against scikit-learn, and against numbers worked out by hand."""

import math

import numpy as np
import pytest

from minibert.errors import InputError
from minibert.tasks.metrics import (
    accuracy,
    calibration_error,
    class_scores,
    classification_report,
    confusion_matrix,
    format_confusion,
    macro_f1,
    mean_and_spread,
)

LABELS = ["joy", "rage", "calm", "fear", "never"]


def answers(seed: int) -> tuple[list[str], list[str]]:
    """Draw gold labels without "never" (and sometimes without "fear"), and answers from all five."""
    draw = np.random.default_rng(seed)
    size, present = int(draw.integers(1, 40)), int(draw.integers(1, 5))
    gold = draw.choice(LABELS[:present], size).tolist()
    return gold, draw.choice(LABELS, size).tolist()


@pytest.mark.parametrize("seed", range(40))
def test_report_agrees_with_scikit_learn(seed: int) -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    gold, predicted = answers(seed)
    report = classification_report(gold, predicted, LABELS)
    matrix = confusion_matrix(gold, predicted, LABELS)
    np.testing.assert_array_equal(matrix, sklearn_metrics.confusion_matrix(gold, predicted, labels=LABELS))
    expected = np.array(
        sklearn_metrics.precision_recall_fscore_support(gold, predicted, labels=LABELS, zero_division=0)
    )
    found = [
        [report["per_class"][label][key] for label in LABELS]
        for key in ("precision", "recall", "f1", "support")
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    present = sorted(set(gold))
    macro = sklearn_metrics.f1_score(gold, predicted, labels=present, average="macro", zero_division=0)
    weighted = sklearn_metrics.f1_score(gold, predicted, labels=present, average="weighted", zero_division=0)
    assert report["macro_f1"] == pytest.approx(macro) == pytest.approx(macro_f1(gold, predicted))
    assert report["weighted_f1"] == pytest.approx(weighted)
    assert report["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(gold, predicted))
    assert report["accuracy"] == pytest.approx(accuracy(gold, predicted))


def test_rows_of_the_confusion_matrix_are_gold() -> None:
    matrix = confusion_matrix(["a", "a", "b"], ["b", "a", "b"], labels=["a", "b"])
    assert matrix.tolist() == [[1, 1], [0, 1]]
    assert matrix.dtype == np.int64


def test_class_numbers_in_arrays_are_labels_too() -> None:
    gold, predicted = np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2])
    assert confusion_matrix(gold, predicted, labels=range(3)).tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert accuracy(gold, predicted) == 0.75
    assert macro_f1(gold, predicted) == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)


def test_macro_f1_does_not_average_a_class_that_was_only_predicted() -> None:
    # a: precision 1, recall 1/2, F1 2/3; b: F1 1; c is no gold class.
    assert macro_f1(["a", "a", "b"], ["a", "c", "b"]) == pytest.approx((2 / 3 + 1) / 2)


def test_ratios_with_nothing_below_are_zero() -> None:
    assert class_scores(0, 0, gold=0) == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}


def test_calibration_error_by_hand() -> None:
    # Ten bins. (0.6, 0.7]: confidences .65 right, .69 wrong -> |1 - 1.34|; (0.9, 1]: .95 right -> |1 - .95|.
    probabilities = np.array([[0.65, 0.35], [0.69, 0.31], [0.05, 0.95]])
    expected = (abs(1 - 0.65 - 0.69) + abs(1 - 0.95)) / 3
    assert calibration_error(probabilities, [0, 1, 1], bins=10) == pytest.approx(expected)


def test_a_confidence_on_a_boundary_belongs_to_the_lower_bin() -> None:
    # With 5 bins, .6 closes (.4, .6] and .61 opens (.6, .8]: the two errors of opposite sign do not cancel.
    probabilities = np.array([[0.6, 0.4], [0.61, 0.39]])
    assert calibration_error(probabilities, [0, 1], bins=5) == pytest.approx((0.4 + 0.61) / 2)
    # One step further down they share a bin, and do.
    probabilities = np.array([[0.59, 0.41], [0.6, 0.4]])
    assert calibration_error(probabilities, [0, 1], bins=5) == pytest.approx(abs(1 - 0.59 - 0.6) / 2)


@pytest.mark.parametrize("bins", [1, 2, 15])
def test_calibration_error_agrees_with_a_loop_over_bins(bins: int) -> None:
    draw = np.random.default_rng(bins)
    probabilities = draw.dirichlet(np.ones(5), size=211)
    gold = draw.integers(0, 5, 211)
    total = 0.0
    for number in range(bins):
        members = [
            row for row in range(211) if number / bins < probabilities[row].max() <= (number + 1) / bins
        ]
        if members:
            share_right = np.mean([probabilities[row].argmax() == gold[row] for row in members])
            confidence = np.mean([probabilities[row].max() for row in members])
            total += len(members) / 211 * abs(share_right - confidence)
    assert calibration_error(probabilities, gold, bins=bins) == pytest.approx(total, abs=1e-12)


def test_certain_and_right_is_perfectly_calibrated() -> None:
    assert calibration_error(np.eye(7), np.arange(7)) == 0.0
    assert calibration_error(np.eye(7), (np.arange(7) + 1) % 7) == 1.0


def test_spread_is_the_sample_deviation() -> None:
    mean, spread = mean_and_spread([0.80, 0.82, 0.90])
    assert mean == pytest.approx(0.84)
    assert spread == pytest.approx(math.sqrt((0.04**2 + 0.02**2 + 0.06**2) / 2))


def test_one_value_has_no_spread() -> None:
    mean, spread = mean_and_spread([0.25])
    assert mean == 0.25
    assert math.isnan(spread)


def test_confusion_table_has_gold_down_and_predicted_across() -> None:
    table = format_confusion(np.array([[12, 3], [0, 4567]]), ["no", "maybe"])
    assert table.split("\n") == [
        "gold \\ predicted  no  maybe",
        "no                12      3",
        "maybe              0   4567",
    ]


def test_a_label_outside_the_list_is_named_with_its_place() -> None:
    with pytest.raises(InputError, match=r"predicted label 'fury' of example 1.*'joy'"):
        confusion_matrix(["joy", "joy"], ["joy", "fury"], labels=["joy"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: accuracy(["a"], ["a", "b"]), "1 gold labels but 2 predicted"),
        (lambda: macro_f1([], []), "0 examples"),
        (
            lambda: confusion_matrix(["a"], ["a"], labels=["a", "b", "a"]),
            r"\['a', 'b', 'a'\] name a class twice",
        ),
        (lambda: calibration_error(np.array([[2.5, -1.0]]), [0]), r"-1\.\.2\.5.*softmax"),
        (lambda: calibration_error(np.array([[math.nan, 1.0]]), [0]), "nan"),
        (lambda: calibration_error(np.ones((3, 2)) / 2, [0, 1]), r"\(3, 2\) and gold \(2,\)"),
        (lambda: calibration_error(np.ones((1, 2)) / 2, [0], bins=0), "bins is 0"),
        (lambda: mean_and_spread([]), "no values"),
        (lambda: format_confusion(np.zeros((2, 2)), ["a"]), r"\(2, 2\) does not fit 1 labels"),
    ],
)
def test_unusable_input_is_named(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
