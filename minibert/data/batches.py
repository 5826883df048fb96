"""Which examples make up which training step: a pure function of (seed, step).

No iterator has a state that could be lost: step 1,000 can be asked for without the 999 before it, so a
resumed run sees exactly what the whole run would have seen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, overload

import numpy as np

from minibert.data.corpus import Corpus
from minibert.data.packing import best_fit, chop
from minibert.errors import InputError

W = TypeVar("W", bound="Sized")
Micro = TypeVar("Micro")
Any_Micro = TypeVar("Any_Micro", covariant=True)


class Sized(Protocol):
    def __len__(self) -> int: ...


class Batches(Protocol[Any_Micro]):
    """What the loop asks of data: the micro-batches of any step, as a pure function of its number."""

    @property
    def steps_per_epoch(self) -> int: ...

    def at(self, step: int, progress: float) -> Sequence[Any_Micro]: ...


class Parts(Sequence[Micro]):
    """The micro-batches of a step, each made when it is asked for: who needs two of eight makes two.

    >>> parts = Parts(3, lambda place: place * 10)
    >>> parts[2], list(parts)
    (20, [0, 10, 20])
    """

    def __init__(self, number: int, make: Callable[[int], Micro]) -> None:
        self.places, self.make = range(number), make

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, place: int) -> Micro: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Micro]: ...

    def __getitem__(self, place: int | slice) -> Micro | Sequence[Micro]:
        if isinstance(place, slice):
            return [self.make(each) for each in self.places[place]]
        return self.make(self.places[place])


def shuffled(count: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order of `count` things in this epoch."""
    return np.random.Generator(np.random.Philox(key=[seed, 1_000_000 + epoch])).permutation(count)


@dataclass(frozen=True)
class ExampleBatches(Generic[W, Micro]):
    """Batches of a fixed number of windows, for fine-tuning; an epoch's last batch may be smaller.

    collate      (windows, seed, step, progress) -> micro-batch
    accumulate   micro-batches that a batch is cut into
    """

    windows: Sequence[W]
    collate: Callable[[Sequence[W], int, int, float], Micro]
    batch_size: int
    accumulate: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not len(self.windows):
            raise InputError("no window to train on: no example has a word or a label that is asked for")

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.windows) // self.batch_size)

    def at(self, step: int, progress: float) -> Sequence[Micro]:
        """Return the micro-batches of a step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = shuffled(len(self.windows), self.seed, epoch)
        rows = order[place * self.batch_size : (place + 1) * self.batch_size]
        parts = [part for part in np.array_split(rows, self.accumulate) if len(part)]

        def make(k: int) -> Micro:
            windows = by_length([self.windows[i] for i in parts[k]])
            return self.collate(windows, self.seed, step * self.accumulate + k, progress)

        return Parts(len(parts), make)


class CorpusBatches(Generic[Micro]):
    """Packs of at most `tokens_per_batch` tokens out of a corpus, for pretraining.

    The chosen documents are cut into runs of at most `max_length` tokens, special ones included; the runs are
    packed once, best fit, and each epoch visits the packs in a new order.

    collate      (list of id arrays, seed, step, progress) -> micro-batch
    around       the ids put before and after every run: [CLS] and [SEP]
    accumulate   micro-batches in a step, each of `tokens_per_batch` tokens
    """

    def __init__(
        self,
        corpus: Corpus,
        documents: np.ndarray,
        *,
        collate: Callable[[Sequence[np.ndarray], int, int, float], Micro],
        around: tuple[int, int],
        max_length: int,
        tokens_per_batch: int,
        accumulate: int = 1,
        seed: int = 0,
    ) -> None:
        pieces = chop(corpus.bounds, max_length - 2)
        owners = np.searchsorted(corpus.bounds, pieces[:, 0], side="right") - 1
        self.pieces = pieces[np.isin(owners, documents)]
        if not len(self.pieces):
            raise InputError("no tokens to train on: the chosen documents are empty")
        self.packs = best_fit(self.pieces[:, 1] + 2, tokens_per_batch, seed=seed)
        self.corpus, self.documents = corpus, documents
        self.collate, self.around = collate, around
        self.accumulate, self.seed = min(accumulate, max(1, len(self.packs))), seed

    @property
    def steps_per_epoch(self) -> int:
        return len(self.packs) // self.accumulate

    def sequences(self, pack: int) -> list[np.ndarray]:
        """Return the token ids of a pack's runs, with special tokens, the longest first."""
        before, after = self.around
        runs = self.pieces[self.packs[pack]]
        runs = runs[np.argsort(-runs[:, 1], kind="stable")]
        ids = self.corpus.ids
        return [np.concatenate([[before], ids[start : start + size], [after]]) for start, size in runs]

    def at(self, step: int, progress: float) -> Sequence[Micro]:
        """Return the micro-batches of a step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        packs = shuffled(len(self.packs), self.seed, epoch)[place * self.accumulate :]

        def make(k: int) -> Micro:
            return self.collate(self.sequences(packs[k]), self.seed, step * self.accumulate + k, progress)

        return Parts(self.accumulate, make)


def by_length(windows: Sequence[W]) -> list[W]:
    """Sort windows, the longest first: those of one length then lie together in the batch."""
    return sorted(windows, key=len, reverse=True)
