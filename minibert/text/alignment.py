"""From pieces of a normalised text back to characters of the original one, and the numbers of words.

SentencePiece normalises before it cuts ("ﬁ" becomes "fi", "㍿" four ideographs, "e" and a combining accent
one "é") and shows each space as the mark U+2581. Three scales meet here: the bytes of the normalised text,
which pieces and byte pieces share out; its characters; and the characters of the original text.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from minibert.text.scripts import IDEOGRAPH_BORDERS

MARK = "\u2581"
_SURROGATE = re.compile("[\ud800-\udfff]")


def without_surrogates(text: str) -> str:
    """Replace half characters, which UTF-8 cannot say, by U+FFFD; positions stay the same."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def with_marks(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Widen spans by the combining characters behind them that no span holds.

    Normalising composes them with the letter before ("e" and an accent), or drops them; they belong to it.

    >>> with_marks("ne\u0301e", [(0, 2), (3, 4)])
    [(0, 3), (3, 4)]
    """
    limit, widened = len(text), list(spans)
    for number in range(len(spans) - 1, -1, -1):
        start, end = spans[number]
        if number + 1 < len(spans) and spans[number + 1] == (start, end):
            widened[number] = widened[number + 1]
            continue
        while start < end < limit and _belongs(text[end - 1], text[end]):
            end += 1
        widened[number] = (start, end)
        limit = min(limit, start)
    return widened


def _belongs(before: str, character: str) -> bool:
    composed = unicodedata.normalize("NFC", before + character)
    return unicodedata.combining(character) > 0 or len(composed) == 1


def locate_pieces(
    widths: np.ndarray, normalized: str, *, origins: Sequence[int], ideographs_alone: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Find the original span and the word number of each of n pieces.

    widths      (n,) UTF-8 bytes of each piece; together they are the normalised text of m characters
    origins     (m + 1,) where each normalised character began in the original text, and where the text ended
    Returns (n, 2) and (n,) int32.
    """
    code_points = np.frombuffer(normalized.encode("utf-32-le"), np.uint32)
    bytes_each = 1 + (code_points >= 0x80) + (code_points >= 0x800) + (code_points >= 0x10000)
    character_of_byte = np.repeat(np.arange(len(code_points)), bytes_each)
    stops = np.cumsum(widths)
    first, last = character_of_byte[stops - widths], character_of_byte[stops - 1]
    marks = code_points == ord(MARK)
    spans = _span(first, last, marks=marks, origins=np.asarray(origins))
    return spans, _number_words(code_points, marks, ideographs_alone=ideographs_alone)[last]


def _span(first: np.ndarray, last: np.ndarray, *, marks: np.ndarray, origins: np.ndarray) -> np.ndarray:
    """Find the original characters behind the normalised ones first .. last, marks at the edges left out."""
    size = len(marks)
    order = np.arange(size)
    next_letter = np.minimum.accumulate(np.where(marks, size, order)[::-1])[::-1]
    last_letter = np.maximum.accumulate(np.where(marks, -1, order))
    # A character ends where the next one that came from another place begins.
    ends = origins[np.minimum(np.searchsorted(origins, origins, side="right"), size)]
    first, last = next_letter[first], last_letter[last]
    starts = origins[first]
    return np.stack([starts, np.where(last < first, starts, ends[last])], axis=1).astype(np.int32)


def _number_words(code_points: np.ndarray, marks: np.ndarray, *, ideographs_alone: bool) -> np.ndarray:
    """Number the words of a normalised text: a number for each character, from 0."""
    begins = marks.copy()
    if ideographs_alone:
        alone = np.searchsorted(IDEOGRAPH_BORDERS, code_points, side="right") % 2 == 1
        begins |= alone
        begins[1:] |= alone[:-1]
        begins[1:] &= ~marks[:-1]  # the mark has already begun this word
        begins |= marks
    begins[:1] = False
    return np.cumsum(begins, dtype=np.int32)
