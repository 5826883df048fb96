"""The lines of a report in text, printed or typed by hand: which of them are classes, which averages.

A class may be called "micro" or "accuracy". So a short name means an average only where no line spells one
out ("macro avg"), and in text, lines above the blank line that parts them from the averages are classes. An
average may lack the support where that is the last column.
"""

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from minibert.errors import InputError
from minibert.evaluation.printed_numbers import NUMBER, Cells, equally_exact

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
Rows = list[tuple[str, Cells]]


@dataclass(frozen=True)
class Header:
    """A line that names columns, "" for a cell that is none; `mark` parts the cells, None for spaces."""

    number: int
    columns: tuple[str, ...]
    mark: str | None


def header_of(number: int, line: str) -> Header | None:
    """Return the columns that a line names; None for a line of prose or numbers, or with fewer than 3."""
    for mark in "\t|,":
        cells = [cell.strip().lower().replace(" ", "-") for cell in line.strip("| \r\n").split(mark)]
        columns = tuple(COLUMNS.get(cell, "") for cell in cells)
        if sum(map(bool, columns)) >= 3 and not any(map(NUMBER.fullmatch, cells)):
            return Header(number, columns, mark)
    words = re.split(r"[\s,|]+", line.strip("| \r\n").lower().replace("f1 score", "f1-score"))
    named = [COLUMNS.get(word, "") for word in words]
    columns = tuple(filter(None, named))
    if len(columns) >= 3 and (all(named[-3:]) or 2 * len(columns) > len(named)):
        return Header(number, columns, None)
    return None


def text_rows(body: Sequence[tuple[int, str]], header: Header, where: str) -> tuple[Rows, Rows]:
    """Read lines (number, text) whose numbers are parted by spaces, up to what stands below the averages.

    Returns the rows of the classes and those of the averages.
    """
    columns = header.columns
    rows = [(number, line, *_name_and_numbers(line, columns)) for number, line in body if line.strip()]
    known = _averages_of([name for _, _, name, numbers in rows if numbers])
    blank = {number + 1 for number, line in body if not line.strip()}
    starts = (at for at, (number, _, name, _) in enumerate(rows) if at and number in blank and known(name))
    start = next(starts, 0)
    classes: Rows = []
    averages: Rows = []
    for at, (number, line, name, numbers) in enumerate(rows):
        average = known(name) if at >= start else None
        if averages and not (average and numbers):
            break
        lacking = len(numbers) < len(columns) - _may_lack(columns, average)
        if lacking and not (average == "accuracy" and numbers):
            raise InputError(
                f"{where}, line {number}: {line.strip()[:60]!r} does not end in {len(columns)} numbers "
                f"({', '.join(columns)})"
            )
        named = ("f1", "support") if lacking else columns
        cells = dict(zip(named, numbers, strict=False))
        if average is None:
            classes.append((name, cells))
        else:
            averages.append((average, _of_all(average, cells)))
    return classes, averages


def _name_and_numbers(line: str, columns: Sequence[str]) -> tuple[str, list[str]]:
    """Cut a line before its last numbers: one for each column, or the two or the one of the accuracy."""
    cells, most = line.split(), len(columns)
    for count in (most, most - 1, 2, 1):
        name = " ".join(cells[:-count])
        lacks_support = count == most - 1 and _may_lack(columns, known_average(name))
        fits = count == most or count < 3 or lacks_support
        if fits and len(cells) >= count and all(map(NUMBER.fullmatch, cells[-count:])):
            return name, cells[-count:]
    return line.strip(), []


def _may_lack(columns: Sequence[str], average: str | None) -> bool:
    """Whether a line of this average may end before the support, after three numbers or more."""
    return average is not None and columns[-1] == "support" and len(columns) > 3


def marked_rows(body: Sequence[tuple[int, str]], header: Header, where: str) -> tuple[Rows, Rows]:
    """Read lines whose cells are parted by commas, tabs or bars; an empty cell is a number left out."""
    assert header.mark is not None
    columns, rows = header.columns, []
    for number, line in body:
        if set(line.strip()) <= set("|-: "):
            continue
        line = line.strip().strip("|") if header.mark == "|" else line
        cells = [cell.strip() for cell in next(csv.reader([line], delimiter=header.mark))]
        if len(cells) == len(columns) - 1 and _may_lack(columns, known_average(cells[0])):
            cells.append("")
        if len(cells) != len(columns):
            raise InputError(
                f"{where}, line {number}: {line.strip()[:60]!r} has {len(cells)} cells, the first line "
                f"{len(columns)}"
            )
        filled = [(column, cell) for column, cell in zip(columns, cells, strict=True) if cell]
        name = " ".join(cell for column, cell in filled if not column)
        rows.append((name, {column: cell for column, cell in filled if column}))
    return parted(equally_exact(rows), _averages_of([name for name, _ in rows]))


def _averages_of(names: Sequence[str]) -> Callable[[str], str | None]:
    spelled = any(known_average(name, spelled=True) in AVERAGES for name in names)
    return partial(known_average, spelled=spelled)


def parted(rows: Rows, known: Callable[[str], str | None]) -> tuple[Rows, Rows]:
    """Part classes from averages, whose name `known` returns."""
    classes: Rows = []
    averages: Rows = []
    for name, cells in rows:
        average = known(name)
        if average is None:
            classes.append((name, cells))
        else:
            averages.append((average, _of_all(average, cells)))
    return classes, averages


def _of_all(name: str, cells: Cells) -> Cells:
    """Leave out the support of a data frame's accuracy: it writes the accuracy into every column."""
    f1, support = cells.get("f1", ""), cells.get("support", "")
    if name != "accuracy" or "precision" not in cells or not all(map(NUMBER.fullmatch, (f1, support))):
        return cells
    same = float(f1.rstrip("%")) == float(support.rstrip("%"))
    return {column: cell for column, cell in cells.items() if column != "support" or not same}


def known_average(name: str, *, spelled: bool = False) -> str | None:
    """Return the name of an average as scikit-learn spells it, or accuracy; None for that of a class.

    spelled  some average of the report has its whole name, so that a short one is that of a class

    >>> known_average("Macro average"), known_average("macro"), known_average("macro", spelled=True)
    ('macro avg', 'macro avg', None)
    """
    plain = name.strip().lower().replace("-", " ").replace("average", "avg")
    plain = plain if spelled else SHORT.get(plain, plain)
    return plain if plain in (*AVERAGES, "accuracy") else None
