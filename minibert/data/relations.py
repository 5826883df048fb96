"""Pairs of mentions in a text and how they are related, from what people have.

    marked text    "The <e1>ear</e1> of the <e2>elephant</e2>": a column of a table, or the lines of a .txt as
                   SemEval-2010 task 8 gives them (Hendrickx and others, 2010)
    head and tail  beside the text: as [start, end] or {"start", "end"} in characters, or as strings
    documents      of the DyGIE++ format: every pair of entities in a sentence (see `documents`)

A string is looked for in the text, as a whole word where it stands as one. If it occurs more than once,
which occurrence was meant is not known: of all pairs of occurrences that do not overlap, the one that stands
closest together is taken, the first of several.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minibert.data.columns import NO_LABEL
from minibert.data.documents import documents_in, pairs_of, read_annotated
from minibert.data.examples import RelationExample
from minibert.data.files import kind_of, open_text
from minibert.data.rows import rows_of
from minibert.errors import InputError

TEXTS, LABELS = ("text", "sentence"), ("relation", "label")
MARKER = re.compile(r"<(/?)(e[12])>")
NUMBERED = re.compile(r"\d+\s+\"(.*)\"\s*")
Span = tuple[int, int]


def read_relations(
    path: str | Path, *, text_column: str | None = None, label_column: str | None = None
) -> list[RelationExample]:
    """Read pairs of mentions with their relations, if the file has any.

    label_column  NO_LABEL leaves relations alone

    Without names, the text is in "text" or "sentence" and the relation in "relation" or "label". Raises
    InputError with file and line for markers that are missing or wrongly nested, and for mentions that are
    empty, equal or not in the text.

    >>> row = "The <e1>ear</e1> of the <e2>elephant</e2>"
    >>> Path("pairs.txt").write_text(row) and read_relations("pairs.txt")
    [RelationExample(text='The ear of the elephant', head=(4, 7), tail=(15, 23), label=None)]
    """
    path = Path(path)
    if kind_of(path) == ".txt":
        examples = list(_semeval(path))
    elif documents_in(path):
        examples = [pair for sentence in read_annotated(path) for pair in pairs_of(sentence)]
    else:
        names = (text_column, label_column)
        examples = [_example(row, names, f"{path}, line {number}") for number, row in rows_of(path)]
    if not examples:
        raise InputError(f"{path}: no pair of mentions; a file of related mentions is wanted")
    return examples


def parse_marked(text: str, *, where: str) -> tuple[str, Span, Span]:
    """Take the four markers out of a text; return it with the spans of its two mentions.

    White space at the edges of a mention is not part of it. Raises InputError, which begins with `where`, for
    a marker that is missing, there twice or wrongly nested, and for an empty mention.

    >>> parse_marked("a <e2>list</e2> of <e1>cats</e1>", where="row 1")
    ('a list of cats', (10, 14), (2, 6))
    """
    pieces: list[str] = []
    opened: list[tuple[str, int]] = []
    found: dict[str, Span] = {}
    length = done = 0
    for match in MARKER.finditer(text):
        pieces.append(text[done : match.start()])
        length, done = length + match.start() - done, match.end()
        name = match[2]
        if not match[1]:
            if name in found or name in dict(opened):
                raise InputError(f"{where}: <{name}> is there twice: {text[:80]!r}; one pair is wanted")
            opened.append((name, length))
        elif opened and opened[-1][0] == name:
            found[name] = (opened.pop()[1], length)
        else:
            inside = f"<{opened[-1][0]}> is open" if opened else f"no <{name}> is open"
            raise InputError(f"{where}: </{name}> where {inside}: {text[:80]!r}; nest or part the mentions")
    for name in ("e1", "e2"):
        if name not in found:
            what = "is never closed" if name in dict(opened) else "is missing"
            raise InputError(f"{where}: <{name}> {what}: {text[:80]!r}; mark <e1>...</e1> and <e2>...</e2>")
    plain = "".join([*pieces, text[done:]])
    head, tail = (_trimmed(plain, found[name], f"{where}: <{name}>") for name in ("e1", "e2"))
    check_mentions(plain, head, tail, where=where)
    return plain, head, tail


def check_mentions(text: str, head: Span, tail: Span, *, where: str) -> None:
    """Raise InputError where a mention is empty or outside the text, or where the two are the same."""
    for name, (start, end) in (("head", head), ("tail", tail)):
        if not 0 <= start < end <= len(text):
            raise InputError(
                f"{where}: the {name} {(start, end)} is no stretch of the text of {len(text)} characters; "
                "give start < end"
            )
        if not text[start:end].strip():
            raise InputError(f"{where}: the {name} is empty: {text[start:end]!r} in {text[:60]!r}")
    if head == tail:
        raise InputError(f"{where}: head and tail are both {text[slice(*head)]!r} at {head}; two are wanted")


def find_mentions(text: str, head: str, tail: str, *, where: str) -> tuple[Span, Span]:
    """Find two strings in a text: the occurrences that stand closest together and do not overlap.

    >>> find_mentions("Ann saw Bob. Bob saw Ann, not Annie.", "Ann", "Bob", where="row 1")
    ((0, 3), (8, 11))
    """
    heads, tails = _occurrences(text, head), _occurrences(text, tail)
    for name, mention, places in (("head", head, heads), ("tail", tail, tails)):
        if not places:
            raise InputError(f"{where}: the {name} {mention!r} is not in the text {text[:80]!r}")
    apart = [(max(a[0], b[0]) - min(a[1], b[1]), a, b) for a in heads for b in tails]
    apart = [pair for pair in apart if pair[0] >= 0]
    if not apart:
        raise InputError(f"{where}: {head!r} and {tail!r} have no places of their own in {text[:80]!r}")
    _, first, second = min(apart, key=lambda pair: pair[0])
    return first, second


def _occurrences(text: str, mention: str) -> list[Span]:
    exact = re.escape(mention)
    whole = re.compile(rf"(?<![A-Za-z0-9]){exact}(?![A-Za-z0-9])")
    if not mention.strip():
        return []
    found = [match.span() for match in whole.finditer(text)]
    return found or [match.span() for match in re.finditer(exact, text)]


def _trimmed(text: str, span: Span, where: str) -> Span:
    mention = text[slice(*span)]
    if not mention.strip():
        raise InputError(f"{where} is empty: {mention!r} in {text[:60]!r}")
    left, right = len(mention) - len(mention.lstrip()), len(mention) - len(mention.rstrip())
    return span[0] + left, span[1] - right


def _semeval(path: Path) -> Iterator[RelationExample]:
    """Yield the sentences of a .txt; after a sentence may follow its relation, and a comment."""
    waiting: RelationExample | None = None
    for number, line in enumerate(open_text(path), 1):
        where = f"{path}, line {number}"
        if MARKER.search(line):
            if waiting is not None:
                yield waiting
            numbered = NUMBERED.fullmatch(line)
            waiting = RelationExample(*parse_marked(numbered[1] if numbered else line, where=where))
        elif line.strip() and not line.startswith("Comment"):
            if waiting is None or waiting.label is not None:
                raise InputError(f"{where}: {line[:60]!r}; a sentence with <e1> and <e2> is wanted here")
            waiting = RelationExample(waiting.text, waiting.head, waiting.tail, line.strip())
    if waiting is not None:
        yield waiting


def _example(row: dict[str, Any], names: tuple[str | None, str | None], where: str) -> RelationExample:
    text = row[_key(row, names[0], TEXTS, where)]
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{where}: the text is {text!r:.60}; a text with two mentions is wanted")
    key = next((name for name in LABELS if name in row), NO_LABEL) if names[1] is None else names[1]
    label = None if key == NO_LABEL else row[_key(row, key, LABELS, where)]
    if isinstance(label, int):
        label = str(label).lower()  # 3 is "3", true is "true"
    if label is not None and (not isinstance(label, str) or not label.strip()):
        raise InputError(f"{where}: the relation is {label!r:.60}; one word is wanted")
    label = label and label.strip()
    given = [name for name in ("head", "tail") if name in row]
    if len(given) == 1:
        raise InputError(f"{where}: only one mention, {given[0]} {row[given[0]]!r:.60}; give head and tail")
    if not given:
        return RelationExample(*parse_marked(text, where=where), label)
    if isinstance(row["head"], str) and isinstance(row["tail"], str):
        head, tail = find_mentions(text, row["head"], row["tail"], where=where)
    else:
        head, tail = (_span(row[name], name, where) for name in given)
    check_mentions(text, head, tail, where=where)
    return RelationExample(text, head, tail, label)


def _key(row: dict[str, Any], named: str | None, usual: tuple[str, ...], where: str) -> str:
    key = named or next((name for name in usual if name in row), None)
    if key is None or key not in row:
        wanted = repr(named) if named else " or ".join(map(repr, usual))
        raise InputError(f"{where}: no column {wanted}; there are {', '.join(row)}; name yours")
    return key


def _span(value: Any, name: str, where: str) -> Span:
    if isinstance(value, dict):
        value = [value.get("start"), value.get("end")]
    whole = isinstance(value, list) and len(value) == 2 and all(type(place) is int for place in value)
    if not whole:
        raise InputError(f"{where}: {name} is {value!r:.60}; [start, end] or the mention itself is wanted")
    return value[0], value[1]
