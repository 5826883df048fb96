"""Documents and their summaries, from tables."""

from pathlib import Path

from minibert.data.columns import NO_LABEL
from minibert.data.examples import SummaryExample
from minibert.data.rows import rows_of
from minibert.errors import InputError

TEXTS = ("text", "document", "article", "content", "source")
SUMMARIES = ("summary", "highlights", "target")


def read_summaries(path: str | Path, columns: dict[str, str] | None = None) -> list[SummaryExample]:
    """Read documents with their summaries, if the file has any.

    columns  text_column and label_column (the summary), where they have unusual names; NO_LABEL as the latter
             leaves summaries alone
    Raises InputError with file and line for an empty or missing text, and an empty file.

    >>> Path("news.jsonl").write_text('{"article": "It rained. We left.", "summary": "It rained."}') and None
    >>> read_summaries("news.jsonl")
    [SummaryExample(text='It rained. We left.', summary='It rained.')]
    """
    path, named, found = Path(path), columns or {}, []
    for number, row in rows_of(path):
        place, there = f"{path}, line {number}", ", ".join(row)
        text_column = named.get("text_column") or next((name for name in TEXTS if name in row), None)
        summary_column = named.get(
            "label_column", next((name for name in SUMMARIES if name in row), NO_LABEL)
        )
        if text_column is None:
            raise InputError(
                f"{place}: no column 'text'; there are {there}; name it: text_column (--text-column)"
            )
        for name in filter(None, (text_column, summary_column)):
            if not isinstance(row.get(name), str) or not row[name].strip():
                raise InputError(
                    f"{place}: {name!r} is {row.get(name)!r:.60}; a text is wanted; there are {there}"
                )
        found.append(SummaryExample(row[text_column], row[summary_column] if summary_column else None))
    if not found:
        raise InputError(f"{path}: empty; a file of documents is wanted")
    return found
