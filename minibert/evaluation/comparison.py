"""What a model is compared with on the same examples: answers that need no encoder.

For texts the most frequent label and a bag of words (naive Bayes over words and pairs of words, see
baselines.py); a set of labels counts as one label, and an intent or a relation as the label of its text. For
tags the most frequent tag, of all words and of each word. A model that does not beat them has learnt nothing
that counting words would not tell.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from minibert.data.examples import (
    IntentExample,
    MultiLabelExample,
    RelationExample,
    TaggedExample,
    TextExample,
)
from minibert.evaluation.baselines import Majority, MostFrequentTag, NaiveBayes, TextBaseline
from minibert.evaluation.bootstrap import Interval, gains, scores_of
from minibert.evaluation.outcomes import Outcomes, of_choices, of_label_sets, of_relations, of_spans
from minibert.tasks.relations import Relations
from minibert.tasks.tagging import Tagging
from minibert.tasks.task import Task

BETWEEN = "\x1f"  # stands in no label
MANY = 3000  # texts from which on counting words takes seconds


@dataclass(frozen=True)
class Compared:
    """A simple system, its scores, and the 95 % intervals of what the model has more."""

    system: str
    scores: dict[str, float]
    gains: dict[str, Interval]


def compare(
    outcomes: Outcomes,
    task: Task,
    examples: Sequence[Any],
    train: Sequence[Any],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> list[Compared]:
    """Fit the simple systems to the training examples and score them on the examples of `outcomes`.

    Returns nothing for tasks that have none.
    """
    systems = simple_outcomes(task, examples, train)
    return [
        Compared(name, scores_of(other), gains(outcomes, other, draws=draws, seed=seed))
        for name, other in systems.items()
    ]


def simple_outcomes(task: Task, examples: Sequence[Any], train: Sequence[Any]) -> dict[str, Outcomes]:
    """Return what became of each example under each simple system."""
    if isinstance(task, Tagging):
        return _tag_systems(
            task, [task.example(one) for one in examples], [task.example(one) for one in train]
        )
    if not isinstance(examples[0], TextExample | MultiLabelExample | IntentExample | RelationExample):
        return {}
    systems: list[tuple[str, TextBaseline]] = [
        ("most frequent label", Majority()),
        ("bag of words", NaiveBayes()),
    ]
    quick = len(train) + len(examples) < MANY or not sys.stderr.isatty()
    texts = {
        name: baseline_answers(baseline, _texts(train), _texts(examples))
        for name, baseline in tqdm(systems, desc="simple systems", unit="system", disable=quick)
    }
    if isinstance(examples[0], MultiLabelExample):
        labels = sorted({label for example in (*examples, *train) for label in example.labels or ()})
        sets = [set(example.labels or ()) for example in examples]
        return {
            name: of_label_sets(sets, [set(filter(None, one.split(BETWEEN))) for one in answers], labels)
            for name, answers in texts.items()
        }
    gold = [str(example.label) for example in _texts(examples)]
    if isinstance(task, Relations):
        return {name: of_relations(gold, answers, task.negative) for name, answers in texts.items()}
    labels = sorted({*gold, *(str(example.label) for example in _texts(train))})
    return {
        name: of_choices([[one] for one in gold], [[one] for one in answers], labels)
        for name, answers in texts.items()
    }


def baseline_answers(
    baseline: TextBaseline, train: Sequence[TextExample], examples: Sequence[TextExample]
) -> list[str]:
    """Fit a baseline and ask it."""
    baseline.fit(train)
    return baseline.predict(examples)


def _texts(examples: Sequence[Any]) -> list[TextExample]:
    return [_text(one) for one in examples]


def _text(example: Any) -> TextExample:
    if isinstance(example, MultiLabelExample):
        return TextExample(example.text, example.pair, BETWEEN.join(sorted(example.labels or ())))
    if isinstance(example, IntentExample):
        return TextExample(example.text, label=example.intent)
    if isinstance(example, RelationExample):
        return TextExample(example.text, label=example.label)
    assert isinstance(example, TextExample)
    return example


def _tag_systems(
    task: Tagging, examples: Sequence[TaggedExample], train: Sequence[TaggedExample]
) -> dict[str, Outcomes]:
    of_words = MostFrequentTag()
    of_words.fit(train)
    gold = [example.tags or () for example in examples]
    answers: dict[str, Sequence[Sequence[str]]] = {
        "most frequent tag": [[of_words.otherwise] * len(tags) for tags in gold],
        "most frequent tag of the word": of_words.predict(examples),
    }
    if task.scheme is not None:
        return {name: of_spans(gold, tags) for name, tags in answers.items()}
    labels = sorted({tag for tags in (*gold, *(example.tags or () for example in train)) for tag in tags})
    return {name: of_choices(gold, tags, labels) for name, tags in answers.items()}
