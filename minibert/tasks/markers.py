"""Markers around the two mentions of a relation: [E1] head [/E1] ... [E2] tail [/E2].

(L. Baldini Soares, N. FitzGerald, J. Ling, T. Kwiatkowski, 2019, "Matching the Blanks".) A marker has to be
one token that no text spells, and a vocabulary cannot be made longer without changing the encoder. So a
marker is an ordinary piece, "@" around the head and "#" around the tail (or the unknown piece, where a
vocabulary lacks them), and the task adds a vector of its own to the piece's embedding: learnt, saved and
reopened with the head. Punctuation as markers: W. Zhou, M. Chen, 2022, "An Improved Baseline for
Sentence-level Relation Extraction".
"""

import numpy as np

from minibert.text.encoded import Encoded
from minibert.text.tokenizer import Tokenizer

PIECES = ("@", "@", "#", "#")  # start and end of the head, start and end of the tail


def marker_ids(tokenizer: Tokenizer) -> np.ndarray:
    """Return the ids (4,) of the pieces that stand for the markers."""
    rows = tokenizer.encode_ids(PIECES)
    return np.array([row[-1] if len(row) else tokenizer.unknown_id for row in rows], np.int32)


def insert_markers(
    tokens: Encoded, head: tuple[int, int], tail: tuple[int, int], *, ids: np.ndarray
) -> tuple[Encoded, np.ndarray]:
    """Put the markers around two spans of characters; return the tokens and the rows (4,) of the markers.

    No token may cross the border of a mention (`Tokenizer.encode` takes boundaries). Of two mentions that
    begin at one place the longer is opened first, and closed last of two that end at one.
    """
    places: list[tuple[int, int, int, int]] = []  # token before which it stands, and what decides a tie
    for name, (start, end) in enumerate((head, tail)):
        before = int(np.searchsorted(tokens.offsets[:, 1], start, side="right"))
        after = max(before, int(np.searchsorted(tokens.offsets[:, 0], end, side="left")))
        places += [(before, 1, start - end, 2 * name), (after, 0, end - start, 2 * name + 1)]
    order = sorted(places)
    kinds = [kind for *_, kind in order]
    at = np.array([place for place, *_ in order])
    rows = np.zeros(4, np.int64)
    rows[kinds] = at + np.arange(4)
    marked = Encoded(
        np.insert(tokens.ids, at, ids[kinds]),
        np.insert(tokens.offsets, at, 0, axis=0),
        np.insert(tokens.words, at, -1),
        np.insert(tokens.segments, at, 0),
    )
    return marked, rows


def keep_nearest(tokens: Encoded, rows: np.ndarray, room: int) -> tuple[Encoded, np.ndarray]:
    """Cut a text down to the `room` tokens that stand nearest to a marker; return the markers' new rows.

    So the surroundings of both mentions stay, and what lies far from both goes: the edges of the text, and
    the middle between mentions that are far apart.
    """
    if len(tokens) <= room:
        return tokens, rows
    distance = np.abs(np.arange(len(tokens))[:, None] - rows[None, :]).min(axis=1)
    kept = np.sort(np.argsort(distance, kind="stable")[:room])
    return tokens.kept(kept), np.searchsorted(kept, rows)
