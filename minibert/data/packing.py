"""Filling batches: documents are cut into runs, and runs are put together until a token budget is full.

A run never holds two documents, and attention never crosses from one run to the next; but a pack is what a
training step sees, and should be a random sample of the corpus. Best fit (Johnson, 1974) puts each run into
the fullest pack that still has room for it. The runs come in random order: taking the longest first is known
to fill bins better, but it puts long runs with long ones and short with short, and where a pack holds many
runs random order leaves as little empty.
"""

from bisect import bisect_left, insort

import numpy as np

from minibert.errors import InputError


def chop(bounds: np.ndarray, max_length: int) -> np.ndarray:
    """Cut documents into runs of at most `max_length` tokens; return (runs, 2) int64 of start and length.

    Runs are full but for each document's last one, so that words see as much of what surrounds them as the
    limit allows; an empty document gives none. `bounds` are (documents + 1,) as a `Corpus` has them.

    >>> chop(np.array([0, 5, 5, 12]), 4).tolist()
    [[0, 4], [4, 1], [5, 4], [9, 3]]
    """
    if max_length < 1:
        raise InputError(f"max_length {max_length} must be at least 1 token")
    sizes = np.diff(bounds)
    parts = -(-sizes // max_length)
    document = np.repeat(np.arange(len(sizes)), parts)
    place = np.arange(len(document)) - np.repeat(np.cumsum(parts) - parts, parts)
    starts = bounds[:-1][document] + place * max_length
    return np.stack([starts, np.minimum(max_length, bounds[1:][document] - starts)], axis=1)


def best_fit(lengths: np.ndarray, capacity: int, *, window: int = 1, seed: int = 0) -> list[np.ndarray]:
    """Put pieces into packs of at most `capacity`; return the numbers of the pieces in each pack.

    window  pieces are shuffled, and sorted within windows of so many, the longest first. More than 1 wastes
            less where a pack holds only few pieces, but then packs are no longer random samples.

    The same seed gives the same packs. Raises InputError for a piece longer than the capacity.

    >>> [sorted(pack.tolist()) for pack in best_fit(np.array([5, 3, 2, 4]), 7, window=4)]
    [[0, 2], [1, 3]]
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    if len(lengths) and not 0 < lengths.min() <= lengths.max() <= capacity:
        raise InputError(
            f"pieces of {lengths.min()} to {lengths.max()} tokens do not fit into packs of {capacity}; "
            f"cut them to at most {capacity}, and leave empty ones out"
        )
    if window < 1:
        raise InputError(f"window {window} must be at least 1 piece")
    order = np.random.default_rng(seed).permutation(len(lengths))
    if window > 1:
        order = order[np.lexsort((-lengths[order], np.arange(len(order)) // window))]
    room: list[tuple[int, int]] = []  # (room left, number of the pack) of those not yet full, sorted
    packs: list[list[int]] = []
    for piece, size in zip(order.tolist(), lengths[order].tolist(), strict=True):
        at = bisect_left(room, (size, -1))
        if at < len(room):
            left, number = room.pop(at)
        else:
            left, number = capacity, len(packs)
            packs.append([])
        packs[number].append(piece)
        if left > size:
            insort(room, (left - size, number))
    return [np.array(pack, dtype=np.int64) for pack in packs]


def waste(packs: list[np.ndarray], lengths: np.ndarray, capacity: int) -> float:
    """Return the share of all packs' capacity that is left empty.

    >>> waste([np.array([0, 1])], np.array([3, 4]), 10)
    0.3
    """
    whole = capacity * len(packs)
    used = sum(int(np.asarray(lengths)[pack].sum()) for pack in packs)
    return (whole - used) / max(1, whole)
