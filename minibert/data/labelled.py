"""From the rows of a file to texts with several labels, and to texts with a number.

Several labels stand in one cell, as "drama|war" or as a list in JSON; or each has a column of 0 and 1.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minibert.data.columns import Columns, choose_columns
from minibert.data.examples import MultiLabelExample, NumberExample
from minibert.data.readers import examples_of
from minibert.data.rows import Row, is_true, rows_of
from minibert.errors import InputError

LABEL_SETS = ("labels", "label", "tags", "genres", "categories")
BITS = {"0", "1", "0.0", "1.0"}
NUMBERS = ("score", "label", "rating", "stars", "similarity")


def read_multi_label(
    path: str | Path,
    *,
    text_column: str | None = None,
    pair_column: str | None = None,
    label_column: str | None = None,
) -> list[MultiLabelExample]:
    """Read texts, or pairs of texts, with all their labels if the file has any.

    label_column  the column of the labels, "a|b" or a list in JSON, empty for none; or, parted by commas, the
                  columns of 0 and 1 whose names are the labels: "toxic,insult"

    Raises InputError with file and line for what is not readable so.
    """
    rows, where = _rows(path), f"{path}, line"
    names = list(rows[0][1])
    flags = _flags(rows, label_column or "", str(path))
    columns = choose_columns(
        str(path), names, text=text_column, pair=pair_column, label=None if flags else label_column,
        usual=LABEL_SETS,
    )  # fmt: skip
    texts = examples_of(rows, Columns(columns.text, columns.pair), where=where)
    examples, lists = [], []
    for (number, row), example in zip(rows, texts, strict=True):
        labels: list[str] | None = None
        if flags:
            labels = [flag for flag in flags if is_true(row.get(flag), flag, f"{where} {number}")]
        elif columns.label:
            labels = labels_of(row.get(columns.label), columns.label, f"{where} {number}")
            lists.append(labels)
        once = None if labels is None else tuple(dict.fromkeys(labels))
        examples.append(MultiLabelExample(example.text, example.pair, once))
    if columns.label:
        _refuse_numbers_for_names(lists, f"{path}: {columns.label!r}")
    return examples


def _flags(rows: Sequence[Row], label_column: str, where: str) -> list[str]:
    """Return the columns of 0 and 1 that are named, each of which is a label; none if a column holds sets."""
    names = list(rows[0][1])
    if label_column in names:
        values = {str(row.get(label_column)).strip() for _, row in rows}
        return [label_column] if values == {"0", "1"} else []
    flags = label_column.split(",") if label_column else []
    for flag in flags:
        if flag not in names:
            raise InputError(
                f"{where}: no column {flag!r}; there are {', '.join(names)}; name it: label_column"
            )
    return flags


def _refuse_numbers_for_names(lists: Sequence[list[str]], what: str) -> None:
    """Raise InputError where every cell is a list of as many 0 and 1: places of labels, not their names."""
    size = len(lists[0])
    if size > 1 and all(len(one) == size and set(one) <= BITS for one in lists):
        raise InputError(
            f"{what} holds {size} numbers of 0 and 1 in every row, and labels have names; write "
            f"the names of those that are 1, or give a column to each label and name them: a,b,c"
        )


def read_numbers(
    path: str | Path,
    *,
    text_column: str | None = None,
    pair_column: str | None = None,
    label_column: str | None = None,
) -> list[NumberExample]:
    """Read texts, or pairs of texts, with their numbers if the file has any.

    Raises InputError with file and line for a number that is none, such as nan, "high" or "3,5".
    """
    rows, where = _rows(path), f"{path}, line"
    columns = choose_columns(
        str(path), list(rows[0][1]), text=text_column, pair=pair_column, label=label_column, usual=NUMBERS
    )
    texts = examples_of(rows, Columns(columns.text, columns.pair), where=where)
    return [
        NumberExample(
            example.text,
            example.pair,
            None
            if columns.label is None
            else number_in(row.get(columns.label), columns.label, f"{where} {n}"),
        )
        for (n, row), example in zip(rows, texts, strict=True)
    ]


def labels_of(value: Any, column: str, place: str) -> list[str]:
    """Return the labels in a cell; `place` begins the message of an InputError.

    >>> labels_of("drama|war", "genres", "line 2"), labels_of('["drama", 7]', "genres", "line 3")
    (['drama', 'war'], ['drama', '7'])
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise InputError(f"{place}: {column!r} is {value[:60]!r}: no list in JSON: {error}") from error
    if isinstance(value, str):
        value = [label for label in value.split("|") if label.strip()]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        value = [value]
    named = isinstance(value, list) and all(
        isinstance(label, str | int | float) and not isinstance(label, bool) and str(label).strip()
        for label in value
    )
    if not named:
        raise InputError(f"{place}: {column!r} is {value!r:.60}; labels are a|b or a list of words")
    return [str(label).strip() for label in value]


def number_in(value: Any, column: str, place: str) -> float:
    """Return the number in a cell; `place` begins the message of an InputError.

    >>> number_in("3.5", "score", "line 2")
    3.5
    """
    try:
        number = math.nan if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{place}: {column!r} is {value!r:.60}; a finite number such as 3.5 is wanted")
    return number


def _rows(path: str | Path) -> list[Row]:
    rows = list(rows_of(Path(path)))
    if not rows:
        raise InputError(f"{path}: empty; a file of examples is wanted")
    return rows
