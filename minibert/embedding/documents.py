"""The documents of an index: an id and a text each, from a file or from memory."""

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
    """Give bare texts their number as id; raise InputError for an id that comes twice, and for no text.

    >>> list(numbered(["a cat"]))
    [Document(id='0', text='a cat')]
    """
    seen: set[str] = set()
    for number, document in enumerate(documents):
        if not isinstance(document, Document):
            document = Document(str(number), document)
        if not isinstance(document.text, str):
            raise InputError(f"document {document.id!r} is {document.text!r:.60}; a text is wanted")
        if document.id in seen:
            raise InputError(f"document {number}: the id {document.id!r} stands twice; ids must differ")
        seen.add(document.id)
        yield document


def read_searched(
    path: str | Path, *, text_column: str | None = None, id_column: str | None = None
) -> Iterator[Document]:
    """Yield the documents of a .jsonl, .csv, .tsv or .txt, one at a time.

    Columns that are not named are found by their usual names; without ids, rows are counted from 0, and a
    `title` that does not begin the text goes before it. Raises InputError with file and line.

    >>> Path("docs.jsonl").write_text('{"id": "d1", "title": "Cats", "text": "They sat."}') and None
    >>> list(read_searched("docs.jsonl"))
    [Document(id='d1', text='Cats\\nThey sat.')]
    """
    path = Path(path)
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
        yield Document(str(row[names[0]]) if names else str(count), text)
