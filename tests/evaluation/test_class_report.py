"""Reports by class and their intervals are those of scikit-learn and of counting by hand."""

import warnings

import numpy as np
import pytest

from minibert.evaluation import bootstrap
from minibert.evaluation.bootstrap import drawn_scores, gains, intervals, scores_of
from minibert.evaluation.class_report import class_report
from minibert.evaluation.examine import Evaluation
from minibert.evaluation.in_words import in_words, page_of
from minibert.evaluation.outcomes import of_choices, of_label_sets, of_spans
from minibert.tasks.metrics import classification_report
from minibert.tasks.spans import span_scores

LABELS = ("apple", "pear", "a plum", "quince", "a label that is rather long")


def answers(random, size, classes, right=0.6):
    gold = random.integers(0, classes, size)
    given = np.where(random.random(size) < right, gold, random.integers(0, classes, size))
    return [LABELS[number] for number in gold], [LABELS[number] for number in given]


def choices(gold, given):
    return of_choices([[one] for one in gold], [[one] for one in given], sorted(LABELS))


def label_sets(random, size, classes):
    share = random.random(classes)
    tables = [random.random((size, classes)) < share for _ in range(2)]
    return tables, [[{LABELS[c] for c in np.flatnonzero(row)} for row in table] for table in tables]


@pytest.mark.parametrize("seed", range(8))
def test_the_printed_report_is_that_of_scikit_learn(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(seed)
    gold, given = answers(random, int(random.choice([3, 11, 97])), 2 + seed % 4)
    report = class_report(choices(gold, given))
    assert report.text() == metrics.classification_report(gold, given, digits=4, zero_division=0)
    theirs = metrics.classification_report(gold, given, output_dict=True, zero_division=0)
    ours = report.to_dict()
    assert ours.keys() == theirs.keys()
    for name, row in theirs.items():
        assert ours[name] == pytest.approx(row, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_with_several_labels_too(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    tables, (gold, given) = label_sets(np.random.default_rng(seed), 23, 4)
    report = class_report(of_label_sets(gold, given, LABELS[:4]))
    with warnings.catch_warnings(action="ignore"):
        text = metrics.classification_report(*tables, digits=4, zero_division=0, target_names=LABELS[:4])
    assert report.text() == text


def test_a_class_with_the_name_of_an_average_loses_nothing():
    report = class_report(of_choices([["accuracy"], ["b"]], [["accuracy"], ["b"]], ["accuracy", "b"]))
    assert list(report.to_dict()) == ["accuracy (class)", "b", "accuracy", "macro avg", "weighted avg"]


def test_spans_score_as_strict_span_f1():
    random = np.random.default_rng(2)
    tags = np.array(["O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
    gold, given = ([list(tags[random.integers(0, 6, size)]) for size in range(1, 30)] for _ in range(2))
    outcomes = of_spans(gold, given)
    report, wanted = class_report(outcomes), span_scores(gold, given)
    assert report.averages["micro avg"]["f1-score"] == pytest.approx(wanted["f1"])
    assert {name: row["recall"] for name, row in report.classes.items()} == pytest.approx(
        {name: row["recall"] for name, row in wanted["per_type"].items()}
    )
    words = [a == b for one, other in zip(gold, given, strict=True) for a, b in zip(one, other, strict=True)]
    assert scores_of(outcomes)["accuracy"] == pytest.approx(np.mean(words))


def test_the_bootstrap_is_that_of_drawing_examples_one_by_one():
    metrics = pytest.importorskip("sklearn.metrics")
    gold, given = map(np.array, answers(np.random.default_rng(3), 41, 4))
    drawn = np.random.default_rng(7).integers(0, 41, (25, 41))
    found = drawn_scores(choices(gold, given), draws=25, seed=7)
    for name, average in (("micro_f1", "micro"), ("macro_f1", "macro"), ("weighted_f1", "weighted")):
        with warnings.catch_warnings(action="ignore"):
            wanted = [metrics.f1_score(gold[rows], given[rows], average=average) for rows in drawn]
        assert found[name] == pytest.approx(np.array(wanted), abs=1e-12)
    assert found["accuracy"] == pytest.approx((gold == given)[drawn].mean(axis=1))
    low, high = np.percentile(found["accuracy"], [2.5, 97.5])
    assert intervals(choices(gold, given), draws=25, seed=7)["accuracy"] == (low, high)


def test_an_interval_is_as_wide_as_the_binomial_one():
    gold, given = ["apple"] * 400, ["apple"] * 300 + ["pear"] * 100
    low, high = intervals(choices(gold, given))["accuracy"]
    error = (0.75 * 0.25 / 400) ** 0.5
    assert (low, high) == pytest.approx((0.75 - 1.96 * error, 0.75 + 1.96 * error), abs=0.006)


def test_draws_do_not_depend_on_how_many_are_made_at_once(monkeypatch):
    outcomes = choices(*answers(np.random.default_rng(4), 29, 3))
    at_once = drawn_scores(outcomes, draws=40, seed=0)
    monkeypatch.setattr(bootstrap, "AT_ONCE", 29 * 7)
    for name, values in drawn_scores(outcomes, draws=40, seed=0).items():
        assert values.tolist() == at_once[name].tolist()


def test_two_systems_are_compared_on_the_same_draws():
    gold, given = answers(np.random.default_rng(5), 200, 3)
    one = choices(gold, given)
    worse = choices(
        gold, [*given[:100], *("apple" if g != "apple" else "pear" for g in gold[100:120]), *given[120:]]
    )
    assert gains(one, one)["accuracy"] == (0.0, 0.0)
    low, high = gains(one, worse)["accuracy"]
    assert 0 < low < high  # though the two intervals by themselves overlap
    assert intervals(one)["accuracy"][0] < intervals(worse)["accuracy"][1]
    with pytest.raises(ValueError, match="200 examples and 2"):
        gains(one, choices(["apple", "pear"], ["apple", "pear"]))


def test_no_draws_are_refused():
    with pytest.raises(ValueError, match="0 draws"):
        intervals(choices(["apple"], ["apple"]), draws=0)


def test_intervals_hold_the_macro_f1_of_the_tasks_where_classes_are_answered_that_never_occur():
    random = np.random.default_rng(0)
    labels = [f"class {number}" for number in range(20)]
    gold = [labels[number] for number in random.integers(0, 5, 300)]
    predicted = [one if random.random() < 0.8 else labels[random.integers(20)] for one in gold]
    outcomes = of_choices([[one] for one in gold], [[one] for one in predicted], labels)
    wanted = classification_report(gold, predicted, labels)["macro_f1"]
    assert scores_of(outcomes)["macro_f1"] == pytest.approx(wanted)
    low, high = intervals(outcomes, draws=200)["macro_f1"]
    assert low < wanted < high


def test_a_class_that_no_example_has_is_told_where_macro_f1_leaves_it_out():
    gold, given = ["apple", "pear"] * 100, ["apple", "pear"] * 95 + ["quince"] * 10
    outcomes = choices(gold, given)
    spans = intervals(outcomes, draws=20)
    told = Evaluation(200, {}, report=class_report(outcomes), intervals=spans, draws=20)
    assert told.report.averages["macro avg"]["f1-score"] < spans["macro_f1"][0]  # two statistics
    words = in_words(told)
    assert "macro avg counts 'quince', which no example has, as 0; macro F1 of wanted classes leaves" in words
    assert "  macro F1 of wanted classes 0.9" in words
    assert "macro F1 of wanted classes" in page_of(told, title="", task="x")["tasks"]["x"]["intervals"]
    usual = choices(["apple", "pear"], ["apple", "pear"])
    told = Evaluation(2, {}, report=class_report(usual), intervals=intervals(usual, draws=5), draws=5)
    assert "of wanted classes" not in in_words(told)
