"""Packed batches: sentences laid end to end, without padding.

Three sentences of 3, 1 and 2 tokens are one row of six tokens and the borders between them::

    ids         7 4 9 | 5 | 8 6        (T,)    T = 6
    positions   0 1 2 | 0 | 0 1        (T,)
    cu_seqlens  0       3   4     6    (N+1,)  N = 3

Everything that treats each token alone (embeddings, feed-forward, norms, heads) works on (T, D) and
never asks where a sentence ends. Only attention does, and it asks the `Layout`.

Letters: T tokens in the batch, N sequences, S longest sequence, D hidden size.
The name `cu_seqlens` is flash-attention's (Dao, 2023, https://arxiv.org/abs/2307.08691).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from minibert.errors import InputError

Made = TypeVar("Made")


@dataclass(frozen=True)
class Layout:
    """Where each sequence of a packed batch begins and ends.

    lengths     tokens of each sequence, Python numbers, so that no one has to ask the GPU
    max_seqlen  S, the longest of them; 0 in an empty batch
    cu_seqlens  (N+1,) int32, running sum of the lengths, on the batch's device
    positions   (T,) int64, place of each token in its own sequence
    inside_NS   None, but in a rectangle (`dense`): True at the cells that are tokens

    >>> layout = Layout.of([3, 1, 2])
    >>> layout.cu_seqlens.tolist(), layout.positions.tolist()
    ([0, 3, 4, 6], [0, 1, 2, 0, 0, 1])
    """

    lengths: tuple[int, ...]
    max_seqlen: int
    cu_seqlens: Tensor
    positions: Tensor
    inside_NS: Tensor | None = None

    @staticmethod
    def of(lengths: Sequence[int], device: torch.device | str = "cpu") -> "Layout":
        """Lay sequences of these lengths end to end; a length may be zero."""
        sizes = np.asarray(lengths, dtype=np.int64)
        if sizes.ndim != 1 or (sizes < 0).any():
            raise InputError(f"lengths {lengths!r} must be a list of numbers that are not negative")
        borders = np.concatenate([[0], np.cumsum(sizes)])
        positions = np.arange(borders[-1]) - np.repeat(borders[:-1], sizes)
        return Layout(
            tuple(int(size) for size in sizes),
            int(sizes.max(initial=0)),
            torch.from_numpy(borders.astype(np.int32)).to(device),
            torch.from_numpy(positions).to(device),
        )

    @staticmethod
    def dense(inside_NS: Tensor) -> "Layout":
        """Lay the rows of a rectangle end to end, padding included: for graphs, which cannot count tokens.

        inside_NS  (N, S) bool, True at the cells that are tokens. Every cell counts as one of T = N S tokens;
                   attention and pooling leave the others out. There are no `lengths`.

        >>> Layout.dense(torch.tensor([[True, True], [True, False]])).positions.tolist()
        [0, 1, 0, 1]
        """
        count, width = inside_NS.shape
        places_S = torch.arange(width, device=inside_NS.device)
        borders = torch.arange(count + 1, device=inside_NS.device) * width
        return Layout((), width, borders.int(), places_S.expand(count, width).flatten(), inside_NS)

    @property
    def tokens(self) -> int:
        """T, the number of tokens."""
        return self.positions.shape[0]

    @property
    def starts(self) -> Tensor:
        """(N,) row of each sequence's first token."""
        return self.cu_seqlens[:-1].long()

    @cached_property
    def sequence_T(self) -> Tensor:
        """(T,) number of the sequence that each token belongs to."""
        lengths = torch.tensor(self.lengths, dtype=torch.int64, device=self.positions.device)
        numbers = torch.arange(len(self.lengths), device=self.positions.device)
        return torch.repeat_interleave(numbers, lengths, output_size=self.tokens)

    def once(self, make: Callable[["Layout", int], Made], number: int) -> Made:
        """Return make(self, number), worked out the first time and kept: what every layer needs of a batch.

        >>> layout = Layout.of([3, 1])
        >>> shifted = lambda layout, by: layout.positions + by
        >>> layout.once(shifted, 5) is layout.once(shifted, 5)
        True
        """
        if (make, number) not in self._made:
            self._made[make, number] = make(self, number)
        made: Made = self._made[make, number]
        return made

    @cached_property
    def _made(self) -> dict[Any, Any]:
        return {}

    def to(self, device: torch.device | str) -> "Layout":
        """Move the tensors to a device; the Python lengths stay."""
        inside_NS = None if self.inside_NS is None else self.inside_NS.to(device)
        borders, positions = self.cu_seqlens.to(device), self.positions.to(device)
        return replace(self, cu_seqlens=borders, positions=positions, inside_NS=inside_NS)

    def split(self, packed_T: Tensor) -> tuple[Tensor, ...]:
        """(T, ...) -> one (length, ...) view for each sequence."""
        return packed_T.split(self.lengths)

    def pad(self, packed_T: Tensor, value: float = 0.0) -> Tensor:
        """(T, ...) -> (N, S, ...), filled with `value` past each sequence's end."""
        shape = (len(self.lengths), self.max_seqlen, *packed_T.shape[1:])
        return packed_T.new_full(shape, value).index_put((self.sequence_T, self.positions), packed_T)

    def unpad(self, padded_NS: Tensor) -> Tensor:
        """(N, S, ...) -> (T, ...), the inverse of `pad`."""
        return padded_NS[self.sequence_T, self.positions]


@dataclass(frozen=True)
class Packed:
    """A batch: the tokens of N sequences end to end.

    ids       (T,) int64, rows of the embedding table
    segments  (T,) int64, 0 for the first text and 1 for the second, or None where all are 0
    layout    where the sequences begin and end

    >>> batch = Packed.of([[7, 4, 9], [5], [8, 6]])
    >>> batch.ids.tolist(), batch.layout.lengths
    ([7, 4, 9, 5, 8, 6], (3, 1, 2))
    """

    ids: Tensor
    segments: Tensor | None
    layout: Layout

    @staticmethod
    def of(ids: Sequence[Any], segments: Sequence[Any] | None = None) -> "Packed":
        """Pack sequences of token ids (lists or arrays), on the CPU; `.to(device)` moves them."""
        layout = Layout.of([len(sequence) for sequence in ids])
        if segments is not None and tuple(map(len, segments)) != layout.lengths:
            raise InputError(
                f"each token id needs one segment number; their lengths are {list(map(len, segments))}, "
                f"those of the ids {list(layout.lengths)}"
            )
        return Packed(_end_to_end(ids), None if segments is None else _end_to_end(segments), layout)

    def to(self, device: torch.device | str) -> "Packed":
        """Move the batch to a device."""
        segments = None if self.segments is None else self.segments.to(device)
        return Packed(self.ids.to(device), segments, self.layout.to(device))


def _end_to_end(sequences: Sequence[Any]) -> Tensor:
    arrays = [np.asarray(sequence, dtype=np.int64) for sequence in sequences]
    return torch.from_numpy(np.concatenate(arrays) if arrays else np.zeros(0, np.int64))
