"""Filling batches: documents are cut into runs, and runs are put together until a token budget is full.

A run never holds two documents, and attention never crosses from one run to the next, so what is packed together
decides the speed alone. Best fit (Johnson, 1974) puts each run into the fullest pack that still has room for it.
"""

from bisect import bisect_left, insort

import numpy as np

from minibert.errors import InputError

WINDOW = 4096


def chop(bounds: np.ndarray, max_length: int) -> np.ndarray:
    """Cut documents into runs of at most `max_length` tokens; return (runs, 2) of start and length.

    Runs are full but for each document's last: batches of one length are the fastest to attend over.

    >>> chop(np.array([0, 5, 5, 12]), 4).tolist()
    [[0, 4], [4, 1], [5, 4], [9, 3]]
    """
    if max_length < 1:
        raise InputError(f"max_length {max_length} must be at least 1")
    sizes = np.diff(bounds)
    parts = -(-sizes // max_length)
    document = np.repeat(np.arange(len(sizes)), parts)
    place = np.arange(len(document)) - np.repeat(np.cumsum(parts) - parts, parts)
    starts = bounds[:-1][document] + place * max_length
    return np.stack([starts, np.minimum(max_length, bounds[1:][document] - starts)], axis=1)


def best_fit(lengths: np.ndarray, capacity: int, *, window: int = WINDOW, seed: int = 0) -> list[np.ndarray]:
    """Put pieces into packs of at most `capacity`; return the numbers of the pieces in each pack.

    Pieces are shuffled and taken `window` at a time, the longest first, so that every pack is a random mixture.
    Raises InputError for a piece longer than the capacity.

    >>> [sorted(pack.tolist()) for pack in best_fit(np.array([5, 3, 2, 4]), 7)]
    [[0, 2], [1, 3]]
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    if len(lengths) and lengths.max() > capacity:
        raise InputError(f"a piece of {lengths.max()} tokens does not fit into packs of {capacity}")
    order = np.random.default_rng(seed).permutation(len(lengths))
    room: list[tuple[int, int]] = []  # (room left, number of the open pack), sorted by room
    packs: list[list[int]] = []
    for start in range(0, len(order), window):
        pieces = order[start : start + window]
        for piece in pieces[np.argsort(-lengths[pieces], kind="stable")]:
            size = int(lengths[piece])
            at = bisect_left(room, (size, -1))
            left, number = room.pop(at) if at < len(room) else (capacity, len(packs))
            if number == len(packs):
                packs.append([])
            packs[number].append(int(piece))
            insort(room, (left - size, number))
    return [np.array(pack, dtype=np.int64) for pack in packs]


def waste(packs: list[np.ndarray], lengths: np.ndarray, capacity: int) -> float:
    """Return the share of all packs' capacity that is left empty."""
    used = sum(int(np.asarray(lengths)[pack].sum()) for pack in packs)
    return 1 - used / max(1, capacity * len(packs))
