"""Opening what people have: files, folders and globs; plain, .gz and .xz; UTF-8 or a clear error."""

import glob
import gzip
import lzma
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from minibert.errors import InputError

COMPRESSED = (".gz", ".xz")
KNOWN = (".txt", ".csv", ".tsv", ".jsonl", ".json", ".conll", ".conllu", ".bio", ".bmes")


def expand(patterns: Sequence[str | Path]) -> list[Path]:
    """Return the files that are meant: each file itself, a folder's files of known kinds, what a glob matches.

    Sorted and without duplicates. Raises InputError where a pattern matches nothing.
    """
    found: set[Path] = set()
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            files = [inner for inner in path.rglob("*") if inner.is_file() and kind_of(inner) in KNOWN]
        elif path.is_file():
            files = [path]
        else:
            files = [
                Path(match) for match in glob.glob(str(pattern), recursive=True) if Path(match).is_file()
            ]
        if not files:
            raise InputError(
                f"{pattern}: no such file, no folder with text files, and no glob that matches one"
            )
        found.update(files)
    return sorted(found)


def kind_of(path: Path) -> str:
    """Return a file's suffix without the one of its compression: .csv for data.csv.xz.

    >>> kind_of(Path("data.CSV.xz"))
    '.csv'
    """
    name = path.with_suffix("") if path.suffix.lower() in COMPRESSED else path
    return name.suffix.lower()


def lines_of(path: Path) -> Iterator[str]:
    """Yield the lines of a text file without their ends; a byte-order mark is dropped.

    Raises InputError with the line and the byte for what is not UTF-8, and for a binary or a missing file.
    """
    try:
        with _open(path) as file:
            for number, raw in enumerate(file, 1):
                yield _decode(raw, path, number)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def _open(path: Path) -> BinaryIO:
    if path.suffix.lower() == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if path.suffix.lower() == ".xz":
        return cast(BinaryIO, lzma.open(path, "rb"))
    return path.open("rb")


def _decode(raw: bytes, path: Path, number: int) -> str:
    if b"\0" in raw:
        raise InputError(f"{path}, line {number}: a zero byte: this is a binary file; a text file is wanted")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}, line {number}: byte 0x{raw[error.start]:02X} at place {error.start + 1} is not UTF-8; "
            "save the file as UTF-8"
        ) from error
    if number == 1:
        text = text.removeprefix("\ufeff")
    return text.rstrip("\r\n")
