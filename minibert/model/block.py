"""A block: attention, then feed-forward, each added to what came in.

Where the norm stands is all that parts the two recipes::

    post-norm (BERT)        y = norm(x + f(x))
    pre-norm (ModernBERT)   y = x + f(norm(x))       the sum itself is never normed, so depth trains more
    easily

(Xiong et al., 2020, "On Layer Normalization in the Transformer Architecture".)

Letters: T tokens, D hidden size.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from minibert.kernels.rotary import Angles
from minibert.model.attention import MultiHeadAttention
from minibert.model.linear import Dropout
from minibert.packed import Layout


class Block(nn.Module, ABC):
    """The bricks of a block; its two kinds say in which order they are used."""

    def __init__(
        self,
        attention: MultiHeadAttention,
        feed_forward: nn.Module,
        *,
        attention_norm: nn.Module,
        feed_forward_norm: nn.Module,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention = attention
        self.attention_norm = attention_norm
        self.feed_forward = feed_forward
        self.feed_forward_norm = feed_forward_norm
        self.dropout = Dropout(dropout)

    @abstractmethod
    def forward(self, hidden_TD: Tensor, layout: Layout, angles: Angles | None = None) -> Tensor:
        """Return the next hidden states (T, D)."""


class PostNormBlock(Block):
    """BERT's block: add, then norm."""

    def forward(self, hidden_TD: Tensor, layout: Layout, angles: Angles | None = None) -> Tensor:
        heard_TD = self.dropout(self.attention(hidden_TD, layout, angles))
        hidden_TD = self.attention_norm(hidden_TD + heard_TD)
        thought_TD = self.dropout(self.feed_forward(hidden_TD))
        output: Tensor = self.feed_forward_norm(hidden_TD + thought_TD)
        return output


class PreNormBlock(Block):
    """The modern block: norm, then add."""

    def forward(self, hidden_TD: Tensor, layout: Layout, angles: Angles | None = None) -> Tensor:
        heard_TD = self.attention(self.attention_norm(hidden_TD), layout, angles)
        hidden_TD = hidden_TD + self.dropout(heard_TD)
        thought_TD = self.feed_forward(self.feed_forward_norm(hidden_TD))
        output: Tensor = hidden_TD + self.dropout(thought_TD)
        return output
