"""The evaluation of a model, as it should be told: every class, how sure the scores are, and beside what.

answers -> counts of each example -> report by class, averages, intervals, confusion, calibration, simple
systems on the same examples, the surest mistakes, groups; and the report is checked by its own arithmetic.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from minibert.errors import InputError
from minibert.evaluation.arithmetic import check_report
from minibert.evaluation.bootstrap import Interval, intervals, scores_of
from minibert.evaluation.claims import Claim, calibration_of, calibration_of_labels, claims_of
from minibert.evaluation.class_report import ClassReport, class_report
from minibert.evaluation.comparison import Compared, compare
from minibert.evaluation.mistakes import Mistake, surest_mistakes
from minibert.evaluation.outcomes import Outcomes, outcomes_of
from minibert.evaluation.printed_report import parse_report
from minibert.evaluation.resampled import (
    gains_by_draws,
    intervals_by_draws,
    most_frequent_place,
    numbers_of,
)
from minibert.tasks.model import Model
from minibert.tasks.multi_label import MultiLabelled
from minibert.tasks.multiple_choice import MultipleChoice
from minibert.tasks.task import Task, Window


@dataclass(frozen=True)
class Group:
    """The scores of the examples that share a value of a column, and their intervals."""

    name: str
    examples: int
    scores: dict[str, float]
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class Evaluation:
    """What `examine` found; what a task has no labels for stays None or empty.

    scores    those of the task, its main one first
    findings  what cannot be right in the report; always empty, or minibert counts wrongly
    """

    examples: int
    scores: dict[str, Any]
    report: ClassReport | None = None
    intervals: dict[str, Interval] = field(default_factory=dict)
    draws: int = 0
    confusion: dict[str, Any] | None = None
    calibration_error: float | None = None
    baselines: tuple[Compared, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    groups: tuple[Group, ...] = ()
    findings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values beside the scores, for JSON; `report` has the form of scikit-learn's."""
        report = None if self.report is None else self.report.to_dict()
        plain = {**asdict(self), "report": report}
        del plain["scores"]
        return {name: value for name, value in plain.items() if value or isinstance(value, float)}


def examine(
    model: Model,
    examples: Sequence[Any],
    *,
    train: Sequence[Any] = (),
    groups: Sequence[str] = (),
    draws: int = 1000,
    mistakes: int = 5,
    windows: Sequence[Sequence[Window]] | None = None,
    progress: bool = False,
) -> Evaluation:
    """Ask a model all examples and return what is to be said about its answers.

    train     examples that it was trained on, for simple systems to be compared with; or none
    groups    a name for each example, whose scores are told by group
    draws     draws of the bootstrap (seed 0)
    mistakes  how many of the surest mistakes are kept
    Raises InputError where groups and examples differ in number.
    """
    if groups and len(groups) != len(examples):
        raise InputError(f"{len(groups)} groups but {len(examples)} examples; give each example one")
    answers = model.predict(examples, windows=windows, progress=progress)
    scores = model.task.score(answers, examples)
    claims = [claims_of(model.task, *pair) for pair in zip(answers, examples, strict=True)]
    sure, worst = calibration(answers, examples, claims, scores), surest_mistakes(claims, examples, mistakes)
    told = Evaluation(len(examples), scores, calibration_error=sure, mistakes=tuple(worst))
    if (outcomes := outcomes_of(model.task, answers, examples)) is None:
        return without_labels(told, model.task, answers, examples, train=train, groups=groups, draws=draws)
    report = class_report(outcomes)
    return replace(
        told,
        report=report,
        intervals=intervals(outcomes, draws=draws),
        draws=draws,
        confusion=confusion_of(model, answers, examples),
        baselines=tuple(compare(outcomes, model.task, examples, train, draws=draws)) if train else (),
        groups=tuple(scores_of_groups(outcomes, groups, draws=draws)),
        findings=tuple(faults(report)),
    )


def without_labels(
    told: Evaluation,
    task: Task,
    answers: Sequence[Any],
    examples: Sequence[Any],
    *,
    train: Sequence[Any],
    groups: Sequence[str],
    draws: int,
) -> Evaluation:
    """Add what there is for a task whose scores are no counts of labels: see resampled.py."""
    if not (found := intervals_by_draws(task, answers, examples, draws=draws)):
        return told
    told = replace(told, intervals=found, draws=draws)
    if train and isinstance(task, MultipleChoice):
        simple = most_frequent_place(examples, train)
        gains = gains_by_draws(task, answers, simple, examples, draws=draws)
        told = replace(
            told, baselines=(Compared("most frequent place", numbers_of(task, simple, examples), gains),)
        )
    own = []
    for name, size in Counter(groups).most_common():
        rows = [row for row, group in enumerate(groups) if group == name]
        some, asked = [answers[row] for row in rows], [examples[row] for row in rows]
        spans = intervals_by_draws(task, some, asked, draws=draws)
        own.append(Group(name, size, numbers_of(task, some, asked), spans))
    return replace(told, groups=tuple(own))


def calibration(
    answers: Sequence[Any], examples: Sequence[Any], claims: Sequence[Sequence[Claim]], scores: dict[str, Any]
) -> float | None:
    """Return the calibration error of what was claimed, or of each yes or no where labels are many.

    Classification scores it itself, for rejected texts too.
    """
    if "calibration_error" in scores:
        return float(scores["calibration_error"])
    if isinstance(answers[0], MultiLabelled):
        return calibration_of_labels(answers, examples)
    return calibration_of([claim for own in claims for claim in own])


def confusion_of(model: Model, answers: Sequence[Any], examples: Sequence[Any]) -> dict[str, Any] | None:
    """Return labels and counts, gold in rows and predicted in columns, of the labels that occur."""
    chosen = model.task.choices(answers, examples)
    if chosen is None:
        return None
    pairs = Counter(zip(chosen.gold, chosen.predicted, strict=True))
    labels = [label for label in chosen.labels if label in {*chosen.gold, *chosen.predicted}]
    return {"labels": labels, "counts": [[pairs[gold, given] for given in labels] for gold in labels]}


def scores_of_groups(outcomes: Outcomes, groups: Sequence[str], *, draws: int) -> list[Group]:
    """Score the examples of each group by themselves, the largest group first."""
    found = []
    for name, size in Counter(groups).most_common():
        own = outcomes.of(np.flatnonzero(np.array(groups) == name))
        found.append(Group(name, size, scores_of(own), intervals(own, draws=draws)))
    return found


def faults(report: ClassReport) -> list[str]:
    """Check a report as `minibert check-report` checks anybody's, whatever its classes are called."""
    names = {f"class {number}": name for number, name in enumerate(report.classes, 1)}
    numbered = replace(report, classes=dict(zip(names, report.classes.values(), strict=True)))
    try:
        told = parse_report(json.dumps(numbered.to_dict()))
        found = check_report(told, single_label=report.accuracy is not None)
        return [str(replace(finding, line=names.get(finding.line, finding.line))) for finding in found]
    except InputError as error:
        return [f"not checked: {error}"]
