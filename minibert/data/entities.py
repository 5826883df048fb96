"""From stretches marked in a running text to tags of its words, in the BIO scheme.

A word is a run of letters and digits, or one ideograph, or one other character, each with the accents, vowel
signs and joiners that are written on it. Where a stretch begins or ends inside a word, the word is cut there,
so that no stretch is lost or widened.
"""

import re
import unicodedata
from typing import Any

from minibert.data.examples import TaggedExample
from minibert.errors import InputError
from minibert.text.scripts import HAN

_WORD = re.compile(rf"[{HAN}]|[^\W{HAN}]+|[^\w\s]")
_LETTER = re.compile(rf"[^\W{HAN}]")
_JOINERS = "\u200c\u200d"


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return the words of a text, (start, end) in characters.

    >>> word_spans("Anna, 19"), word_spans("Zu\u0308rich")
    ([(0, 4), (4, 5), (6, 8)], [(0, 7)])
    """
    spans: list[tuple[int, int]] = []
    for match in _WORD.finditer(text):
        start, end = match.span()
        if spans and spans[-1][1] == start and _goes_on(text, spans[-1][0], start):
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def _goes_on(text: str, start: int, here: int) -> bool:
    """Say whether the word from `start` goes on `here`: with a mark, or letters behind one on a letter."""
    if _is_mark(text[here]):
        return True
    letters = _LETTER.match(text, start) and _LETTER.match(text, here)
    return text[here - 1] in _JOINERS or bool(letters and _is_mark(text[here - 1]))


def _is_mark(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character).startswith("M")


def tags_of_entities(text: object, entities: object, *, where: str) -> TaggedExample:
    """Find the words of a text and tag them; `where` begins the message of an InputError.

    entities  list of {"start", "end", "label"} in characters of the text; none may overlap

    >>> tags_of_entities("Anna lives", [{"start": 0, "end": 4, "label": "PER"}], where="row 1")
    TaggedExample(text='Anna lives', spans=((0, 4), (5, 10)), tags=('B-PER', 'O'))
    """
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{where}: the text is {text!r:.60}; some words are wanted")
    marks = _checked(text, entities, where)
    borders = sorted({border for start, end, _ in marks for border in (start, end)})
    spans, tags = [], []
    begun = -1
    for start, end in _words(text, borders):
        number = next((k for k, mark in enumerate(marks) if mark[0] <= start and end <= mark[1]), None)
        spans.append((start, end))
        if number is None:
            tags.append("O")
        else:
            tags.append(f"{'I' if number == begun else 'B'}-{marks[number][2]}")
            begun = number
    return TaggedExample(text, tuple(spans), tuple(tags))


def _words(text: str, borders: list[int]) -> list[tuple[int, int]]:
    spans = []
    for start, end in word_spans(text):
        cuts = [start, *(border for border in borders if start < border < end), end]
        spans += list(zip(cuts[:-1], cuts[1:], strict=True))
    return spans


def _checked(text: str, entities: object, where: str) -> list[tuple[int, int, str]]:
    """Return (start, end, label) of each entity in order; raise InputError for what cannot be one."""
    if not isinstance(entities, list):
        raise InputError(f"{where}: 'entities' is {entities!r:.60}; a list is wanted")
    marks = sorted((_mark(text, entity, where) for entity in entities), key=lambda mark: mark[:2])
    for (_, end, label), (start, _, other) in zip(marks[:-1], marks[1:], strict=True):
        if start < end:
            raise InputError(
                f"{where}: entities {label!r} and {other!r} overlap at character {start}; "
                "a word can have one tag only"
            )
    return marks


def _mark(text: str, entity: Any, where: str) -> tuple[int, int, str]:
    try:
        start, end, label = entity["start"], entity["end"], entity["label"]
    except (KeyError, TypeError, IndexError):
        raise InputError(f"{where}: entity {entity!r:.60} needs 'start', 'end' and 'label'") from None
    if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text)):
        raise InputError(f"{where}: entity {entity!r} is not inside the text of {len(text)} characters")
    if not _WORD.search(text, start, end):
        raise InputError(f"{where}: entity {entity!r} holds no word, only {text[start:end]!r}")
    return start, end, str(label)
