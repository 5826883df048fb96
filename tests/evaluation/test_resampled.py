"""Intervals and comparisons of tasks without labels, and simple systems for intents and relations."""

from types import SimpleNamespace

import numpy as np
import pytest
from adapted_rows import ROWS

from minibert.data.examples import ChoiceExample, NumberExample
from minibert.errors import InputError
from minibert.evaluation.bootstrap import scores_of
from minibert.evaluation.comparison import simple_outcomes
from minibert.evaluation.examine import Evaluation, without_labels
from minibert.evaluation.in_words import in_words, page_of
from minibert.evaluation.resampled import intervals_by_draws, refuse_untold
from minibert.tasks.correlation import spearman
from minibert.tasks.model import TASKS
from minibert.tasks.multiple_choice import Chosen, MultipleChoice
from minibert.tasks.regression import Estimate, Regression
from minibert.tasks.relations import Relations


def bare(kind, **facts):
    """A task without a head, which can only score."""
    task = kind.__new__(kind)
    task.__dict__.update(facts)
    return task


def numbers(count, seed):
    random = np.random.default_rng(seed)
    gold = random.normal(size=count)
    answers = [Estimate(float(one)) for one in gold + random.normal(size=count)]
    return answers, [NumberExample("a", label=float(one)) for one in gold]


def test_the_interval_of_a_correlation_is_that_of_drawing_examples_one_by_one():
    answers, examples = numbers(30, 0)
    random = np.random.default_rng(5)
    drawn = [random.integers(0, 30, 30) for _ in range(40)]
    pairs = [[(answers[row].value, examples[row].label) for row in rows] for rows in drawn]
    wanted = np.percentile([spearman(*zip(*one, strict=True)) for one in pairs], [2.5, 97.5])
    task = bare(Regression, levels=None)
    assert intervals_by_draws(task, answers, examples, draws=40, seed=5)["spearman"] == pytest.approx(wanted)
    with pytest.raises(InputError, match="0 draws"):
        intervals_by_draws(task, answers, examples, draws=0)


def test_numbers_have_groups_and_their_tables_are_shown():
    answers, examples = numbers(30, 1)
    told = without_labels(Evaluation(30, {}), bare(Regression, levels=None), answers, examples,
                          train=(), groups=["x", "y", "y"] * 10, draws=20)  # fmt: skip
    assert [(group.name, group.examples) for group in told.groups] == [("y", 20), ("x", 10)]
    words = in_words(told)
    assert "95 % of 20 draws of the 30 examples: spearman" in words
    assert "group  examples  spearman" in words
    assert page_of(told, title="", task="x")["tasks"]["x"]["groups"] == []


def test_choices_are_compared_with_the_place_that_is_right_most_often():
    def example(label):
        return ChoiceExample("a", ("b", "c"), label)

    examples, train = [example(at % 2) for at in range(40)], [example(1), example(1), example(0)]
    answers = [Chosen(one.label, "b", ()) for one in examples[:30]] + [Chosen(0, "b", ())] * 10
    told = without_labels(Evaluation(40, {}), bare(MultipleChoice), answers, examples,
                          train=train, groups=(), draws=50)  # fmt: skip
    (simple,) = told.baselines
    assert (simple.system, simple.scores) == ("most frequent place", {"accuracy": 0.5})
    assert told.intervals.keys() == {"accuracy"}
    low, high = simple.gains["accuracy"]
    assert 0 < low <= 0.375 <= high
    assert "most frequent place  0.5000" in in_words(told)


def test_weights_that_have_blown_up_have_an_interval_too():
    answers, examples = numbers(9, 2)
    broken = [Estimate(float("nan")), *answers[1:]]
    assert intervals_by_draws(bare(Regression, levels=None), broken, examples, draws=30).keys() == {
        "spearman", "pearson",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["relations", "intent_slots"])
def test_intents_and_relations_are_compared_with_the_most_frequent_one_and_a_bag_of_words(name):
    rows = ROWS[name]
    task = bare(Relations, negative=None) if name == "relations" else SimpleNamespace()
    found = simple_outcomes(task, rows, rows)
    assert list(found) == ["most frequent label", "bag of words"]
    labels = [one.label if name == "relations" else one.intent for one in rows]
    most = max(map(labels.count, labels)) / len(labels)
    assert scores_of(found["most frequent label"])["accuracy"] == pytest.approx(most)
    assert scores_of(found["bag of words"])["accuracy"] >= most


@pytest.mark.parametrize(
    ("task", "flag"),
    [("seq2seq", "draws"), ("extractive_summary", "groups"), ("question_answering", "train"),
     ("regression", "train")],
)  # fmt: skip
def test_a_flag_that_a_task_has_no_answer_to_is_refused_by_its_name(task, flag):
    asked = {"train": False, "groups": False, "draws": False}
    refuse_untold(TASKS[task], **asked)
    with pytest.raises(InputError, match=f"^--{flag[:5]}.*: evaluate has no .* for {task}; leave it out"):
        refuse_untold(TASKS[task], **{**asked, flag: True})


@pytest.mark.parametrize("task", ["classification", "multi_label", "tagging", "multiple_choice", "relations"])
def test_tasks_with_labels_or_choices_answer_all_of_them(task):
    refuse_untold(TASKS[task], train=True, groups=True, draws=True)
