"""Rows that are there twice, that contradict each other, and rows that are validated on and trained on.

*Exact* copies ask the same in every character. *Near* copies are equal once case, width, white space and
punctuation are left out, which keeps letters, digits and ideographs: "Good film!" and "good film",
"好电影。" and "好电影".
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from minibert.doctor.examples import Row, names_of, row_of, sample
from minibert.doctor.findings import Finding, share, some

SOME_TWICE = 0.01  # a share of copies that every collected data set has
MARKS = re.compile(r"[\W_]+")
FEWEST = 3  # letters that two near copies have in common at least


def copy_findings(examples: Sequence[Any], held: Sequence[Any], *, limit: int) -> list[Finding]:
    """Look for copies among at most `limit` examples of each kind."""
    rows = list(map(row_of, sample(examples, limit)))
    held_rows = list(map(row_of, sample(held, limit)))
    named = any(names_of(example) for example in sample(examples, 100))
    return [
        *_empty(rows, "training"),
        *_empty(held_rows, "validation"),
        *_duplicates(rows),
        *(_contradictions(rows) if named else ()),
        *_leakage(rows, held_rows),
    ]


def _empty(rows: Sequence[Row], which: str) -> Iterator[Finding]:
    bare = [number for number, row in enumerate(rows, 1) if not "".join(row.texts).strip()]
    if bare:
        seen = f"{share(len(bare), len(rows))} {which} rows hold no text, such as row {bare[0]}"
        yield Finding("empty-text", "warning", seen, "remove them")


def _duplicates(rows: Sequence[Row]) -> Iterator[Finding]:
    counts = Counter((row.key, row.answer) for row in rows)
    twice = len(rows) - len(counts)
    if twice > SOME_TWICE * len(rows):
        first = next(row for row in rows if counts[row.key, row.answer] > 1)
        seen = f"{share(twice, len(rows))} training rows are copies of another, such as {_short(first)}"
        yield Finding("duplicates", "warning", seen, "remove the copies: they weigh double")


def _contradictions(rows: Sequence[Row]) -> Iterator[Finding]:
    """The same question with two answers, where the answers are names."""
    answers: dict[Any, set[Any]] = {}
    for row in rows:
        answers.setdefault(row.key, set()).add(row.answer)
    torn = [key for key, found in answers.items() if len(found) > 1]
    if torn:
        row = next(row for row in rows if row.key == torn[0])
        told = some([answer[0] if len(answer) == 1 else answer for answer in answers[torn[0]]])
        seen = f"{len(torn):,} training texts have several labels, such as {_short(row)}: {told}"
        yield Finding("contradictions", "warning", seen, "decide which is right, or remove them")


def _leakage(rows: Sequence[Row], held: Sequence[Row]) -> Iterator[Finding]:
    known = {row.key for row in rows}
    exact = [row for row in held if row.key in known]
    if exact:
        seen = f"{share(len(exact), len(held))} validation rows are training rows too, such as "
        advice = "remove them from one of the two: the score would be too good"
        yield Finding("leakage", "warning", seen + _short(exact[0]), advice)
    plain = {letters(row) for row in rows}
    near = [row for row in held if row.key not in known and letters(row) in plain and _long(row)]
    if near:
        seen = f"{share(len(near), len(held))} validation rows differ from a training row in case, "
        seen += f"punctuation or spaces alone, such as {_short(near[0])}"
        yield Finding("near-leakage", "warning", seen, "remove them from one of the two")


def letters(row: Row) -> tuple[str, ...]:
    """Return the texts of a row with nothing but their letters, digits and ideographs, in one case.

    >>> letters(row_of("Ｇood film!")), letters(row_of("好电影。"))
    (('goodfilm',), ('好电影',))
    """
    return tuple(_apart(text) for text in row.texts)


def _apart(text: str) -> str:
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return MARKS.sub("", plain.casefold())


def _long(row: Row) -> bool:
    return sum(map(len, letters(row))) >= FEWEST


def _short(row: Row) -> str:
    return repr(" | ".join(row.texts)[:60])
