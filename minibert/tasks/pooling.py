"""From the rows of a text to one vector, and from there to scores: what the tasks for whole texts share.

The vector is the text's first token, or the mean of all of them. A dense layer, a norm and dropout may
follow; the last layer gives a score for each class, label or choice.

Letters: T tokens, N sequences, D hidden size, C scores of one text.
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.model.linear import Dropout, Linear, activation, make_norm
from minibert.packed import Layout, Packed
from minibert.tasks.task import Window
from minibert.tasks.windows import fit_text
from minibert.text.tokenizer import Tokenizer

Activation = Literal["auto", "none", "tanh", "relu", "gelu", "gelu_tanh", "silu"]


@dataclass(frozen=True)
class PoolingOptions:
    """What a person may choose for every task that reads a text as one vector.

    max_length 0 means as long as the encoder allows. on_long: a longer text loses its end ("truncate") or its
    middle ("head_tail"), or is read in windows. projection "auto" is tanh after the first token and none
    after the mean.
    """

    pooling: Literal["first", "mean"] = "first"
    max_length: int = 0
    on_long: Literal["truncate", "head_tail", "split", "error"] = "truncate"
    classifier_dropout: float = 0.1
    projection: Activation = "auto"
    projection_norm: bool = False

    def __post_init__(self) -> None:
        check_shares(self, "classifier_dropout")

    @property
    def activation(self) -> str:
        """The activation of the dense layer after the pooling; "none" for no such layer."""
        if self.projection != "auto":
            return self.projection
        return "tanh" if self.pooling == "first" else "none"


def check_shares(options: Any, *names: str) -> None:
    """Raise InputError for an option that is a share of everything and not in [0, 1)."""
    for name in names:
        if not 0 <= getattr(options, name) < 1:
            raise InputError(f"{name} {getattr(options, name)} must be at least 0 and below 1, such as 0.1")


class Pooled(Protocol):
    """A task for whole texts, as `text_scores` and `text_windows` see it."""

    tokenizer: Tokenizer
    max_length: int
    dense: nn.Module
    norm: nn.Module
    dropout: Dropout
    classifier: Linear

    @property
    def options(self) -> PoolingOptions: ...


def text_windows(task: Pooled, text: str, pair: str | None, labels: np.ndarray) -> list[Window]:
    """Return one window of a text and its pair, or several if a long text is to be split.

    labels  (1, ...) what is wanted of each window
    """
    parts = fit_text(task.tokenizer, text, pair, max_length=task.max_length, on_long=task.options.on_long)
    zero = np.zeros(1, np.int64)
    return [Window(tokens, rows=zero, labels=labels, units=zero) for tokens in parts]


def text_scores(task: Pooled, encoder: Encoder, batch: Packed, *, exact: bool = False) -> Tensor:
    """Return the scores (N, C) of the texts of a batch, in float32.

    exact  the last layer computes in float32 too: for numbers, which bfloat16 keeps to three digits
    """
    pooled_ND = pool(task.options.pooling, encoder(batch), batch.layout)
    pooled_ND = task.norm(project(task.options.activation, task.dense, pooled_ND))
    pooled_ND = task.dropout(pooled_ND)
    scores_NC: Tensor = task.classifier(pooled_ND.float() if exact else pooled_ND).float()
    return scores_NC


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
