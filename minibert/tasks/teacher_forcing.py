"""Teacher forcing: while it learns, a decoder reads the true beginning of every target.

    inputs    [CLS] y1 y2 .. ym        what the decoder sees
    labels    y1 y2 .. ym [SEP]        what it is to say at each place

No place sees a later one, so all places of all targets are one pass (Williams and Zipser, 1989, name it).

Letters: M tokens of all targets, their ends included.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from minibert.packed import Packed
from minibert.text.encoded import Encoded


@dataclass(frozen=True)
class PairWindow:
    """A source, and the ids of its target with the end; no ids where nobody knows the target.

    cut  whether the target was longer than its ids
    """

    tokens: Encoded
    target: np.ndarray
    cut: bool = False

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def rows(self) -> np.ndarray:
        """Places of the source that are read: all of them, if there is a target."""
        return np.arange(len(self.tokens) if len(self.target) else 0)


@dataclass(frozen=True)
class TeacherForcing:
    """The packed targets of a batch: what the decoder sees, and the token (M,) wanted at each place."""

    inputs: Packed
    labels: Tensor

    @staticmethod
    def of(targets: Sequence[np.ndarray], start: int) -> "TeacherForcing":
        """Pack targets that hold their end; `start` is the token before each of them.

        >>> forcing = TeacherForcing.of([np.array([7, 8, 3]), np.array([9, 3])], start=2)
        >>> forcing.inputs.ids.tolist(), forcing.labels.tolist()
        ([2, 7, 8, 2, 9], [7, 8, 3, 9, 3])
        """
        inputs = Packed.of([np.append([start], target)[:-1] for target in targets])
        return TeacherForcing(inputs, torch.from_numpy(np.concatenate(targets).astype(np.int64)))

    @property
    def counts(self) -> dict[str, int]:
        """How many tokens the loss is a sum over."""
        return {"loss": self.labels.shape[0]}

    def to(self, device: torch.device | str) -> "TeacherForcing":
        return TeacherForcing(self.inputs.to(device), self.labels.to(device))
