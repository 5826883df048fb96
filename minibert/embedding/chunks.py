"""Texts on their way to the encoder: tokenized by the thousand, sorted by length, laid end to end.

A chunk is what is held at once, so an iterator of any length goes through in bounded memory. Inside a
chunk the shortest come first: the sequences of a batch are then of nearly one length, which every kind of
attention likes. While a chunk is computed, a thread tokenizes the next.

Letters: N texts of a chunk, T their tokens.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from minibert.errors import InputError
from minibert.text.tokenizer import Tokenizer

FIRST_TEXTS = 2_048  # the device waits for the first chunk, so it is small; each is twice the one before
MOST_TEXTS = 16_384
MOST_CHARACTERS = 2**23


@dataclass(frozen=True)
class Chunk:
    """Tokens of N texts, the shortest text first.

    ids_T      (T,) int64, control tokens included
    lengths_N  (N,) int64
    order_N    (N,) place that each text had when it came
    cut        how many texts were too long and lost their end
    """

    ids_T: np.ndarray
    lengths_N: np.ndarray
    order_N: np.ndarray
    cut: int

    def batches(self, budget: int) -> Iterator[tuple[slice, slice]]:
        """Yield runs of texts, and of their tokens, of at most `budget` tokens; a longer text goes alone."""
        ends = np.cumsum(self.lengths_N)
        first, done = 0, 0
        while first < len(ends):
            last = max(int(np.searchsorted(ends, done + budget, side="right")), first + 1)
            yield slice(first, last), slice(done, int(ends[last - 1]))
            first, done = last, int(ends[last - 1])


def make_chunk(texts: list[str], tokenizer: Tokenizer, max_length: int) -> Chunk:
    """Tokenize texts, cut them at `max_length` tokens with control tokens, and sort them."""
    before, after = tokenizer.around()
    room = max(0, max_length - len(before) - len(after))
    rows = tokenizer.encode_ids(texts)
    sizes = np.array([len(row) for row in rows], np.int64)
    lengths = np.minimum(sizes, room) + len(before) + len(after)
    order = np.argsort(lengths, kind="stable")
    parts = [part for number in order.tolist() for part in (before, rows[number][:room], after)]
    return Chunk(np.concatenate(parts).astype(np.int64), lengths[order], order, int((sizes > room).sum()))


def chunks(
    texts: Iterable[str], tokenizer: Tokenizer, max_length: int, *, prompt: str = ""
) -> Iterator[Chunk]:
    """Yield the chunks of a stream of texts, a prompt before each, made while the chunk before is used.

    Raises InputError for a text that is no string.
    """
    groups = gather(texts, prompt)
    with ThreadPoolExecutor(1) as worker:
        waiting = [worker.submit(make_chunk, group, tokenizer, max_length) for group in islice(groups, 1)]
        while waiting:
            ready = waiting.pop().result()
            waiting = [worker.submit(make_chunk, group, tokenizer, max_length) for group in islice(groups, 1)]
            yield ready


def gather(texts: Iterable[str], prompt: str = "") -> Iterator[list[str]]:
    """Gather texts, a prompt before each, into lists that are tokenized together."""
    group: list[str] = []
    size, limit = 0, min(FIRST_TEXTS, MOST_TEXTS)
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"text {number} is {text!r:.60}, a {type(text).__name__}; strings are wanted")
        group.append(prompt + text)
        size += len(text)
        if len(group) == limit or size > MOST_CHARACTERS:
            yield group
            group, size, limit = [], 0, min(2 * limit, MOST_TEXTS)
    if group:
        yield group
