"""From the rows of a file to examples of texts: .csv, .tsv, .jsonl and .txt, each also as .gz or .xz."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from minibert.data.examples import TextExample
from minibert.data.files import kind_of, lines_of
from minibert.errors import InputError, MissingExtra

TEXT_ALIASES = ("text", "sentence", "review", "content", "title", "query")
PAIR_ALIASES = (
    ("text", "pair"),
    ("a", "b"),
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question", "answer"),
    ("qtext", "atext"),
)
LABEL_ALIASES = ("label", "labels", "category", "intent", "class")
Row = tuple[int, dict[str, Any]]


def read_texts(
    path: str | Path,
    *,
    text_column: str | None = None,
    pair_column: str | None = None,
    label_column: str | None = None,
) -> list[TextExample]:
    """Read texts, or pairs of texts, with their labels if the file has any.

    Columns that are not named are found by their usual names. Raises InputError with file and line.
    """
    path = Path(path)
    rows = list(rows_of(path))
    if not rows:
        raise InputError(f"{path}: empty; a file of examples is wanted")
    columns = list(rows[0][1])
    text, pair, label = _columns(path, columns, text_column, pair_column, label_column=label_column)
    return [_example(path, number, row, columns=(text, pair, label)) for number, row in rows]


def rows_of(path: Path) -> Iterator[Row]:
    """Yield (line number, column -> value) of each row; a .txt line is {"text": line}."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    kind = kind_of(path)
    if kind in (".csv", ".tsv"):
        yield from _table(path, "\t" if kind == ".tsv" else ",")
    elif kind in (".jsonl", ".json"):
        yield from _json_lines(path)
    elif kind == ".txt":
        yield from ((number, {"text": line}) for number, line in enumerate(lines_of(path), 1) if line.strip())
    else:
        raise InputError(f"{path}: unknown kind of file {kind!r}; use .csv, .tsv, .jsonl or .txt (.gz, .xz)")


def read_dataset(dataset: Any, *, text: str, label: str | None, pair: str | None = None) -> list[TextExample]:
    """Turn rows of a Hugging Face data set (an object, a name, or any iterable of dicts) into examples.

    A name needs the extra `datasets`; class numbers become their names where the data set knows them.
    """
    if isinstance(dataset, str):
        try:
            dataset = import_module("datasets").load_dataset(dataset, split="train")
        except ImportError as error:
            raise MissingExtra(
                "datasets is not installed: pip install 'minibert-encoder[datasets]'"
            ) from error
    features = getattr(dataset, "features", None) or {}
    names = getattr(features.get(label), "names", None) if label else None
    examples = []
    for row in dataset:
        value = row[label] if label else None
        shown = names[value] if names and isinstance(value, int) and value >= 0 else value
        examples.append(TextExample(row[text], row[pair] if pair else None, _label(shown)))
    return examples


def read_documents(paths: Sequence[str | Path], *, text_column: str = "text") -> Iterator[str]:
    """Yield the documents of corpus files, one at a time.

    In .txt an empty line parts documents; elsewhere each row is one. Raises InputError with file and line.
    """
    for path in map(Path, paths):
        if kind_of(path) in (".csv", ".tsv", ".jsonl", ".json"):
            for number, row in rows_of(path):
                if text_column not in row:
                    raise InputError(
                        f"{path}, line {number}: no column {text_column!r}; there are {', '.join(row)}"
                    )
                yield str(row[text_column])
        else:
            yield from _paragraphs(lines_of(path))


def _paragraphs(lines: Iterable[str]) -> Iterator[str]:
    gathered: list[str] = []
    for line in lines:
        if line.strip():
            gathered.append(line)
        elif gathered:
            yield "\n".join(gathered)
            gathered = []
    if gathered:
        yield "\n".join(gathered)


def _table(path: Path, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader((line + "\n" for line in lines_of(path)), delimiter=delimiter)
    header = next(reader, [])
    for fields in reader:
        if not fields:
            continue
        if len(fields) != len(header):
            raise InputError(
                f"{path}, line {reader.line_num}: {len(fields)} fields, the header has {len(header)}: {fields!r:.80}"
            )
        yield reader.line_num, dict(zip(header, fields, strict=True))


def _json_lines(path: Path) -> Iterator[Row]:
    for number, line in enumerate(lines_of(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {number}: not JSON: {error}: {line[:60]!r}") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}: expected an object, found {line[:60]!r}")
        yield number, row


def _columns(
    path: Path, columns: list[str], text: str | None, pair: str | None, *, label_column: str | None
) -> tuple[str, str | None, str | None]:
    """Return the names of the text, pair and label columns, found by their usual names where not given."""
    for named in (text, pair, label_column):
        if named is not None and named not in columns:
            raise InputError(f"{path}: no column {named!r}; there are {', '.join(columns)}")
    label = label_column or next((name for name in LABEL_ALIASES if name in columns), None)
    if text is None:
        first, second = next(((a, b) for a, b in PAIR_ALIASES if a in columns and b in columns), (None, None))
        text = first or next((name for name in TEXT_ALIASES if name in columns), None)
        pair = pair or second
    if text is None:
        raise InputError(
            f"{path}: no column 'text'; there are {', '.join(columns)}; name one with --text-column"
        )
    return text, pair, label


def _example(
    path: Path, number: int, row: dict[str, Any], *, columns: tuple[str, str | None, str | None]
) -> TextExample:
    text, pair, label = columns
    for name in columns:
        if name is not None and row.get(name) is None:
            raise InputError(f"{path}, line {number}: no value for {name!r}; the row has {', '.join(row)}")
    if not str(row[text]).strip():
        raise InputError(f"{path}, line {number}: the text is empty; remove the row")
    second = str(row[pair]) if pair else None
    value = _label(row[label]) if label else None
    if value == "":
        raise InputError(f"{path}, line {number}: the label is empty; remove the row or the column")
    return TextExample(str(row[text]), second, value)


def _label(value: Any) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)
