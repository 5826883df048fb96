"""Opening what people have: files, folders and globs; plain, .gz and .xz; UTF-8 or a clear error."""

import glob
import gzip
import lzma
import zlib
from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path

from minibert.data.remote import fetch, is_remote
from minibert.errors import InputError

COMPRESSED = (".gz", ".xz")
KNOWN = (".txt", ".csv", ".tsv", ".jsonl", ".json", ".conll", ".conllu", ".bio", ".bmes")
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def expand(patterns: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return the files that are meant: each file, a folder's files of known kinds, what a glob matches.

    Sorted; a file that is named twice, also by two spellings, comes once. Of files elsewhere (`s3://...`) the
    copies are returned that `fetch` makes. Raises InputError where a pattern
    matches nothing, and for what is neither a path nor a list of paths.

    >>> [path.name for path in expand(["train.csv", "*.csv", "cats.txt"])]
    ['cats.txt', 'dev.csv', 'test.csv', 'train.csv']
    """
    named = [patterns] if isinstance(patterns, str | Path) else patterns
    if not isinstance(named, Sequence) or not all(isinstance(one, str | Path) for one in named):
        raise InputError(f"files are named by one path or a list of paths, and this is {patterns!r:.80}")
    if not named:
        raise InputError("no files are named; name files, folders or globs such as data/*.txt")
    found: dict[Path, Path] = {}
    for pattern in named:
        for path in fetch(str(pattern), kinds=KNOWN) if is_remote(pattern) else _matches(Path(pattern)):
            found.setdefault(path.resolve(), path)
    return sorted(found.values())


def _matches(pattern: Path) -> list[Path]:
    if pattern.is_dir():
        files = [path for path in pattern.rglob("*") if path.is_file() and kind_of(path) in KNOWN]
        if not files:
            raise InputError(f"{pattern}: a folder without files of a known kind ({', '.join(KNOWN)})")
        return files
    if pattern.is_file():
        if pattern.stat().st_size == 0:
            raise InputError(f"{pattern}: empty; a file with text is wanted")
        return [pattern]
    files = [path for path in map(Path, glob.glob(str(pattern), recursive=True)) if path.is_file()]
    if not files:
        raise InputError(f"{pattern}: no such file or folder, and no glob that matches a file")
    return files


def kind_of(path: Path) -> str:
    """Return a file's suffix without the one of its compression: .csv for data.csv.xz.

    >>> kind_of(Path("data.CSV.xz"))
    '.csv'
    """
    name = path.with_suffix("") if path.suffix.lower() in COMPRESSED else path
    return name.suffix.lower()


def open_text(path: Path) -> Iterator[str]:
    """Yield the lines of a text file without their ends; a byte-order mark is dropped.

    Raises InputError for a missing, damaged or binary file, and with line, byte and column for what is not
    UTF-8. An empty file has no lines.

    >>> list(open_text(Path("cats.txt")))
    ['The cat sat.', '', 'The cat ran.']
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with _open(path) as file:
            for number, raw in enumerate(file, 1):
                yield _decode(raw, path, number)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {error}; the file may be damaged or cut short") from error


def _open(path: Path) -> BufferedReader:
    if path.suffix.lower() == ".gz":
        return BufferedReader(gzip.open(path, "rb"))
    if path.suffix.lower() == ".xz":
        return BufferedReader(lzma.open(path, "rb"))
    return path.open("rb")


def _decode(raw: bytes, path: Path, number: int) -> str:
    if number == 1 and raw.startswith(UTF_16_MARKS):
        raise InputError(f"{path}: begins with bytes 0x{raw[:2].hex().upper()}: UTF-16; save it as UTF-8")
    if b"\0" in raw:
        raise InputError(f"{path}, line {number}: a zero byte: this is a binary file; a text file is wanted")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        column = len(raw[: error.start].decode("utf-8")) + 1
        raise InputError(
            f"{path}, line {number}, byte 0x{raw[error.start]:02X} at column {column}: not UTF-8; "
            "save the file as UTF-8"
        ) from error
    if number == 1:
        text = text.removeprefix("\ufeff")
    return text.rstrip("\r\n")
