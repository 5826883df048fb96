"""The documents of an index: an id and a text each, from a file or from memory."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from minibert.data.rows import rows_of
from minibert.errors import InputError

IDS = ("id", "_id", "doc_id", "docid", "pid")
TEXTS = ("text", "contents", "passage", "sentence", "body")


@dataclass(frozen=True)
class Document:
    """A text and the name by which it is known."""

    id: str
    text: str


def numbered(documents: Iterable[Document | str]) -> Iterator[Document]:
    """Give bare texts their number as id, from 0.

    Raises InputError for an id that comes twice, for what is no text and for a text of blanks: its vector
    says nothing, and would be near to every query.

    >>> list(numbered(["a cat"]))
    [Document(id='0', text='a cat')]
    """
    if isinstance(documents, str):
        raise InputError(f"documents is one string, {documents[:40]!r}; give a list or an iterator of them")
    seen: dict[str, int] = {}
    for number, document in enumerate(documents):
        if not isinstance(document, Document):
            document = Document(str(number), document)
        if not isinstance(document.text, str):
            raise InputError(f"document {document.id!r} is {document.text!r:.60}; a text is wanted")
        if not document.text.strip():
            raise InputError(
                f"document {number}, id {document.id!r}, is empty: {document.text!r}; leave it out"
            )
        if document.id in seen:
            pair = f"{seen[document.id]} and {number}"
            raise InputError(f"documents {pair} have the same id {document.id!r}; ids must differ")
        seen[document.id] = number
        yield document


def read_searched(
    path: str | Path, *, text_column: str | None = None, id_column: str | None = None
) -> Iterator[Document]:
    """Yield the documents of a .jsonl, .csv, .tsv or .txt, one at a time.

    Columns that are not named are found by their usual names; without ids, rows are counted from 0, and a
    `title` that does not begin the text goes before it. Rows without a text are left out, and counted on
    stderr. Raises InputError with file and line.

    >>> Path("docs.jsonl").write_text('{"id": "d1", "title": "Cats", "text": "They sat."}') and None
    >>> list(read_searched("docs.jsonl"))
    [Document(id='d1', text='Cats\\nThey sat.')]
    """
    path, lines, empty = Path(path), dict[str, int](), 0
    for count, (number, row) in enumerate(rows_of(path)):
        place, there = f"{path}, line {number}", ", ".join(row)
        texts = [text_column] if text_column else [name for name in TEXTS if name in row]
        names = [id_column] if id_column else [name for name in IDS if name in row]
        for named in (*texts[:1], *names[:1]):
            if row.get(named) is None:
                raise InputError(f"{place}: no value for {named!r}; the row has {there}")
        if not texts:
            raise InputError(f"{place}: no column 'text'; there are {there}; name it: text_column")
        text, title = row[texts[0]], row.get("title")
        if not isinstance(text, str):
            raise InputError(f"{place}: {texts[0]!r} is {text!r:.60}; a text is wanted")
        if isinstance(title, str) and title.strip() and texts[0] != "title" and not text.startswith(title):
            text = f"{title}\n{text}"
        if not text.strip():
            empty += 1
            continue
        name = str(row[names[0]]) if names else str(count)
        if names and lines.setdefault(name, number) != number:
            raise InputError(f"{place}: the id {name!r} stands in line {lines[name]} too; ids must differ")
        yield Document(name, text)
    if empty:
        print(f"  {path}: {empty:,} of {count + 1:,} rows have no text and are left out", file=sys.stderr)
