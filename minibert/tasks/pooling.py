"""From the rows of a text to one vector: its first token, or the mean of all of them; and what may follow.

Letters: T tokens, N sequences, D hidden size.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from minibert.model.config import EncoderConfig
from minibert.model.linear import Linear, activation, make_norm
from minibert.packed import Layout

Activation = Literal["auto", "none", "tanh", "relu", "gelu", "gelu_tanh", "silu"]


def pool(how: str, hidden_TD: Tensor, layout: Layout) -> Tensor:
    """Return one row for each sequence, (N, D); "first" or "mean".

    >>> hidden = torch.tensor([[1.0], [3.0], [5.0]])
    >>> pool("mean", hidden, Layout.of([2, 1])).tolist(), pool("first", hidden, Layout.of([2, 1])).tolist()
    ([[2.0], [5.0]], [[1.0], [5.0]])
    """
    if how == "first":
        return hidden_TD[layout.starts]
    wide_TD = hidden_TD.double() if hidden_TD.dtype == torch.float64 else hidden_TD.float()
    if layout.inside_NS is not None:  # a rectangle: its cells are all there, and some are left out
        weights_NS1 = layout.inside_NS[..., None].to(wide_TD.dtype)
        sums_ND = (wide_TD.unflatten(0, layout.inside_NS.shape) * weights_NS1).sum(1)
        return (sums_ND / weights_NS1.sum(1).clamp(min=1)).to(hidden_TD.dtype)
    sums_ND = wide_TD.new_zeros(len(layout.lengths), wide_TD.shape[1])
    means_ND = (
        sums_ND.index_add(0, layout.sequence_T, wide_TD) / layout.cu_seqlens.diff().clamp(min=1)[:, None]
    )
    return means_ND.to(hidden_TD.dtype)


def projection_of(config: EncoderConfig, act: str, norm: bool) -> tuple[nn.Module, nn.Module]:
    """Return the dense layer and the norm between a pooled vector and its scores; identities for none."""
    size = config.hidden_size
    dense = nn.Identity() if act == "none" else Linear(size, size)
    normed = make_norm(config.norm, size, config.layer_norm_eps, config.bias) if norm else nn.Identity()
    return dense, normed


def project(act: str, dense: nn.Module, vectors_ND: Tensor) -> Tensor:
    """Apply a dense layer and its activation, "none" for neither."""
    if act == "none":
        return vectors_ND
    inner_ND: Tensor = dense(vectors_ND)
    return torch.tanh(inner_ND) if act == "tanh" else activation(act, inner_ND)
