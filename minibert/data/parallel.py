"""From files to pairs of source and target: two columns of a table, or two files of lines side by side.

Line n of one file belongs to line n of the other, as translators keep them: `train.de,train.en`. A table may
also hold the rows of Hugging Face's translation data, {"translation": {"de": ..., "en": ...}}, or dialogues
(`dialogues`): then each turn but the first is the target of what was said before it.
"""

from pathlib import Path

from minibert.data.dialogues import TURNS, read_dialogues, responses
from minibert.data.examples import ParallelExample
from minibert.data.files import kind_of, open_text
from minibert.data.rows import ROW_KINDS, Row, rows_of
from minibert.errors import InputError

USUAL = (
    ("source", "target"),
    ("src", "tgt"),
    ("document", "summary"),
    ("article", "highlights"),
    ("dialogue", "summary"),
    ("text", "summary"),
    ("context", "response"),
)


def read_parallel(
    path: str | Path,
    *,
    source_column: str | None = None,
    target_column: str | None = None,
    targets: bool = True,
) -> list[ParallelExample]:
    """Read pairs of texts; with `targets` False, sources alone.

    path  a table (.csv, .tsv, .jsonl), or two files of lines: "train.de,train.en"; each may be .gz or .xz.
          Dialogues are rows of .jsonl with a list of turns. Without targets one file of lines is enough.

    Columns that are not named are found by their usual names. Raises InputError with file and line for an
    empty or missing text, and for files of lines of different lengths.

    >>> read_parallel("train.csv", source_column="label", target_column="text")[0]
    ParallelExample(source='positive', target='a wonderful film')
    """
    files = parts_of(path)
    if kind_of(files[0]) not in ROW_KINDS:
        if source_column or target_column:
            raise InputError(f"{path}: files of lines have no columns; leave the names of columns out")
        examples = _lines(files, targets)
    elif len(files) > 1:
        raise InputError(f"{path}: a table holds source and target; give one table, or two files of lines")
    else:
        examples = _table(files[0], source_column, target_column, targets)
    if not examples:
        raise InputError(f"{path}: empty; a file of texts is wanted")
    return examples


def parts_of(path: str | Path) -> list[Path]:
    """Take "train.de,train.en" apart, unless a file has that very name."""
    if isinstance(path, Path) or Path(path).exists():
        return [Path(path)]
    return [Path(part.strip()) for part in path.split(",")]


def _lines(files: list[Path], targets: bool) -> list[ParallelExample]:
    if len(files) > 2 or (targets and len(files) < 2):
        names = ",".join(map(str, files))
        raise InputError(
            f"{names}: {len(files)} file of lines; give two, the sources and the targets, parted by a comma: "
            "train.de,train.en"
        )
    sides = [list(open_text(file)) for file in files]
    lengths = [len(lines) for lines in sides]
    if len(set(lengths)) > 1:
        raise InputError(
            f"{files[0]} has {lengths[0]} lines and {files[1]} has {lengths[1]}; line n of the one belongs "
            "to line n of the other, so give as many of each"
        )
    for file, lines in zip(files, sides, strict=True):
        empty = [number for number, line in enumerate(lines, 1) if not line.strip()]
        if empty:
            raise InputError(
                f"{file}, line {empty[0]}: the text is empty ({len(empty)} such lines); "
                "remove them from both files"
            )
    if not targets:
        return [ParallelExample(line) for line in sides[0]]
    return [ParallelExample(*pair) for pair in zip(*sides, strict=True)]


def _table(path: Path, source: str | None, target: str | None, targets: bool) -> list[ParallelExample]:
    rows = [(number, _flat(row)) for number, row in rows_of(path)]
    if not rows:
        return []
    columns = list(rows[0][1])
    talk = isinstance(rows[0][1].get(TURNS), list)
    if talk and source is target is None and not _usual(columns, None, None, targets):
        return _replies(path, targets)
    if targets and len(columns) < 2 and source is target is None:
        raise InputError(f"{path}: has the column {', '.join(columns)} alone; source and target are wanted")
    if source is None:
        source = _choose(
            path, columns, "source", [pair[0] for pair in _usual(columns, None, target, targets)]
        )
    if not targets:
        return [ParallelExample(_text(path, row, source)) for row in rows]
    if target is None:
        target = _choose(path, columns, "target", [pair[1] for pair in _usual(columns, source, None, True)])
    if source == target:
        raise InputError(f"{path}: column {source!r} cannot be both source and target; name two columns")
    return [ParallelExample(_text(path, row, source), _text(path, row, target)) for row in rows]


def _replies(path: Path, targets: bool) -> list[ParallelExample]:
    found = responses(read_dialogues(path))
    if not found:
        raise InputError(f"{path}: no dialogue has two turns; what was said before and its reply are wanted")
    return [ParallelExample(each.text, each.positive if targets else None) for each in found]


def _usual(
    columns: list[str], source: str | None, target: str | None, targets: bool
) -> list[tuple[str, str]]:
    """Return the usual pairs that a table may have, given what is named."""
    return [
        pair
        for pair in USUAL
        if pair[0] in columns
        and source in (None, pair[0])
        and (target is not None or not targets or pair[1] in columns)
    ]


def _choose(path: Path, columns: list[str], side: str, found: list[str]) -> str:
    if len(set(found)) != 1:
        raise InputError(
            f"{path}: the {side} may be any of {', '.join(columns)}; name it: {side}_column (--{side}-column)"
        )
    return found[0]


def _flat(row: dict[str, object]) -> dict[str, object]:
    inner = row.get("translation")
    return inner if isinstance(inner, dict) else row


def _text(path: Path, row: Row, column: str) -> str:
    number, values = row
    value = values.get(column)
    if not isinstance(value, str) or not value.strip():
        came = "empty" if column in values else "missing"
        raise InputError(
            f"{path}, line {number}: the text in column {column!r} is {came}; there are {', '.join(values)}"
        )
    return value
