"""Queries and the passages that answer them, and which documents are relevant to a query, from files.

Three kinds of table are told apart by their columns:

    anchor (or query), positive, negative...   as sentence-transformers reads them; `negatives` may be a list
    two texts and a label of 0 or 1            rows of one query are gathered: its 1s answer it, its 0s do not
    two texts                                  the second answers the first

and .jsonl of dialogues, where what was said last answers what was said before (`dialogues`).
"""

import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from minibert.data.dialogues import TURNS, read_dialogues, responses
from minibert.data.examples import SearchExample, TextExample
from minibert.data.files import open_text
from minibert.data.labelled import NUMBERS
from minibert.data.readers import read_texts
from minibert.data.rows import Row, rows_of
from minibert.errors import InputError

QUERIES = ("anchor", "query", "question", "text")
LABELS = {"1": True, "true": True, "0": False, "false": False}
BEIR_HEADERS = (("query-id", "corpus-id", "score"), ("query_id", "doc_id", "relevance"))


def read_searches(path: str | Path, columns: dict[str, str] | None = None) -> list[SearchExample]:
    """Read queries with their passages; `columns` names text_column (the query), pair_column, label_column.

    Raises InputError with file and line for a missing or empty text, a label that is not 0 or 1, and a file
    without any passage.

    >>> Path("qa.csv").write_text("question,answer,label\\nwho?,Ada,1\\nwho?,a cat,0\\n") and None
    >>> read_searches("qa.csv")
    [SearchExample(text='who?', positive='Ada', negatives=('a cat',))]
    """
    path, named = Path(path), columns or {}
    numbered = rows_of(path)
    first = next(numbered, None)
    if first is None:
        raise InputError(f"{path}: empty; a file of queries and passages is wanted")
    if not named and "positive" in first[1]:
        return list(_triplets(path, chain([first], numbered)))
    if not named and TURNS in first[1]:
        return responses(read_dialogues(path))
    pairs = read_texts(path, **named)
    if pairs[0].pair is None:
        there = ", ".join(first[1])
        raise InputError(
            f"{path}: one text in each row ({there}); a query and its passage are wanted: name them with "
            "text_column and pair_column (--text-column, --pair-column)"
        )
    grades = [name for name in NUMBERS if name in first[1]]
    if pairs[0].label is None and grades:
        raise InputError(
            f"{path}: the column {grades[0]!r} looks like grades, and a passage answers its query or does "
            "not: name a column of 1 and 0 with label_column (--label-column); for grades there is the task "
            "similarity"
        )
    return gather(pairs, where=str(path))


def read_queries(path: str | Path, columns: dict[str, str] | None = None) -> list[SearchExample]:
    """Read what is to be found or embedded: a text in each row, or the queries of a file of searches.

    >>> read_queries("cats.txt")[0]
    SearchExample(text='The cat sat.', positive=None, negatives=())
    """
    if not columns and _searches(path):
        return [SearchExample(example.text) for example in read_searches(path)]
    rows = read_texts(path, **columns or {})
    if rows[0].pair is None:
        return [SearchExample(row.text) for row in rows]
    return [SearchExample(example.text) for example in gather(rows, where=str(path))]


def read_all_texts(path: str | Path, columns: dict[str, str] | None = None) -> list[str]:
    """Read every text of a file, whatever it is a file of: texts, pairs, searches, dialogues.

    >>> read_all_texts("train.csv")[0]
    'a wonderful film'
    """
    if not columns and _searches(path):
        found = read_searches(path)
        return [text for one in found for text in (one.text, one.positive, *one.negatives) if text]
    return [text for row in read_texts(path, **columns or {}) for text in (row.text, row.pair) if text]


def _searches(path: str | Path) -> bool:
    """Whether the columns are those of searches or dialogues alone."""
    _, first = next(rows_of(Path(path)), (0, {}))
    return "positive" in first or TURNS in first


def gather(pairs: Iterable[TextExample], *, where: str = "pairs") -> list[SearchExample]:
    """Turn pairs into searches: one for each right passage, with all wrong ones of its query.

    Pairs without a label are right. Raises InputError for a label that is neither yes nor no.
    """
    right: dict[str, list[str]] = {}
    wrong: dict[str, list[str]] = {}
    for number, pair in enumerate(pairs, 1):
        label = "1" if pair.label is None else pair.label.lower().removesuffix(".0")
        if label not in LABELS:
            raise InputError(
                f"{where}, example {number}: the label is {pair.label!r}; "
                "1 (it answers the query) or 0 is wanted"
            )
        (right if LABELS[label] else wrong).setdefault(pair.text, []).append(pair.pair or "")
    if lost := len(wrong.keys() - right.keys()):
        print(f"  {lost:,} queries of {where} have no right passage, and are left out", file=sys.stderr)
    return [
        SearchExample(query, passage, tuple(dict.fromkeys(wrong.get(query, ()))))
        for query, passages in right.items()
        for passage in dict.fromkeys(passages)
    ]


def _triplets(path: Path, rows: Iterable[Row]) -> Iterator[SearchExample]:
    for number, row in rows:
        place = f"{path}, line {number}"
        name = next((name for name in QUERIES if name in row), None)
        if name is None:
            raise InputError(
                f"{place}: no column of queries ({' or '.join(QUERIES)}); there are {', '.join(row)}"
            )
        negatives = [value for key in row if key.startswith("negative") for value in _listed(row[key])]
        query, positive, *others = [
            _filled(text, place) for text in (row[name], row.get("positive"), *negatives)
        ]
        yield SearchExample(query, positive, tuple(others))


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value] if value not in (None, "") else []


def _filled(text: Any, place: str) -> str:
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{place}: {text!r:.60} stands where a text is wanted; fill it in or remove the row")
    return text


def read_judgements(path: str | Path) -> dict[str, dict[str, int]]:
    """Read which documents are relevant: query -> document -> grade.

    A file has three columns, parted by tabs, under a header (`query-id corpus-id score`, as BEIR has it), or
    the four of TREC (query, 0, document, grade) without one. Raises InputError with file and line.

    >>> Path("qrels.txt").write_text("q1 0 d7 2\\nq1 0 d9 0\\n") and None
    >>> read_judgements("qrels.txt")
    {'q1': {'d7': 2, 'd9': 0}}
    """
    found: dict[str, dict[str, int]] = {}
    for number, line in enumerate(open_text(Path(path)), 1):
        fields = line.split("\t") if "\t" in line else line.split()
        if not fields or (number == 1 and tuple(fields) in BEIR_HEADERS):
            continue
        try:
            query, document, grade = [fields[0], *fields[-2:]] if len(fields) == 4 else fields
            found.setdefault(query, {})[document] = int(grade)
        except ValueError as error:
            raise InputError(
                f"{path}, line {number}: {line[:60]!r}; query, document and a whole grade are wanted"
            ) from error
    return found
