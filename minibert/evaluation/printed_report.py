"""Reading a classification report: as scikit-learn prints it, as its dictionary in JSON, or typed by hand.

A table typed by hand has a line that names its columns (class, precision, recall, f1, support; in any order,
some may be missing), parted by commas, tabs, bars or spaces. Percentages carry a %. Each such line begins a
report: a log may hold several.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minibert.data.files import open_text
from minibert.errors import InputError
from minibert.evaluation.printed_lines import (
    AVERAGES,
    COLUMNS,
    Rows,
    header_of,
    known_average,
    marked_rows,
    parted,
    text_rows,
)
from minibert.evaluation.printed_numbers import Cells, Printed, equally_exact, printed

WANTED = (
    "a report has a line with precision, recall and f1-score, and under it a line for each class; print "
    "scikit-learn's classification_report into a file, or save its dictionary as JSON"
)


@dataclass(frozen=True)
class Line:
    """The numbers of a class, or of an average; None where none was printed."""

    name: str
    precision: Printed | None = None
    recall: Printed | None = None
    f1: Printed | None = None
    support: float | None = None


@dataclass(frozen=True)
class PrintedReport:
    """The lines of the classes, those of the averages by their names, and the accuracy if it was printed.

    start     the line of the text that names its columns, from 1
    weighted  whether the supports are no counts: examples had sample weights
    """

    classes: tuple[Line, ...]
    averages: dict[str, Line]
    accuracy: Line | None = None
    start: int = 1
    weighted: bool = False


def read_reports(path: str | Path) -> list[PrintedReport]:
    """Read the reports of a file of text, JSON or a table; raises InputError where there is none."""
    return parse_reports("\n".join(open_text(Path(path))), where=str(path))


def read_report(path: str | Path) -> PrintedReport:
    """Read the only report of a file; raises InputError for what is none, and for several."""
    return parse_report("\n".join(open_text(Path(path))), where=str(path))


def parse_report(text: str, *, where: str = "report") -> PrintedReport:
    """Read the only report of a text; `where` begins the message of an InputError.

    >>> report = parse_report("class precision recall f1 support\\nyes .80 1. .889 4\\nno 1. .5 .667 2")
    >>> [(line.name, line.recall.value, line.support) for line in report.classes]
    [('yes', 1.0, 4.0), ('no', 0.5, 2.0)]
    """
    reports = parse_reports(text, where=where)
    if len(reports) > 1:
        starts = ", ".join(str(report.start) for report in reports)
        raise InputError(f"{where}: {len(reports)} reports, in lines {starts}; read them with parse_reports")
    return reports[0]


def parse_reports(text: str, *, where: str = "report") -> list[PrintedReport]:
    """Read all reports of a text, in their order; raises InputError where there is none.

    >>> table = "class precision recall f1\\nyes .80 1. .889\\nmacro avg .80 1. .889\\n"
    >>> [report.start for report in parse_reports(table + "epoch 2\\n" + table)]
    [1, 5]
    """
    if not text.strip():
        raise InputError(f"{where}: empty; {WANTED}")
    if text.lstrip().startswith("{"):
        return [_report(*_json_rows(text, where), where=where)]
    lines = text.splitlines()
    headers = [header for number, line in enumerate(lines, 1) if (header := header_of(number, line))]
    if not headers:
        held = [line.strip() for line in lines if line.strip()]
        raise InputError(f"{where}: no report in its {len(held)} lines, {held[0][:60]!r} ...; {WANTED}")
    ends = [header.number - 1 for header in headers[1:]] + [len(lines)]
    found = []
    for header, end in zip(headers, ends, strict=True):
        body = list(enumerate(lines[header.number : end], header.number + 1))
        own = where if len(headers) == 1 else f"{where}, report of line {header.number}"
        rows = marked_rows(body, header, own) if header.mark else text_rows(body, header, own)
        found.append(_report(*rows, where=own, start=header.number, weighted=_weighed(*rows)))
    return found


def _report(
    classes: Rows, averages: Rows, *, where: str, start: int = 1, weighted: bool = False
) -> PrintedReport:
    if not classes:
        raise InputError(f"{where}: no class has a line; {WANTED}")
    for names in ([name for name, _ in classes], [name for name, _ in averages]):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"{where}: {twice!r} has {names.count(twice)} lines; give each class one")
    lines = {name: _line(name, cells, f"{where}: {name!r}") for name, cells in averages}
    found = tuple(_line(name, cells, f"{where}: {name!r}") for name, cells in classes)
    apart = {name: lines[name] for name in AVERAGES if name in lines}
    parts = any(line.support is not None and line.support % 1 > 0 for line in found)
    return PrintedReport(found, apart, lines.get("accuracy"), start, weighted or parts)


def _weighed(classes: Rows, averages: Rows) -> bool:
    """Whether a text writes its supports with a point, as scikit-learn does where examples are weighted.

    A printed data frame has points in every column, and the accuracy in each.
    """
    framed = any(name == "accuracy" and "precision" in cells for name, cells in averages)
    return not framed and any("." in cells.get("support", "") for _, cells in classes)


def _line(name: str, cells: Cells, where: str) -> Line:
    ratios = {column: printed(cells[column], where=where) for column in cells if column != "support"}
    support = None
    if "support" in cells:
        support = printed(cells["support"], where=where).value
        if not (math.isfinite(support) and support >= 0):
            raise InputError(f"{where}: support {cells['support']} is no number of examples")
    return Line(name, ratios.get("precision"), ratios.get("recall"), ratios.get("f1"), support)


def _json_rows(text: str, where: str) -> tuple[Rows, Rows]:
    try:
        table = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON: {error}; {WANTED}") from error
    for key in ("evaluation", "report"):  # what `minibert evaluate` writes holds more than the report
        table = table[key] if key in table and _is_table(table[key]) else table
    rows: Rows = []
    for name, value in table.items():
        if isinstance(value, dict):
            cells = {COLUMNS[key]: str(cell) for key, cell in value.items() if key in COLUMNS}
            if not {"precision", "recall", "f1"} & cells.keys():
                raise InputError(f"{where}: {name!r} has {', '.join(value) or 'nothing'}; {WANTED}")
            rows.append((name, cells))
        elif name == "accuracy":
            rows.append((name, {"f1": str(value)}))
        else:
            raise InputError(f"{where}: {name!r} is {value!r:.60}; {WANTED}")
    if any(name in table for name in AVERAGES):  # scikit-learn's: what it spells differently is a class
        return parted(equally_exact(rows), lambda name: name if name in (*AVERAGES, "accuracy") else None)
    return parted(equally_exact(rows), known_average)


def _is_table(value: Any) -> bool:
    """Whether a value holds lines, and is not one itself: a class may be called "report"."""
    return isinstance(value, dict) and not any(
        key in COLUMNS and not isinstance(cell, dict) for key, cell in value.items()
    )
