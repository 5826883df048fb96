"""Intervals, groups and a comparison for the tasks whose scores are no counts of labels: numbers and choices.

The task scores each draw of the examples anew, as it scored all of them; what is drawn, and what an interval
is, as in bootstrap.py. Left out: questions, summaries and written texts, whose scores take too long for that.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from minibert.errors import InputError
from minibert.evaluation.bootstrap import Interval, check_draws, middle
from minibert.tasks.multi_label import MultiLabel
from minibert.tasks.multiple_choice import Chosen, MultipleChoice
from minibert.tasks.regression import Regression
from minibert.tasks.task import Task

Scores = dict[str, float]


def has_simple_system(kind: type[Task]) -> bool:
    """Whether a task can be compared with what needs no encoder, learnt from training rows."""
    return kind.choices is not Task.choices or issubclass(kind, MultiLabel | MultipleChoice)


def refuse_untold(kind: type[Task], *, train: bool, groups: bool, draws: bool) -> None:
    """Raise InputError for a flag of `evaluate` that this task has no answer to."""
    simple = has_simple_system(kind)
    drawn = simple or issubclass(kind, Regression)
    asked = {
        "--train-file": train and not simple,
        "--group-column": groups and not drawn,
        "--draws": draws and not drawn,
    }
    for flag, untold in asked.items():
        if untold:
            what = "simple system" if flag == "--train-file" else "interval or score of groups"
            raise InputError(f"{flag}: evaluate has no {what} for {kind.name}; leave it out")


def intervals_by_draws(
    task: Task, answers: Sequence[Any], examples: Sequence[Any], *, draws: int, seed: int = 0
) -> dict[str, Interval]:
    """Return the 95 % interval of each score of a task of numbers or choices; nothing for another task."""
    if not isinstance(task, Regression | MultipleChoice):
        return {}
    drawn = _drawn(task, answers, examples, draws=draws, seed=seed)
    return {name: middle(values) for name, values in drawn.items()}


def numbers_of(task: Task, answers: Sequence[Any], examples: Sequence[Any]) -> Scores:
    """Return the scores that hang on the answers (blind guesses do not)."""
    scores = task.score(answers, examples)
    return {name: score for name, score in scores.items() if isinstance(score, float) and name != "chance"}


def most_frequent_place(examples: Sequence[Any], train: Sequence[Any]) -> list[Chosen]:
    """Answer each example with the place of the choice that is right most often in the training examples."""
    places = Counter(example.label for example in train)
    place = min(places, key=lambda one: (-places[one], one))
    at = [min(place, len(example.choices) - 1) for example in examples]
    return [Chosen(one, example.choices[one], ()) for one, example in zip(at, examples, strict=True)]


def gains_by_draws(
    task: Task,
    answers: Sequence[Any],
    others: Sequence[Any],
    examples: Sequence[Any],
    *,
    draws: int,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return the 95 % intervals of what `answers` score more than `others` on the same draws."""
    one, other = (_drawn(task, each, examples, draws=draws, seed=seed) for each in (answers, others))
    return {name: middle(one[name] - other[name]) for name in one}


def _drawn(
    task: Task, answers: Sequence[Any], examples: Sequence[Any], *, draws: int, seed: int
) -> dict[str, np.ndarray]:
    check_draws(draws)
    random = np.random.default_rng(seed)
    found: list[Scores] = []
    for _ in range(draws):
        rows = random.integers(0, len(examples), len(examples))
        found.append(numbers_of(task, [answers[row] for row in rows], [examples[row] for row in rows]))
    names = numbers_of(task, answers, examples)
    return {name: np.array([scores[name] for scores in found]) for name in names}
