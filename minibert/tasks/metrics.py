"""How good the answers of a classifier are.

Precision, recall and F1 per class, accuracy, and two averages of F1. *Macro* F1 is the plain mean over the
classes that occur in the gold labels: a class that was only ever predicted costs the others recall, but
adds no zero of its own. *Weighted* F1 weighs each class by its gold count. A ratio whose denominator is
zero counts as 0.

Calibration: C. Guo, G. Pleiss, Y. Sun, K. Weinberger (2017), On Calibration of Modern Neural Networks.
Letters: N examples, C classes. Left out: ranking metrics (in the retrieval task), span scores (in spans.py).
"""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from minibert.errors import InputError

Label = str | int
Labels = Sequence[Label] | np.ndarray


@dataclass(frozen=True)
class Choices:
    """The labels that are right and those that were given, place by place, and all labels there are."""

    gold: list[str]
    predicted: list[str]
    labels: tuple[str, ...]


class ClassScores(TypedDict):
    """Scores of one class, each in 0..1; support is the number of gold examples."""

    precision: float
    recall: float
    f1: float
    support: int


class ClassificationReport(TypedDict):
    """What classification_report returns; per_class keeps the order of the labels."""

    accuracy: float
    macro_f1: float
    weighted_f1: float
    per_class: dict[Label, ClassScores]


def class_scores(correct: int, predicted: int, *, gold: int) -> ClassScores:
    """Turn three counts (right answers, answers given, answers wanted) into scores.

    >>> class_scores(3, 4, gold=6)
    {'precision': 0.75, 'recall': 0.5, 'f1': 0.6, 'support': 6}
    """
    return {
        "precision": correct / predicted if predicted else 0.0,
        "recall": correct / gold if gold else 0.0,
        "f1": 2 * correct / (predicted + gold) if predicted + gold else 0.0,
        "support": gold,
    }


def confusion_matrix(gold: Labels, predicted: Labels, labels: Labels) -> np.ndarray:
    """Count how often each gold label (row) was answered with each label (column).

    Returns (C, C) int64. Raises InputError for a label that is not among `labels`.

    >>> confusion_matrix(["no", "no", "yes"], ["no", "yes", "yes"], ["no", "yes"]).tolist()
    [[1, 1], [0, 1]]
    """
    _check_pairs(gold, predicted)
    index = {label: number for number, label in enumerate(labels)}
    if len(index) != len(labels):
        raise InputError(f"labels {list(labels)} name a class twice; give each class once")
    for kind, values in (("gold", gold), ("predicted", predicted)):
        for position, value in enumerate(values):
            if value not in index:
                known = f"the labels {list(labels)}"
                raise InputError(f"{kind} label {value!r} of example {position} is not among {known}; add it")
    rows = np.array([index[label] for label in gold], dtype=np.int64)
    columns = np.array([index[label] for label in predicted], dtype=np.int64)
    counts = np.bincount(rows * len(labels) + columns, minlength=len(labels) ** 2)
    return counts.reshape(len(labels), len(labels)).astype(np.int64)


def classification_report(gold: Labels, predicted: Labels, labels: Labels) -> ClassificationReport:
    """Score every class, and all of them together.

    >>> report = classification_report(["no", "no", "yes"], ["no", "yes", "yes"], ["no", "yes"])
    >>> round(report["accuracy"], 3), report["per_class"]["yes"]["precision"]
    (0.667, 0.5)
    """
    matrix = confusion_matrix(gold, predicted, labels)
    right, answered, wanted = matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)
    per_class = {
        label: class_scores(int(right[number]), int(answered[number]), gold=int(wanted[number]))
        for number, label in enumerate(labels)
    }
    present = [scores for scores in per_class.values() if scores["support"]]
    return {
        "accuracy": float(right.sum() / len(gold)),
        "macro_f1": sum(scores["f1"] for scores in present) / len(present),
        "weighted_f1": sum(scores["f1"] * scores["support"] for scores in present) / len(gold),
        "per_class": per_class,
    }


def choice_scores(gold: Labels, predicted: Labels, labels: Labels) -> dict[str, Any]:
    """Return what a task that chooses among labels reports: accuracy, macro-F1, each class, the confusion.

    >>> list(choice_scores(["no", "yes"], ["no", "no"], ["no", "yes"]))
    ['accuracy', 'macro_f1', 'per_class', 'confusion']
    """
    report = classification_report(gold, predicted, labels)
    counts = confusion_matrix(gold, predicted, labels).tolist()
    return {
        "accuracy": report["accuracy"],
        "macro_f1": report["macro_f1"],
        "per_class": report["per_class"],
        "confusion": {"labels": list(labels), "counts": counts},
    }


def accuracy(gold: Labels, predicted: Labels) -> float:
    """Return the share of examples whose label was predicted.

    >>> accuracy(["no", "no", "yes", "yes"], ["no", "yes", "yes", "yes"])
    0.75
    """
    _check_pairs(gold, predicted)
    return sum(bool(wanted == answer) for wanted, answer in zip(gold, predicted, strict=True)) / len(gold)


def macro_f1(gold: Labels, predicted: Labels) -> float:
    """Average F1 over the classes that occur in `gold`, each class counting the same.

    >>> macro_f1(["a", "a", "b"], ["a", "a", "c"])
    0.5
    """
    _check_pairs(gold, predicted)
    labels = list(dict.fromkeys([*gold, *predicted]))
    return classification_report(gold, predicted, labels)["macro_f1"]


def calibration_error(
    probabilities: np.ndarray, gold: np.ndarray | Sequence[int], *, bins: int = 15
) -> float:
    """Return the expected calibration error of the most probable class, in 0..1.

    probabilities (N, C); gold (N,) class numbers. Bin m of M holds the confidences in ((m - 1) / M, m / M].

    >>> round(calibration_error(np.array([[0.8, 0.2], [0.8, 0.2]]), [0, 1]), 3)
    0.3
    """
    probability_NC, gold_N = np.asarray(probabilities, dtype=np.float64), np.asarray(gold)
    if probability_NC.ndim != 2 or gold_N.shape != probability_NC.shape[:1] or not probability_NC.size:
        raise InputError(
            f"probabilities {probability_NC.shape} and gold {gold_N.shape}; wanted (N, C) and (N,), N > 0"
        )
    low, high = probability_NC.min(), probability_NC.max()
    if not (low >= 0 and high <= 1):
        raise InputError(
            f"probabilities lie in {low:g}..{high:g}, wanted 0..1; apply softmax to logits first"
        )
    if bins < 1:
        raise InputError(f"bins is {bins}; at least 1 is needed")
    return confidence_error(probability_NC.max(axis=1), probability_NC.argmax(axis=1) == gold_N, bins=bins)


def confidence_error(confidence_N: np.ndarray, right_N: np.ndarray, *, bins: int = 15) -> float:
    """Return the expected calibration error of N answers: how sure each was, and whether it was right.

    >>> round(confidence_error(np.array([0.9, 0.9, 0.5]), np.array([True, False, True])), 3)
    0.433
    """
    bin_N = np.searchsorted(np.arange(1, bins) / bins, confidence_N, side="left")
    gaps = np.bincount(bin_N, weights=right_N - confidence_N, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence_N))


def mean_and_spread(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Return the mean and the sample standard deviation (n - 1), which is nan for a single value.

    >>> mean_and_spread([1.0, 2.0, 3.0])
    (2.0, 1.0)
    """
    if not len(values):
        raise InputError("no values came; a mean needs at least one")
    array = np.asarray(values, dtype=np.float64)
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else math.nan


def format_confusion(matrix: np.ndarray, labels: Labels) -> str:
    """Lay out a confusion matrix for a terminal: gold labels down, predicted labels across."""
    if matrix.shape != (len(labels), len(labels)):
        raise InputError(
            f"matrix {matrix.shape} does not fit {len(labels)} labels; give one label for each row"
        )
    names = ["gold \\ predicted", *map(str, labels)]
    return _align(names, [names[1:], *([str(count) for count in row] for row in matrix.tolist())])


def _check_pairs(gold: Labels, predicted: Labels) -> None:
    if len(gold) != len(predicted):
        raise InputError(
            f"{len(gold)} gold labels but {len(predicted)} predicted; give one prediction for each"
        )
    if not len(gold):
        raise InputError("0 examples came; scores need at least one")


def _align(names: list[str], rows: list[list[str]]) -> str:
    first = max(map(width_of, names))
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, row in zip(names, rows, strict=True):
        told = (" " * (width - width_of(cell)) + cell for cell, width in zip(row, widths, strict=True))
        lines.append(f"{name}{' ' * (first - width_of(name))}  {'  '.join(told)}".rstrip())
    return "\n".join(lines)


def width_of(text: str) -> int:
    """Return how many cells of a terminal a text takes: two for each Han character and the like.

    >>> width_of("体育 (2)")
    8
    """
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
