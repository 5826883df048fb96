"""Round numbers of rows, where a matrix product is compiled for every shape that it meets.

On a CPU torch multiplies bfloat16 matrices by oneDNN, which writes machine code for each new shape, up to
20 ms of it, and keeps that of the last 1,024 shapes, about a megabyte each. Packed tokens, masked ones or the
words of a batch are another number at every step. Filled up to one of few numbers they have a shape that is
known already: training then spends less time, and a long run less memory.
"""

import torch
from torch import Tensor

SIZES = 16  # between a power of two and the next one


def missing(rows: int, sizes: int = SIZES) -> int:
    """Return how many rows more make one of so many round numbers an octave.

    >>> [rows + missing(rows) for rows in (7, 31, 33, 813, 1000, 1024, 1025)]
    [7, 31, 34, 832, 1024, 1024, 1088]
    """
    return -rows % max(1, 2 ** (rows.bit_length() - 1) // sizes)


def filled(x: Tensor) -> Tensor:
    """Return a matrix with zeros behind it up to a round number of rows, where that helps."""
    compiled = x.device.type == "cpu" and x.dtype == torch.bfloat16 and not torch.compiler.is_compiling()
    more = missing(len(x)) if compiled and x.dim() == 2 else 0
    return x if not more else torch.nn.functional.pad(x, (0, 0, 0, more))
