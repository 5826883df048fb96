"""A sample of all rows that have ever come, of a fixed size, in which each row is as likely as any other.

Row n of a stream takes the place of a random one with probability size / n (Vitter, 1985, "Random Sampling
with a Reservoir", algorithm R). Nothing has to be known of how many will come.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from minibert.errors import InputError


class Reservoir:
    """Keeps at most `size` rows; the same rows and seed give the same sample.

    >>> kept = Reservoir(2, seed=0)
    >>> kept.add(["a", "b", "c", "d"])
    >>> len(kept.rows), kept.seen
    (2, 4)
    """

    def __init__(self, size: int, seed: int) -> None:
        if size < 1:
            raise InputError(f"buffer_size {size} must be at least 1")
        self.size, self.seen = size, 0
        self.rows: list[Any] = []
        self.random = np.random.Generator(np.random.Philox(key=[seed, 2_000_000]))

    def add(self, rows: Iterable[Any]) -> None:
        """Let rows of the stream come by."""
        for row in rows:
            self.seen += 1
            if len(self.rows) < self.size:
                self.rows.append(row)
                continue
            place = int(self.random.integers(self.seen))
            if place < self.size:
                self.rows[place] = row
