"""What learning one part after the other does to all of them: the matrix of accuracies, and what it says.

R[i, j] is the accuracy on part j after learning part i; row 0 is before anything was learnt. Of T parts::

    average accuracy     mean_j R[T, j]
    backward transfer    mean_{j < T} R[T, j] - R[j, j]         below 0 is forgetting
    forward transfer     mean_{j > 1} R[j - 1, j] - R[0, j]     what earlier parts do for one not yet seen
    forgetting           mean_{j < T} max_{1 <= i < T} R[i, j] - R[T, j]

The first three: Lopez-Paz and Ranzato (2017, "Gradient Episodic Memory for Continual Learning", equations 2
to 4). The last: Chaudhry et al. (2018, "Riemannian Walk for Incremental Learning", equation 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minibert.errors import InputError


@dataclass(frozen=True)
class Transfer:
    """The accuracies (T + 1, T) in 0..1; row 0 is before, row i after part i.

    >>> found = Transfer(((0.5, 0.5), (0.9, 0.6), (0.7, 0.8)), ("a", "b"))
    >>> round(found.average, 2), round(found.backward, 2), round(found.forward, 2), round(found.forgetting, 2)
    (0.75, -0.2, 0.1, 0.2)
    """

    matrix: tuple[tuple[float, ...], ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        shape = (len(self.names) + 1, len(self.names))
        if not self.names or np.shape(self.matrix) != shape:
            raise InputError(
                f"a matrix of shape {np.shape(self.matrix)} for {len(self.names)} parts; {shape} is wanted: "
                "a row before them and one after each"
            )

    @property
    def average(self) -> float:
        return float(np.mean(self.matrix[-1]))

    @property
    def backward(self) -> float:
        """0 for a single part."""
        later = np.array(self.matrix[1:])
        return _mean(later[-1, :-1] - later.diagonal()[:-1])

    @property
    def forward(self) -> float:
        """0 for a single part."""
        matrix = np.array(self.matrix)
        return _mean([matrix[part, part] - matrix[0, part] for part in range(1, len(self.names))])

    @property
    def forgetting(self) -> float:
        """0 for a single part."""
        later = np.array(self.matrix[1:])
        return _mean(later[:-1, :-1].max(axis=0) - later[-1, :-1]) if len(later) > 1 else 0.0

    @property
    def summary(self) -> dict[str, float]:
        return {
            "average_accuracy": self.average,
            "backward_transfer": self.backward,
            "forward_transfer": self.forward,
            "forgetting": self.forgetting,
        }

    def table(self) -> str:
        """Lay out the matrix for a terminal: what was learnt last goes down, what is asked across."""
        sides = ["learnt \\ asked", "nothing", *self.names]
        width = max(map(len, sides))
        columns = [max(6, len(name)) for name in self.names]
        cells = [self.names, *([f"{value:.4f}" for value in row] for row in self.matrix)]
        return "\n".join(
            f"{side:<{width}}  "
            + "  ".join(f"{text:>{size}}" for text, size in zip(row, columns, strict=True))
            for side, row in zip(sides, cells, strict=True)
        )


def _mean(values: Sequence[float] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else 0.0
