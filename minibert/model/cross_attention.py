"""Cross-attention: every token of a target asks, every token of its source answers.

As self-attention, but for the memory m, the encoder's hidden states of the source, from which keys and values
come (Vaswani et al., 2017, section 3.2.3)::

    q       = x Wq                        T x (H K), of the target
    k, v    = split(m Wkv)                U x (2 H K), of the source
    output  = merge(attend(q, k, v)) Wo

Source and target are packed alike, each with a layout of its own: the n-th sequence of the one answers the
n-th of the other. Keys and values depend on the source alone, so they are worked out once (`remember`),
however many tokens are written.

Letters: T target tokens, U source tokens, D hidden size, H heads, K head size.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

from minibert.kernels.attention import attend
from minibert.model.linear import Linear
from minibert.packed import Layout


@dataclass(frozen=True)
class Memory:
    """What is known of the sources: one row for each of their tokens, and where each source ends.

    rows_U  (U, D) hidden states, or (U, 2, H, K) keys and values
    layout  of the sources
    """

    rows_U: Tensor
    layout: Layout

    def select(self, sources: list[int]) -> "Memory":
        """Keep these sources, at least one, in this order."""
        parts = self.layout.split(self.rows_U)
        lengths = [self.layout.lengths[number] for number in sources]
        rows_U = torch.cat([parts[number] for number in sources])
        return Memory(rows_U, Layout.of(lengths, rows_U.device))


class CrossAttention(nn.Module):
    """Attention of target tokens over the tokens of their sources."""

    def __init__(self, hidden_size: int, num_heads: int, *, dropout: float = 0.0, bias: bool = True) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = Linear(hidden_size, hidden_size, bias=bias)
        self.key_value = Linear(hidden_size, 2 * hidden_size, bias=bias)
        self.output = Linear(hidden_size, hidden_size, bias=bias)

    def remember(self, memory: Memory) -> Memory:
        """Return keys and values side by side, (U, 2, H, K), for the encoder's hidden states (U, D)."""
        kv_U2HK = rearrange(
            self.key_value(memory.rows_U), "u (two h k) -> u two h k", two=2, h=self.num_heads
        )
        return Memory(kv_U2HK, memory.layout)

    def forward(self, hidden_TD: Tensor, layout: Layout, remembered: Memory) -> Tensor:
        """Return (T, D): what each target token heard from its source."""
        q_THK = rearrange(self.query(hidden_TD), "t (h k) -> t h k", h=self.num_heads)
        k_UHK, v_UHK = remembered.rows_U.unbind(1)
        dropout = self.dropout if self.training else 0.0
        heard_THK = attend(q_THK, k_UHK, v_UHK, layout, remembered.layout, dropout=dropout)
        output: Tensor = self.output(rearrange(heard_THK, "t h k -> t (h k)"))
        return output
