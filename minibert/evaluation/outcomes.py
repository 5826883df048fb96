"""What became of each example: the counts that every score of labels is made from.

For an example, and for each label: how often it was wanted, how often it was given, how often both. A text of
a classifier counts one label, one of `multi_label` any number; of a tagged text each word counts, or, where
the tags mark spans, each span; of two mentions their relation, where they have one. Scores of many examples
come from the sums, so that drawing examples again (bootstrap.py) is a product of matrices.

Letters: N examples, C labels.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minibert.tasks.multi_label import MultiLabel
from minibert.tasks.relation_scores import relation_of
from minibert.tasks.relations import Relations
from minibert.tasks.spans import spans_of
from minibert.tasks.tagging import Tagging
from minibert.tasks.task import Task


@dataclass(frozen=True)
class Outcomes:
    """Counts of N examples and C labels; a label that occurs nowhere has no column.

    labels                  the C names
    right, given, wanted    (N, C) how often a label was right, given, wanted
    exact, units            (N,) units (texts, words) that are wholly right, and all units
    one_label               each unit has exactly one of the labels, and is given one
    """

    labels: tuple[str, ...]
    right: np.ndarray
    given: np.ndarray
    wanted: np.ndarray
    exact: np.ndarray
    units: np.ndarray
    one_label: bool

    def __len__(self) -> int:
        return len(self.units)

    def of(self, rows: np.ndarray) -> "Outcomes":
        """Return those of some examples."""
        right, given, wanted = self.right[rows], self.given[rows], self.wanted[rows]
        exact, units = self.exact[rows], self.units[rows]
        return occurring(Outcomes(self.labels, right, given, wanted, exact, units, self.one_label))


def outcomes_of(task: Task, answers: Sequence[Any], examples: Sequence[Any]) -> Outcomes | None:
    """Count the answers of a model; None for a task whose answers are no labels."""
    if isinstance(task, MultiLabel):
        wanted = [set(example.labels or ()) for example in examples]
        return of_label_sets(wanted, [set(answer.labels) for answer in answers], task.labels)
    whole = task.choices(answers, examples)
    if whole is None:
        return None
    if isinstance(task, Relations):
        return of_relations(whole.gold, whole.predicted, task.negative)
    each = [task.choices([answer], [example]) for answer, example in zip(answers, examples, strict=True)]
    pairs = [(one.gold, one.predicted) for one in each if one is not None]
    if isinstance(task, Tagging) and task.scheme is not None:
        return of_spans([gold for gold, _ in pairs], [given for _, given in pairs])
    return of_choices([gold for gold, _ in pairs], [given for _, given in pairs], whole.labels)


def of_choices(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], labels: Sequence[str]
) -> Outcomes:
    """Count units with one label each; an example has one unit (a text) or several (words).

    >>> of_choices([["a"], ["b"]], [["a"], ["a"]], ["a", "b", "c"]).given.tolist()
    [[1, 0], [1, 0]]
    """
    numbers = {label: number for number, label in enumerate(labels)}
    units = np.array([len(one) for one in gold])
    owner = np.repeat(np.arange(len(gold)), units)
    wanted = np.array([numbers[label] for one in gold for label in one], dtype=np.int64)
    given = np.array([numbers[label] for one in predicted for label in one], dtype=np.int64)
    right = wanted == given
    shape = (len(gold), len(numbers))
    return occurring(
        Outcomes(
            tuple(labels),
            _table(owner[right], given[right], shape),
            _table(owner, given, shape),
            _table(owner, wanted, shape),
            np.bincount(owner[right], minlength=len(gold)),
            units,
            one_label=True,
        )
    )


def of_label_sets(
    gold: Sequence[Collection[str]], predicted: Sequence[Collection[str]], labels: Sequence[str]
) -> Outcomes:
    """Count texts with any number of labels.

    >>> of_label_sets([{"a"}, {"a", "b"}], [{"a"}, set()], ["a", "b"]).exact.tolist()
    [1, 0]
    """
    wanted, given = (
        np.array([[label in one for label in labels] for one in sets], dtype=np.int64).reshape(
            -1, len(labels)
        )
        for sets in (gold, predicted)
    )
    exact = (wanted == given).all(axis=1).astype(np.int64)
    right, units = wanted * given, np.ones(len(wanted), np.int64)
    return occurring(Outcomes(tuple(labels), right, given, wanted, exact, units, one_label=False))


def of_spans(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Outcomes:
    """Count the spans that BIO tags mark; the units are the words.

    >>> of_spans([["B-PER", "O", "B-LOC"]], [["B-PER", "O", "B-ORG"]]).labels
    ('LOC', 'ORG', 'PER')
    """
    pairs = [(set(spans_of(one)), set(spans_of(other))) for one, other in zip(gold, predicted, strict=True)]
    labels = sorted({span.label for pair in pairs for spans in pair for span in spans})
    numbers = {label: number for number, label in enumerate(labels)}
    right, given, wanted = (np.zeros((len(pairs), len(labels)), np.int64) for _ in range(3))
    for row, (asked, found) in enumerate(pairs):
        for table, spans in ((right, asked & found), (given, found), (wanted, asked)):
            for span in spans:
                table[row, numbers[span.label]] += 1
    exact = [sum(a == b for a, b in zip(*tags, strict=True)) for tags in zip(gold, predicted, strict=True)]
    units = np.array([len(one) for one in gold])
    return Outcomes(tuple(labels), right, given, wanted, np.array(exact), units, one_label=False)


def of_relations(gold: Sequence[str], predicted: Sequence[str], negative: str | None) -> Outcomes:
    """Count relations over both directions, of which one is wrong; no relation has no column.

    >>> of_relations(["A(e1,e2)", "Other"], ["A(e2,e1)", "A(e1,e2)"], "Other").given.tolist()
    [[1], [1]]
    """
    wanted, given = (
        [set() if label == negative else {relation_of(label)[0]} for label in side]
        for side in (gold, predicted)
    )
    sets = of_label_sets(wanted, given, sorted(set().union(*wanted, *given)))
    exact = np.array([truth == answer for truth, answer in zip(gold, predicted, strict=True)], dtype=np.int64)
    return replace(sets, right=sets.right * exact[:, None], exact=exact)


def occurring(outcomes: Outcomes) -> Outcomes:
    """Leave out the labels that were neither wanted nor given anywhere, as scikit-learn does."""
    kept = np.flatnonzero(outcomes.wanted.sum(axis=0) + outcomes.given.sum(axis=0))
    return replace(
        outcomes,
        labels=tuple(outcomes.labels[column] for column in kept),
        right=outcomes.right[:, kept],
        given=outcomes.given[:, kept],
        wanted=outcomes.wanted[:, kept],
    )


def _table(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)
