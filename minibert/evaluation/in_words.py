"""An evaluation as text for a terminal, and as what the HTML report shows of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minibert.evaluation.bootstrap import Interval
from minibert.evaluation.examine import Evaluation
from minibert.tasks.metrics import format_confusion

WIDEST = 20  # labels whose confusion is a table; of more, the pairs that are confused most are told
SPELLED = {"micro_f1": "micro F1", "macro_f1": "macro F1", "weighted_f1": "weighted F1"}
OF_WANTED = "macro F1 of wanted classes"


def in_words(told: Evaluation) -> str:
    """Lay out an evaluation for a terminal; "" where there is nothing to tell but the scores."""
    parts = [
        "" if told.report is None else told.report.text(),
        _never_wanted(told),
        _intervals(told),
        confusion(told.confusion),
        "" if told.calibration_error is None else f"calibration error {told.calibration_error:.4f}\n",
        _baselines(told),
        _mistakes(told),
        _groups(told),
        "\n".join(f"the report does not add up: {one}" for one in told.findings),
    ]
    return "\n".join(part for part in parts if part)


def _intervals(told: Evaluation) -> str:
    if not told.intervals:
        return ""
    shown = "  ".join(f"{_name(name, told)} {_span(span)}" for name, span in told.intervals.items())
    return f"95 % of {told.draws:,} draws of the {told.examples:,} examples: {shown}\n"


def never_wanted(told: Evaluation) -> list[str]:
    """Return the classes that were given and are right nowhere: macro avg counts them, macro F1 does not."""
    return [name for name, row in told.report.classes.items() if not row["support"]] if told.report else []


def _never_wanted(told: Evaluation) -> str:
    if not (names := never_wanted(told)):
        return ""
    shown = ", ".join(map(repr, names[:5])) + (" and others" if len(names) > 5 else "")
    return f"macro avg counts {shown}, which no example has, as 0; {OF_WANTED} leaves that out\n"


def _name(metric: str, told: Evaluation) -> str:
    return OF_WANTED if metric == "macro_f1" and never_wanted(told) else SPELLED.get(metric, metric)


def _span(interval: Interval) -> str:
    return f"{interval[0]:.4f} .. {interval[1]:.4f}"


def confusion(told: dict[str, Any] | None) -> str:
    """Lay out a confusion matrix, or, of many labels, the ten pairs that are confused most."""
    if told is None:
        return ""
    labels, counts = told["labels"], told["counts"]
    if len(labels) <= WIDEST:
        return format_confusion(np.array(counts), labels) + "\n"
    pairs = [
        (count, gold, given)
        for gold, row in zip(labels, counts, strict=True)
        for given, count in zip(labels, row, strict=True)
        if count and gold != given
    ]
    lines = [
        f"  {count:>5}  {gold} taken for {given}" for count, gold, given in sorted(pairs, reverse=True)[:10]
    ]
    return "\n".join(["confused most often:", *lines, ""])


def _baselines(told: Evaluation) -> str:
    if not told.baselines:
        return ""
    metrics = _two(told.baselines[0].scores)
    names = [_name(metric, told) for metric in metrics]
    rows = [["without an encoder", *names, *(f"{name}: the model's gain" for name in names)]]
    for one in told.baselines:
        scores = [f"{one.scores[name]:.4f}" for name in metrics]
        rows.append([one.system, *scores, *(_span(one.gains[name]) for name in metrics)])
    return _columns(rows) + "\n"


def _two(scores: Mapping[str, float]) -> list[str]:
    """Return the two scores that a table has room for."""
    return [name for name in ("accuracy", "macro_f1") if name in scores] or list(scores)[:2]


def _mistakes(told: Evaluation) -> str:
    lines = [
        f"  {one.probability:.3f}  {one.predicted}, not {one.gold}: {' '.join(one.text.split())}"
        for one in told.mistakes
    ]
    return "\n".join(["surest mistakes:", *lines, ""]) if lines else ""


def _groups(told: Evaluation) -> str:
    if not told.groups:
        return ""
    metrics = _two(told.groups[0].scores)
    heads = [head for name in metrics for head in (_name(name, told), "95 %")]
    rows = [["group", "examples", *heads]]
    for one in told.groups:
        scores = [
            cell for name in metrics for cell in (f"{one.scores[name]:.4f}", _span(one.intervals[name]))
        ]
        rows.append([one.name, str(one.examples), *scores])
    return _columns(rows) + "\n"


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def page_of(told: Evaluation, *, title: str, task: str) -> dict[str, Any]:
    """Return what `minibert.report.html.write_report` makes a page of; all values are kept in its JSON."""
    own = {name: value for name, value in told.scores.items() if isinstance(value, float)}
    systems = [("this model", own), *((one.system, one.scores) for one in told.baselines)]
    compared = [name for name in ("accuracy", "micro_f1", "macro_f1", "f1") if name in own]
    section: dict[str, Any] = {
        "rows": {"evaluated": told.examples},
        "metrics": compared or list(own),
        "table": [_system(name, scores) for name, scores in systems],
        "intervals": {_name(name, told): list(span) for name, span in told.intervals.items()},
        "classes": None if told.report is None else told.report.to_dict(),
        "confusion": told.confusion,
        "errors": [vars(one) for one in told.mistakes],
        "groups": [
            vars(one) for one in told.groups if "macro_f1" in one.scores
        ],  # what the page has columns for
    }
    return {"title": title, "tasks": {task: section}, "evaluation": {"scores": told.scores, **told.to_dict()}}


def _system(name: str, scores: dict[str, float]) -> dict[str, Any]:
    return {"system": name, "scores": {metric: {"mean": value} for metric, value in scores.items()}}
