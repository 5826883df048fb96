"""Keeping tokens from crossing a position that a caller names, such as the edge of an entity or of a mask.

A text is cut into tokens as a whole first; only the tokens that cross a boundary are spelt again, part by
part. What one character became stays together.
"""

from collections.abc import Callable, Sequence

import numpy as np

from minibert.errors import InputError
from minibert.text.encoded import Encoded, concatenate

EncodePart = Callable[[str, int | None], Encoded]


def cut_at(text: str, whole: Encoded, boundaries: Sequence[int], encode_part: EncodePart) -> Encoded:
    """Spell again what crosses a boundary.

    encode_part  cuts a part of the text into tokens; told the id of the token that the part begins, or None
                 for a part that begins inside one
    Raises InputError for a boundary outside the text.
    """
    borders = np.unique(np.asarray(boundaries, np.int64))
    if borders[0] < 0 or borders[-1] > len(text):
        outside = borders[0] if borders[0] < 0 else borders[-1]
        raise InputError(f"boundary {outside} lies outside the text, which has {len(text)} characters")
    starts, ends = whole.offsets.T
    crosses = np.searchsorted(borders, starts, "right") < np.searchsorted(borders, ends, "left")
    parts, done = [], 0
    for token in np.flatnonzero(crosses):
        if token < done:
            continue
        first, stop = int(token), int(token) + 1
        while first > done and ends[first - 1] > starts[first]:  # pieces of one character stay together
            first -= 1
        while stop < len(whole) and starts[stop] < ends[stop - 1]:
            stop += 1
        parts += [whole[done:first], _encode_between(text, whole[first:stop], borders, encode_part)]
        done = stop
    return concatenate([*parts, whole[done:]])


def _encode_between(text: str, run: Encoded, borders: np.ndarray, encode_part: EncodePart) -> Encoded:
    start, end = int(run.offsets[0, 0]), int(run.offsets[-1, 1])
    cuts = [start, *borders[(borders > start) & (borders < end)].tolist(), end]
    parts = []
    for a, b in zip(cuts, cuts[1:], strict=False):
        part = encode_part(text[a:b], int(run.ids[0]) if a == start else None)
        words = np.full(len(part), run.words[0], np.int32)
        parts.append(Encoded(part.ids, part.offsets + np.int32(a), words, part.segments))
    return concatenate(parts)
