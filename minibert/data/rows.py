"""The rows of a table: .csv, .tsv, .jsonl and .txt files, each also as .gz or .xz.

A .csv is read as RFC 4180 says: fields in double quotes may hold commas and line ends. A .tsv has no quotes:
a field is what stands between two tabs, so that a text may begin with a quotation mark.
"""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minibert.data.files import kind_of, open_text
from minibert.errors import InputError

ROW_KINDS = (".csv", ".tsv", ".jsonl", ".json")
HALF = re.compile(r"\\u[dD][89a-fA-F]")  # only an escape can bring one in: text that is UTF-8 has none
LONGEST_FIELD = 2**31 - 1
Row = tuple[int, dict[str, Any]]
NO, YES = ("0", "0.0", "false", "no"), ("1", "1.0", "true", "yes")


def rows_of(path: Path) -> Iterator[Row]:
    """Yield (line number, column -> value) of each row.

    A line of .txt is {"text": line}; blank lines are left out. Raises InputError with file and line for what
    cannot be read.

    >>> next(rows_of(Path("train.csv")))
    (2, {'text': 'a wonderful film', 'label': 'positive'})
    """
    kind = kind_of(path)
    if kind == ".csv":
        return _table(path, _quoted_fields(path))
    if kind == ".tsv":
        lines = enumerate(open_text(path), 1)
        return _table(path, ((number, line.split("\t")) for number, line in lines if line))
    if kind in (".jsonl", ".json"):
        return _json_lines(path)
    if kind == ".txt":
        lines = enumerate(open_text(path), 1)
        return ((number, {"text": line}) for number, line in lines if line.strip())
    if path.is_dir() or any(sign in path.name for sign in "*?"):
        raise InputError(f"{path}: one file is wanted here, not a folder or a pattern; name the file")
    raise InputError(f"{path}: unknown kind of file {kind!r}; use .csv, .tsv, .jsonl or .txt (also .gz, .xz)")


def parse_object(where: str, line: str) -> dict[str, Any]:
    """Parse one line of JSON that must be an object; `where` begins the message of an InputError."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{where}: not JSON: {error}: {line[:60]!r}; one object per line is wanted"
        ) from error
    if not isinstance(row, dict):
        raise InputError(f"{where}: {line[:60]!r} is not an object; one JSON object per line is wanted")
    if HALF.search(line):
        try:
            json.dumps(row, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(
                f"{where}: half of a surrogate pair ({line[:60]!r}), which is no character; mend the file"
            ) from error
    return row


def _json_lines(path: Path) -> Iterator[Row]:
    for number, line in enumerate(open_text(path), 1):
        if line.strip():
            yield number, parse_object(f"{path}, line {number}", line)


def _table(path: Path, rows: Iterator[tuple[int, list[str]]]) -> Iterator[Row]:
    _, header = next(rows, (1, []))
    names = [name.strip() for name in header]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"{path}: the header names {name!r} {names.count(name)} times: {', '.join(names)}"
            )
    for number, fields in rows:
        if len(fields) != len(names):
            raise InputError(
                f"{path}, line {number}: {len(fields)} fields, the header has {len(names)} "
                f"({', '.join(names)}): {'|'.join(fields)[:60]!r}"
            )
        yield number, dict(zip(names, fields, strict=True))


def _quoted_fields(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the fields of each row of a .csv, with the number of the line on which the row begins."""
    reader = csv.reader((line + "\n" for line in open_text(path)), strict=True)
    while True:
        first = reader.line_num + 1
        # The limit belongs to the whole process: it is lifted for one row at a time, and put back.
        limit = csv.field_size_limit(LONGEST_FIELD)
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise InputError(f"{path}, line {first}: {error}; is a quotation mark not closed?") from error
        finally:
            csv.field_size_limit(limit)
        if fields is None:
            return
        if fields:
            yield first, fields


def is_true(value: Any, column: str, place: str) -> bool:
    """Return what a cell says of yes and no; `place` begins the message of an InputError.

    >>> is_true("False", "is_impossible", "line 2"), is_true(1, "toxic", "line 3")
    (False, True)
    """
    word = str(value).strip().lower()
    if word not in (*NO, *YES):
        raise InputError(f"{place}: {column!r} is {value!r:.60}; a column of yes and no holds 0 or 1")
    return word in YES
