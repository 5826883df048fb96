"""A matrix of mostly zeros in NumPy: what a bag of words needs of linear algebra.

The entries are kept as three arrays (row, column, value). A product gathers one row of the other matrix per
entry and sums the pieces of each row with `np.add.reduceat`, for which the entries are sorted; for the
transposed product they are sorted by column.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class SparseRows:
    """The entries of a matrix; (rows, columns) do not repeat."""

    shape: tuple[int, int]
    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray

    def times(self, other: np.ndarray) -> np.ndarray:
        """Multiply by a dense (columns, k) matrix: (rows, k)."""
        return scatter_sum(self.rows, self.values[:, None] * other[self.columns], self.shape[0])

    def transposed_times(self, other: np.ndarray) -> np.ndarray:
        """Multiply the transposed matrix by a dense (rows, k) matrix: (columns, k)."""
        order = self.by_column
        pieces = self.values[order, None] * other[self.rows[order]]
        return scatter_sum(self.columns[order], pieces, self.shape[1])

    @cached_property
    def by_column(self) -> np.ndarray:
        """Order the entries by column."""
        return np.argsort(self.columns, kind="stable")

    def weighted(self, weights: np.ndarray) -> "SparseRows":
        """Multiply every column by its weight, then bring every row to length one."""
        values = self.values * weights[self.columns]
        squares = np.bincount(self.rows, weights=values**2, minlength=self.shape[0])
        return SparseRows(self.shape, self.rows, self.columns, values / np.sqrt(squares)[self.rows])

    def largest_singular_value(self, steps: int = 30) -> float:
        """Bound the largest singular value, a few percent too high, by power iteration from ones."""
        vector = np.ones((self.shape[1], 1))
        length = 0.0
        for _ in range(steps):
            vector = self.transposed_times(self.times(vector / np.linalg.norm(vector)))
            length = float(np.linalg.norm(vector))
        return 1.05 * length**0.5


def count_rows(terms: Sequence[Sequence[str]], columns: Mapping[str, int]) -> SparseRows:
    """Count the known terms of every row."""
    entries = [
        (row, columns[term], count)
        for row, of_row in enumerate(terms)
        for term, count in Counter(term for term in of_row if term in columns).items()
    ]
    table = np.array(entries, dtype=np.int64).reshape(-1, 3)
    return SparseRows((len(terms), len(columns)), table[:, 0], table[:, 1], table[:, 2].astype(float))


def scatter_sum(groups: np.ndarray, pieces: np.ndarray, count: int) -> np.ndarray:
    """Sum the pieces (n, k) of each group; `groups` (n,) is sorted and a group without pieces is zero."""
    total = np.zeros((count, pieces.shape[1]))
    if len(groups):
        starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
        total[groups[starts]] = np.add.reduceat(pieces, starts, axis=0)
    return total
