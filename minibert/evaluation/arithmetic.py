"""Does a classification report add up? Checks that need nothing but the report.

Every printed number is an interval (printed_numbers.py): a finding is what no rounding explains::

    F1            = 2 P R / (P + R)                     of a class, and of the micro average
    macro avg     = mean of the classes                 precision, recall and F1 each by themselves
    weighted avg  = mean weighed by support
    micro avg     = sum r / sum k, sum r / sum n        r right answers of k given and n wanted
    accuracy      = sum r / sum n = micro P = R = F1    where each example has one label, sum k = sum n

Counts are whole (see whole_counts.py), but for reports with sample weights: of those, what needs no counts is
checked. Left out: averages over samples, which need the samples; weighted supports in JSON that happen to be
whole numbers are taken for counts.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from minibert.evaluation.printed_numbers import Printed
from minibert.evaluation.printed_report import Line, PrintedReport
from minibert.evaluation.whole_counts import counts_of, right_answers

RATIOS: dict[str, Callable[[Line], Printed | None]] = {
    "precision": lambda line: line.precision,
    "recall": lambda line: line.recall,
    "f1": lambda line: line.f1,
}
SLACK = 1e-9


@dataclass(frozen=True)
class Finding:
    """A line of a report that cannot be right, and why."""

    line: str
    problem: str

    def __str__(self) -> str:
        return f"{self.line}: {self.problem}"


def check_report(report: PrintedReport, *, single_label: bool | None = None) -> list[Finding]:
    """Return what in a report cannot be right; nothing where all of it adds up.

    single_label  each example has exactly one label, and all labels have a line; None takes that from the
                  report: scikit-learn prints accuracy only then, and a micro average else

    >>> from minibert.evaluation.printed_report import parse_report
    >>> text = "class precision recall f1 support\\nyes .80 .60 .75 5\\nno .5 .5 .5 2"
    >>> [str(finding) for finding in check_report(parse_report(text))]
    ['yes: f1 .75 does not follow from precision .80 and recall .60, which give 0.6806 .. 0.6908']
    """
    single = report.accuracy is not None if single_label is None else single_label
    return [
        *_ranges(report),
        *_f1_of_classes(report),
        *_supports(report),
        *_means(report),
        *_totals(report, single=single),
    ]


def differing_micro(report: PrintedReport) -> str | None:
    """Say it where micro precision and recall differ, which is wrong for texts with one label each."""
    micro = report.averages.get("micro avg")
    if micro is None or report.accuracy or not (micro.precision and micro.recall):
        return None
    if _meet(micro.precision, micro.recall.low, micro.recall.high):
        return None
    return (
        f"micro precision {micro.precision.text} and recall {micro.recall.text} differ: possible where texts "
        "have several labels, or some classes have no line; with one label for each text they are the same "
        "(--single-label)"
    )


def _ranges(report: PrintedReport) -> Iterator[Finding]:
    for line in [*report.classes, *report.averages.values(), *([report.accuracy] if report.accuracy else [])]:
        for name, score in _ratios(line):
            if not (score.undefined or 0 <= score.value <= 1):
                shown = "accuracy" if line is report.accuracy else name
                yield Finding(line.name, f"{shown} {score.text} is not in 0..1; percentages carry a %")


def _ratios(line: Line) -> list[tuple[str, Printed]]:
    found = [(name, of(line)) for name, of in RATIOS.items()]
    return [(name, score) for name, score in found if score is not None]


def _meet(score: Printed, low: float, high: float) -> bool:
    return score.undefined or (score.low <= high + SLACK and low <= score.high + SLACK)


def _f1_problem(line: Line) -> str | None:
    """Compare F1 with precision and recall; F1 grows with both."""
    precision, recall, f1 = line.precision, line.recall, line.f1
    if not (precision and recall and f1) or precision.undefined or recall.undefined:
        return None
    low = _harmonic(max(0.0, precision.low), max(0.0, recall.low))
    high = _harmonic(min(1.0, precision.high), min(1.0, recall.high))
    if _meet(f1, low, high):
        return None
    return (
        f"f1 {f1.text} does not follow from precision {precision.text} and recall {recall.text}, "
        f"which give {_span(low, high)}"
    )


def _harmonic(one: float, other: float) -> float:
    return 2 * one * other / (one + other) if one + other > 0 else 0.0


def _span(low: float, high: float) -> str:
    return f"{low:.4f}" if high - low < 1e-4 else f"{low:.4f} .. {high:.4f}"


def _f1_of_classes(report: PrintedReport) -> Iterator[Finding]:
    for line in report.classes:
        problem = _f1_problem(line)
        if problem is None and _countable(line, report) and counts_of(line) is None:
            problem = _no_counts(line)
        if problem:
            yield Finding(line.name, problem)


def _countable(line: Line, report: PrintedReport) -> bool:
    inside = all(score.undefined or 0 <= score.value <= 1 for _, score in _ratios(line))
    return inside and line.support is not None and not report.weighted


def _no_counts(line: Line) -> str:
    """Say which score is no ratio of whole numbers."""
    assert line.support is not None
    wanted = int(line.support)
    low, high = right_answers(line.recall, wanted)
    if low > high and line.recall is not None:
        if not wanted:
            return f"recall {line.recall.text} of 0 examples; without examples it is 0, 1 or nan"
        near = round(line.recall.value * wanted)
        return (
            f"recall {line.recall.text} is no share of {wanted} examples: {near} right answers give "
            f"{near / wanted:.4f}"
        )
    told = ", ".join(f"{name} {score.text}" for name, score in _ratios(line))
    return f"{told} of {wanted} examples: no whole numbers of right and given answers have these ratios"


def _supports(report: PrintedReport) -> Iterator[Finding]:
    total = _total(report)
    for line in [*report.averages.values(), *([report.accuracy] if report.accuracy else [])]:
        if total is not None and line.support is not None and abs(line.support - total) > 1e-6 * (1 + total):
            yield Finding(line.name, f"support {line.support:g}, but the classes' supports sum to {total:g}")


def _total(report: PrintedReport) -> float | None:
    supports = [line.support for line in report.classes]
    return None if None in supports else sum(support for support in supports if support is not None)


def _means(report: PrintedReport) -> Iterator[Finding]:
    """Compare the macro and the weighted average with those of the classes."""
    supports = [line.support for line in report.classes]
    for kind, how in (("macro avg", "the mean"), ("weighted avg", "the mean weighed by support")):
        line = report.averages.get(kind)
        for name, score in _ratios(line) if line else []:
            scores = [RATIOS[name](one) for one in report.classes]
            weights = supports if kind == "weighted avg" else [1.0] * len(scores)
            if None in scores or None in weights or score.undefined:
                continue
            pairs = [(one, weight) for one, weight in zip(scores, weights, strict=True) if one and weight]
            pairs = [(one, weight) for one, weight in pairs if not one.undefined]
            mass = sum(weight for _, weight in pairs if weight)
            if not mass:
                continue
            low = sum(one.low * weight for one, weight in pairs if weight) / mass
            high = sum(one.high * weight for one, weight in pairs if weight) / mass
            if not _meet(score, low, high):
                yield Finding(kind, f"{name} {score.text} is not {how} of the classes, {_span(low, high)}")


def _totals(report: PrintedReport, *, single: bool) -> Iterator[Finding]:
    """Compare the micro average and the accuracy with the counts of all classes together."""
    wanted = _total(report)
    micro, accuracy = report.averages.get("micro avg"), report.accuracy
    if micro is not None and (problem := _f1_problem(micro)):
        yield Finding(micro.name, problem)
    if single:
        yield from _all_the_same(micro, accuracy)
    if not wanted or not all(_countable(line, report) for line in report.classes):
        return
    counts = [counts_of(line) or counts_of(replace(line, f1=None)) for line in report.classes]
    known = [one for one in counts if one]
    if len(known) < len(counts):
        return  # a class that no counts fit has its own finding
    right = (sum(one.fewest_right for one in known), sum(one.most_right for one in known))
    given = (sum(one.fewest_answers for one in known), sum(one.most_answers for one in known))
    if single and not given[0] <= wanted <= given[1]:
        more = "more" if wanted < given[0] else "fewer"
        told = f"{given[0] if more == 'more' else given[1]:g}"
        problem = f"the precisions ask for {told} answers or {more}, and {wanted:g} examples have one each"
        yield Finding("all classes", problem)
    yield from _shares(micro, accuracy, right=right, given=given, wanted=wanted)


def _all_the_same(micro: Line | None, accuracy: Line | None) -> Iterator[Finding]:
    same = [(f"micro {name}", score) for name, score in (_ratios(micro) if micro else [])]
    same += [("accuracy", accuracy.f1)] if accuracy and accuracy.f1 else []
    for name, score in same[1:]:
        first, other = same[0]
        if not _meet(score, other.low, other.high):
            problem = f"{name} {score.text} differs from {first} {other.text}; with one label for each "
            yield Finding("micro avg" if micro else "accuracy", problem + "example they are the same")


def _shares(
    micro: Line | None,
    accuracy: Line | None,
    *,
    right: tuple[float, float],
    given: tuple[float, float],
    wanted: float,
) -> Iterator[Finding]:
    recall = (right[0] / wanted, right[1] / wanted)
    f1 = (2 * right[0] / (given[1] + wanted), 2 * right[1] / (given[0] + wanted))
    limits = [(micro.recall, recall, "recall"), (micro.f1, f1, "f1")] if micro else []
    if micro and given[1]:
        precision = (right[0] / given[1], min(1.0, right[1] / given[0]) if given[0] else 1.0)
        limits.append((micro.precision, precision, "precision"))
    for score, (low, high), name in limits:
        if score is not None and not _meet(score, low, high):
            told = f"{name} {score.text} is not that of all answers together, {_span(low, high)}"
            yield Finding("micro avg", told)
    if accuracy and accuracy.f1:
        fewest, most = right_answers(accuracy.f1, int(wanted))
        if not _meet(accuracy.f1, *recall) or fewest > most:
            told = f"{accuracy.f1.text} is not the share of right answers, {_span(*recall)} of {wanted:g}"
            yield Finding("accuracy", told)
