"""Windows of whole sentences, and where each sentence lies in a batch of them.

A long document is several windows of nearly equal size; no sentence lies in two. A window's rows are where
its sentences begin; each ends where the next begins, the last before [SEP]. A sentence longer than a window
is cut.

Letters: R tokens of sentences in the batch, M sentences.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from minibert.tasks.task import Window
from minibert.text.tokenizer import Tokenizer

PLACES = 32  # numbers of sentences that are told apart


@dataclass(frozen=True)
class SentenceTargets:
    """The sentences of a packed batch.

    rows    (R,) rows of the hidden states that belong to sentences
    sizes   tokens of each sentence
    places  (M,) number of each sentence in its document, at most PLACES - 1
    labels  (M,) 1 for what a summary takes, 0 for the rest
    """

    rows: Tensor
    sizes: tuple[int, ...]
    places: Tensor
    labels: Tensor

    @property
    def counts(self) -> dict[str, int]:
        return {"loss": len(self.sizes)}

    def to(self, device: torch.device | str) -> "SentenceTargets":
        rows, places, labels = (part.to(device) for part in (self.rows, self.places, self.labels))
        return SentenceTargets(rows, self.sizes, places, labels)


def sentence_windows(
    tokenizer: Tokenizer,
    text: str,
    spans: Sequence[tuple[int, int]],
    *,
    labels: np.ndarray,
    max_length: int,
) -> list[Window]:
    """Cut a text into windows of at most `max_length` tokens; units are numbers of sentences.

    A sentence without a token is in no window; a text without any is one window that asks nothing.
    """
    starts = [start for start, _ in spans]
    tokens = tokenizer.encode(text, starts)
    borders = np.searchsorted(tokens.offsets[:, 0], starts).astype(np.int64)
    sizes = np.diff([*borders, len(tokens)]).astype(np.int64)
    kept = np.flatnonzero(sizes)
    room = max_length - tokenizer.special_count()
    windows = []
    for group in groups_of(sizes[kept], room):
        units = kept[group]
        first = int(borders[units[0]])
        end = int(borders[units[-1]] + sizes[units[-1]])
        part = tokens[first:end].kept(slice(room))
        windows.append(Window(tokenizer.build(part), 1 + borders[units] - first, labels[units], units))
    return windows or [Window(tokenizer.build(tokens.kept(slice(room))))]


def groups_of(sizes: np.ndarray, room: int) -> list[np.ndarray]:
    """Part sentences of these sizes into runs of at most `room` tokens, of nearly equal size.

    >>> [group.tolist() for group in groups_of(np.array([4, 3, 3, 2]), 10)]
    [[0, 1], [2, 3]]
    """
    share = sizes.sum() / max(1, -(-int(sizes.sum()) // room))
    groups: list[list[int]] = []
    filled = 0
    for number, size in enumerate(sizes.tolist()):
        if not groups or filled + size > room or filled >= share:
            groups.append([])
            filled = 0
        groups[-1].append(number)
        filled += size
    return [np.array(group) for group in groups]


def targets_of(windows: Sequence[Window]) -> SentenceTargets:
    """Return which rows of the packed windows belong to which sentence; the last ends before [SEP]."""
    rows, sizes, done = [], [], 0
    for window in windows:
        if len(window.rows):
            last = len(window) - 1
            rows.append(np.arange(done + window.rows[0], done + last))
            sizes += np.diff([*window.rows, last]).tolist()
        done += len(window)
    units = np.concatenate([window.units for window in windows]).astype(np.int64)
    labels = np.concatenate([window.labels for window in windows]).astype(np.int64)
    return SentenceTargets(
        torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *rows])),
        tuple(sizes),
        torch.from_numpy(units.clip(max=PLACES - 1)),
        torch.from_numpy(labels),
    )
