"""From the rows of a text to one vector: its first token, or the mean of all of them.

Letters: T tokens, N sequences, D hidden size.
"""

import torch
from torch import Tensor

from minibert.packed import Layout


def pool(how: str, hidden_TD: Tensor, layout: Layout) -> Tensor:
    """Return one row for each sequence, (N, D); "first" or "mean".

    >>> hidden = torch.tensor([[1.0], [3.0], [5.0]])
    >>> pool("mean", hidden, Layout.of([2, 1])).tolist(), pool("first", hidden, Layout.of([2, 1])).tolist()
    ([[2.0], [5.0]], [[1.0], [5.0]])
    """
    if how == "first":
        return hidden_TD[layout.starts]
    wide_TD = hidden_TD.double() if hidden_TD.dtype == torch.float64 else hidden_TD.float()
    sums_ND = wide_TD.new_zeros(len(layout.lengths), wide_TD.shape[1])
    means_ND = (
        sums_ND.index_add(0, layout.sequence_T, wide_TD) / layout.cu_seqlens.diff().clamp(min=1)[:, None]
    )
    return means_ND.to(hidden_TD.dtype)
