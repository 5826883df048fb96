"""Probabilities that mean what they say, and what to do where they are low.

A network that was trained with cross-entropy is surer than it is right. *Temperature scaling* divides its
logits by one number, T, that makes held-out labels most likely; the order of the classes stays::

    p(class) = softmax(logits / T)

Where the largest probability is below a threshold, a text may be said to belong to *no* class.

Sources: C. Guo, G. Pleiss, Y. Sun, K. Weinberger (2017), On Calibration of Modern Neural Networks. S. Larson
et al. (2019), An Evaluation Dataset for Intent Classification and Out-of-Scope Prediction: the threshold is
the one with the best accuracy on held-out texts, those of no class counted as a class of their own.

Letters: N examples, C classes.
"""

from collections.abc import Sequence

import numpy as np

from minibert.tasks.metrics import calibration_error

KEPT = 0.95  # share of the texts that stays, where no held-out text belongs to no class
COLDEST, HOTTEST = 0.5, 20.0  # a few rows that are all right would ask for 0


def fit_temperature(probability_NC: np.ndarray, gold_N: np.ndarray) -> float:
    """Return the temperature at which the gold classes (N,) are likeliest, in 0.5..20.

    The negative log-likelihood is convex in 1 / T, so that its slope has one zero, found by halving.

    >>> sure = np.array([[0.99, 0.01]] * 4)
    >>> round(float(at_temperature(sure, fit_temperature(sure, np.array([0, 0, 0, 1])))[0, 0]), 3)
    0.75
    """
    log_NC = np.log(np.clip(probability_NC, 1e-12, 1.0))
    log_gold_N = np.take_along_axis(log_NC, gold_N[:, None], axis=1)[:, 0]
    low, high = np.log(COLDEST), np.log(HOTTEST)
    for _ in range(40):
        middle = (low + high) / 2
        expected_N = (at_temperature(probability_NC, float(np.exp(middle))) * log_NC).sum(axis=1)
        if (expected_N - log_gold_N).mean() > 0:  # surer than it is right: hotter
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))


def at_temperature(probability_NC: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities that logits divided by a temperature have.

    >>> at_temperature(np.array([[0.8, 0.2]]), 2.0).round(3).tolist()
    [[0.667, 0.333]]
    """
    log_NC = np.log(np.clip(probability_NC, 1e-12, 1.0)) / temperature
    power_NC = np.exp(log_NC - log_NC.max(axis=1, keepdims=True))
    shares_NC: np.ndarray = power_NC / power_NC.sum(axis=1, keepdims=True)
    return shares_NC


def fit_rejection(probability_NC: np.ndarray, gold_N: np.ndarray) -> float:
    """Return the threshold below which a text's largest probability should mean "no class".

    gold_N  (N,) class numbers, -1 for a text of no class

    The threshold is that of the best accuracy, the lowest of several. Without a text of no class it is the
    one that lets 95 % of the texts pass.

    >>> fit_rejection(np.array([[0.9, 0.1], [0.8, 0.2], [0.5, 0.5]]), np.array([0, 0, -1]))
    0.65
    """
    confidence_N = probability_NC.max(axis=1)
    order = np.argsort(confidence_N, kind="stable")
    confidence_N, right_N = confidence_N[order], (probability_NC.argmax(axis=1) == gold_N)[order]
    outside_N = (gold_N == -1)[order]
    borders = np.concatenate([[0.0], confidence_N, [1 + 1e-6]])  # reject so many of the least sure: 0 .. N
    apart = np.concatenate([[True], np.diff(confidence_N) > 0, [True]])
    if outside_N.any():
        gained = np.concatenate([[0], np.cumsum(outside_N) - np.cumsum(right_N)])
    else:
        gained = -np.abs(np.arange(len(order) + 1) - (1 - KEPT) * len(order))
    best = int(np.where(apart, gained, -np.inf).argmax())
    return float(borders[best] + borders[best + 1]) / 2


def best_fits(
    probability_NC: np.ndarray, gold_N: np.ndarray, *, calibrate: bool, reject: bool
) -> dict[str, float]:
    """Return the calibration error, and what would be best here; nothing of weights that blew up.

    best_temperature     where one is to be fitted
    best_threshold       below which a text belongs to no class
    best_threshold_then  the same after the logits were divided by best_temperature
    """
    found: dict[str, float] = {}
    if not np.isfinite(probability_NC).all():
        return found
    known_N = gold_N >= 0
    if known_N.any():
        found["calibration_error"] = calibration_error(probability_NC[known_N], gold_N[known_N])
    if calibrate and known_N.any():
        found["best_temperature"] = fit_temperature(probability_NC[known_N], gold_N[known_N])
    if reject:
        found["best_threshold"] = fit_rejection(probability_NC, gold_N)
    if reject and "best_temperature" in found:
        calibrated_NC = at_temperature(probability_NC, found["best_temperature"])
        found["best_threshold_then"] = fit_rejection(calibrated_NC, gold_N)
    return found


def settled_threshold(scores: dict[str, float], before: float) -> float:
    """Return the threshold that `best_fits` found for the model as it will be; without one, that of before.

    >>> settled_threshold({"best_threshold": 0.7, "best_temperature": 2.0, "best_threshold_then": 0.6}, 0.5)
    0.6
    """
    return scores.get("best_threshold_then", scores.get("best_threshold", before))


def rejection_scores(gold: Sequence[str], predicted: Sequence[str], reject: str) -> dict[str, float]:
    """Return how well texts of some class and texts of none (whose label is `reject`) were answered.

    >>> rejection_scores(["a", "b", "none"], ["a", "none", "none"], "none")
    {'in_scope_accuracy': 0.5, 'out_of_scope_recall': 1.0}
    """
    right = [(wanted, wanted == answer) for wanted, answer in zip(gold, predicted, strict=True)]
    inside = [good for wanted, good in right if wanted != reject]
    outside = [good for wanted, good in right if wanted == reject]
    named = {"in_scope_accuracy": inside, "out_of_scope_recall": outside}
    return {name: float(np.mean(values)) for name, values in named.items() if values}


def fit_threshold(probability_NC: np.ndarray, gold_NC: np.ndarray) -> float:
    """Return the threshold above which a label should be given, for the best micro-F1.

    gold_NC  (N, C) True where a text has a label

    >>> fit_threshold(np.array([[0.9, 0.3], [0.2, 0.4]]), np.array([[True, True], [False, True]]))
    0.25
    """
    order = np.argsort(-probability_NC, axis=None, kind="stable")
    sorted_M, gold_M = probability_NC.ravel()[order], gold_NC.ravel()[order]
    f1_M = 2 * np.cumsum(gold_M) / (np.arange(1, len(order) + 1) + max(1, gold_M.sum()))
    apart = np.concatenate([np.diff(sorted_M) < 0, [True]])
    best = int(np.where(apart, f1_M, -1.0).argmax())
    return float(sorted_M[best] + np.append(sorted_M, 0.0)[best + 1]) / 2
