"""From files, or from rows that are already in memory, to examples of texts; and from files to documents."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from minibert.data.columns import Columns, choose_columns
from minibert.data.examples import TextExample
from minibert.data.files import kind_of, open_text
from minibert.data.rows import ROW_KINDS, Row, rows_of
from minibert.errors import InputError

LONGEST_DOCUMENT = 2**20


def read_texts(
    path: str | Path,
    *,
    text_column: str | None = None,
    pair_column: str | None = None,
    label_column: str | None = None,
) -> list[TextExample]:
    """Read texts, or pairs of texts, with their labels if the file has any.

    Columns that are not named are found by their usual names (`columns_of` tells which); a .txt has a text on
    each line, and blank lines are passed over. Labels become words: 1 is "1", true is "true". Raises
    InputError with file and line for an empty text, a missing value or an unreadable row, and where the
    columns are in doubt.

    >>> read_texts("train.csv", label_column="label")[0]
    TextExample(text='a wonderful film', pair=None, label='positive')
    """
    path = Path(path)
    rows = list(rows_of(path))
    if not rows:
        raise InputError(f"{path}: empty; a file of examples is wanted")
    columns = choose_columns(
        str(path), list(rows[0][1]), text=text_column, pair=pair_column, label=label_column
    )
    return examples_of(rows, columns, where=f"{path}, line")


def columns_of(
    path: str | Path,
    *,
    text_column: str | None = None,
    pair_column: str | None = None,
    label_column: str | None = None,
) -> Columns:
    """Tell which columns `read_texts` reads from a file.

    >>> columns_of("train.csv")
    Columns(text='text', pair=None, label='label')
    """
    path = Path(path)
    _, row = next(rows_of(path), (0, {}))
    return choose_columns(str(path), list(row), text=text_column, pair=pair_column, label=label_column)


def examples_of(rows: Iterable[Row], columns: Columns, *, where: str) -> list[TextExample]:
    """Turn numbered rows into examples.

    Raises InputError, which begins with `where` and the row's number, for a missing or unusable value; for
    empty texts it tells the first and how many there are.
    """
    examples, empty = [], []
    for number, row in rows:
        place = f"{where} {number}"
        for name in (columns.text, columns.pair, columns.label):
            if name is not None and row.get(name) is None:
                raise InputError(f"{place}: no value for {name!r}; the row has {', '.join(row)}")
        text = _text(row[columns.text], columns.text, place)
        pair = None if columns.pair is None else _text(row[columns.pair], columns.pair, place)
        label = None if columns.label is None else _label(row[columns.label], columns.label, place)
        if not text.strip() or (pair is not None and not pair.strip()):
            empty.append(number)
        examples.append(TextExample(text, pair, label))
    if empty:
        raise InputError(f"{where} {empty[0]}: the text is empty ({len(empty)} such rows); remove them")
    return examples


def _text(value: object, column: str, place: str) -> str:
    if not isinstance(value, str):
        raise InputError(
            f"{place}: {column!r} is {value!r:.60}, of type {type(value).__name__}; text is wanted"
        )
    return value


def _label(value: object, column: str, place: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float) or value != value:
        raise InputError(f"{place}: {column!r} is {value!r:.60}; a label is one word or one number")
    label = str(value).strip()
    if not label:
        raise InputError(f"{place}: the label in {column!r} is empty; remove the row, or fill it in")
    return label


def read_documents(paths: str | Path | Sequence[str | Path], *, text_column: str = "text") -> Iterator[str]:
    """Yield the documents of corpus files, one at a time.

    Blank lines part the documents of a .txt, or of a file of an unknown kind; in .csv, .tsv and .jsonl each
    row is one, and empty rows are passed over. A document of over a million characters is cut at the end of a
    line, so that a file without blank lines needs no more memory than any other. Raises InputError with file
    and line.

    >>> list(read_documents(["cats.txt", "train.csv"], text_column="text"))[:3]
    ['The cat sat.', 'The cat ran.', 'a wonderful film']
    """
    for path in map(Path, [paths] if isinstance(paths, str | Path) else paths):
        if kind_of(path) in ROW_KINDS:
            yield from _column(path, text_column)
        else:
            yield from _paragraphs(open_text(path))


def _column(path: Path, name: str) -> Iterator[str]:
    for number, row in rows_of(path):
        place = f"{path}, line {number}"
        if name not in row:
            named = "name it: text_column (--text-column)"
            raise InputError(f"{place}: no column {name!r}; there are {', '.join(row)}; {named}")
        text = _text(row[name], name, place)
        if text.strip():
            yield text


def _paragraphs(lines: Iterable[str]) -> Iterator[str]:
    gathered: list[str] = []
    size = 0
    for line in lines:
        if line.strip():
            gathered.append(line)
            size += len(line) + 1
        if gathered and (not line.strip() or size > LONGEST_DOCUMENT):
            yield "\n".join(gathered)
            gathered, size = [], 0
    if gathered:
        yield "\n".join(gathered)
