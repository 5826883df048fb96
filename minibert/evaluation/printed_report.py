"""Reading a classification report: as scikit-learn prints it, as its dictionary in JSON, or typed by hand.

A table typed by hand has a line that names its columns (class, precision, recall, f1, support; in any order,
some may be missing), parted by commas, tabs, bars or spaces. Percentages carry a %.
"""

import csv
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minibert.data.files import open_text
from minibert.errors import InputError
from minibert.evaluation.printed_numbers import NUMBER, Cells, Printed, equally_exact, printed

COLUMNS = {
    "precision": "precision",
    "recall": "recall",
    "f1": "f1",
    "f1-score": "f1",
    "f1_score": "f1",
    "f-score": "f1",
    "support": "support",
}
AVERAGES = ("micro avg", "macro avg", "weighted avg", "samples avg")
SHORT = {name.removesuffix(" avg"): name for name in AVERAGES} | {"avg / total": "weighted avg"}
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
    """The lines of the classes, those of the averages by their names, and the accuracy if it was printed."""

    classes: tuple[Line, ...]
    averages: dict[str, Line]
    accuracy: Line | None = None


def read_report(path: str | Path) -> PrintedReport:
    """Read a report from a file of text, JSON or a table; raises InputError for what is none."""
    return parse_report("\n".join(open_text(Path(path))), where=str(path))


def parse_report(text: str, *, where: str = "report") -> PrintedReport:
    """Read a report; `where` begins the message of an InputError.

    >>> report = parse_report("class precision recall f1 support\\nyes .80 1. .889 4\\nno 1. .5 .667 2")
    >>> [(line.name, line.recall.value, line.support) for line in report.classes]
    [('yes', 1.0, 4.0), ('no', 0.5, 2.0)]
    """
    if not text.strip():
        raise InputError(f"{where}: empty; {WANTED}")
    rows = _json_rows(text, where) if text.lstrip().startswith("{") else list(_text_rows(text, where))
    classes = [(name, cells) for name, cells in rows if name not in (*AVERAGES, "accuracy")]
    if not classes:
        raise InputError(f"{where}: no class has a line; {WANTED}")
    names = [name for name, _ in rows]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{where}: {twice!r} has {names.count(twice)} lines; give each class one")
    lines = {name: _line(name, cells, f"{where}: {name!r}") for name, cells in rows}
    return PrintedReport(
        tuple(lines[name] for name, _ in classes),
        {name: lines[name] for name in AVERAGES if name in lines},
        lines.get("accuracy"),
    )


def _line(name: str, cells: Cells, where: str) -> Line:
    ratios = {column: printed(cells[column], where=where) for column in cells if column != "support"}
    support = None
    if "support" in cells:
        support = printed(cells["support"], where=where).value
        if not (math.isfinite(support) and support >= 0):
            raise InputError(f"{where}: support {cells['support']} is no number of examples")
    return Line(name, ratios.get("precision"), ratios.get("recall"), ratios.get("f1"), support)


def _json_rows(text: str, where: str) -> list[tuple[str, Cells]]:
    try:
        table = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON: {error}; {WANTED}") from error
    for key in ("evaluation", "report"):  # what `minibert evaluate` writes holds more than the report
        table = table[key] if key in table and _is_table(table[key]) else table
    spelled = any(name in table for name in AVERAGES)  # scikit-learn's: "macro" is a class then
    rows: list[tuple[str, Cells]] = []
    for name, value in table.items():
        if isinstance(value, dict):
            cells = {COLUMNS[key]: str(cell) for key, cell in value.items() if key in COLUMNS}
            if not {"precision", "recall", "f1"} & cells.keys():
                raise InputError(f"{where}: {name!r} has {', '.join(value) or 'nothing'}; {WANTED}")
            rows.append((name if spelled else _known(name), cells))
        elif name == "accuracy":
            rows.append((name, {"f1": str(value)}))
        else:
            raise InputError(f"{where}: {name!r} is {value!r:.60}; {WANTED}")
    return equally_exact(rows)


def _is_table(value: Any) -> bool:
    """Whether a value holds lines, and is not one itself: a class may be called "report"."""
    return isinstance(value, dict) and not any(
        key in COLUMNS and not isinstance(cell, dict) for key, cell in value.items()
    )


def _text_rows(text: str, where: str) -> Iterator[tuple[str, Cells]]:
    lines = [line for line in enumerate(text.splitlines(), 1) if line[1].strip()]
    start = next((at for at, (_, line) in enumerate(lines) if len(_header(line)) >= 3), None)
    if start is None:
        raise InputError(
            f"{where}: no report in its {len(lines)} lines, {lines[0][1].strip()[:60]!r} ...; {WANTED}"
        )
    columns = [column for column in _header(lines[start][1]) if column]
    mark = next((mark for mark in "\t|," if mark in lines[start][1]), None)
    body = lines[start + 1 :]
    if mark:
        yield from equally_exact(_marked_rows(body, _header(lines[start][1], mark), mark=mark, where=where))
        return
    averaged = False
    for number, line in body:
        cells = line.split()
        count = next((n for n in (len(columns), 2, 1) if _numbers(cells, n)), 0)
        name = _known(" ".join(cells[: len(cells) - count]))
        if averaged and (not count or name not in (*AVERAGES, "accuracy")):
            return  # whatever a log holds below the report
        averaged = averaged or name in (*AVERAGES, "accuracy")
        if count == len(columns):
            yield name, dict(zip(columns, cells[-count:], strict=True))
        elif count and name == "accuracy":
            yield name, dict(zip(("f1", "support"), cells[-count:], strict=False))
        else:
            raise InputError(
                f"{where}, line {number}: {line.strip()[:60]!r} does not end in {len(columns)} numbers "
                f"({', '.join(columns)})"
            )


def _numbers(cells: Sequence[str], count: int) -> bool:
    return len(cells) >= count and all(NUMBER.fullmatch(cell) for cell in cells[-count:])


def _header(line: str, mark: str | None = None) -> list[str]:
    """Return the columns that a line names, "" for a word that is none (the class)."""
    parts = line.strip("| \r\n").split(mark) if mark else re.split(r"[\s,|]+", line)
    found = [COLUMNS.get(part.strip().lower().replace(" ", "-"), "") for part in parts]
    return found if mark else [column for column in found if column]


def _marked_rows(
    body: Sequence[tuple[int, str]], columns: list[str], *, mark: str, where: str
) -> list[tuple[str, Cells]]:
    """Read lines whose cells are parted by commas, tabs or bars; an empty cell is a number left out."""
    rows: list[tuple[str, Cells]] = []
    for number, line in body:
        if set(line.strip()) <= set("|-: "):
            continue
        line = line.strip().strip("|") if mark == "|" else line
        cells = [cell.strip() for cell in next(csv.reader([line], delimiter=mark))]
        if len(cells) != len(columns):
            raise InputError(
                f"{where}, line {number}: {line.strip()[:60]!r} has {len(cells)} cells, the first line "
                f"{len(columns)}"
            )
        filled = [(column, cell) for column, cell in zip(columns, cells, strict=True) if cell]
        name = _known(" ".join(cell for column, cell in filled if not column))
        found = {column: cell for column, cell in filled if column}
        if name == "accuracy" and found.get("support") == found.get("f1"):
            del found["support"]  # a data frame writes the accuracy into every column
        rows.append((name, found))
    return rows


def _known(name: str) -> str:
    """Return the name of an average as scikit-learn spells it; that of a class stays as it is."""
    plain = name.strip().lower().replace("-", " ").replace("average", "avg")
    spelled = SHORT.get(plain, plain)
    return spelled if spelled in (*AVERAGES, "accuracy") else name.strip()
