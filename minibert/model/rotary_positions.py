"""The rotary angles of a batch, worked out once for all layers: each layer turns by one of a few bases.

A part of its own, so that an exported graph can look the angles up in a table instead.

Letters: T tokens, K head size.
"""

from dataclasses import dataclass

from torch import Tensor

from minibert.kernels.rotary import Angles, rotary_angles


@dataclass(frozen=True)
class RotaryPositions:
    """From places to angles.

    bases  that the layers turn by; none in the classic recipe, which learns a row for each place

    >>> import torch
    >>> [(cos, sin)] = RotaryPositions(frozenset([10_000.0]), head_size=4)(torch.tensor([0, 1])).values()
    >>> cos.shape
    torch.Size([2, 1, 2])
    """

    bases: frozenset[float]
    head_size: int

    def __call__(self, positions_T: Tensor) -> dict[float, Angles]:
        """Return for each base the cosine and sine of every token's angles, each (T, 1, K/2)."""
        return {base: rotary_angles(positions_T, self.head_size, base) for base in self.bases}
