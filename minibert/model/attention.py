"""Multi-head self-attention: every token asks, every token of its sequence answers.

One matrix turns the hidden states into queries, keys and values; the heads attend apart from each other; a
second matrix mixes their answers (Vaswani et al., 2017, section 3.2.2)::

    q, k, v = split(x Wqkv)              T x (3 H K) -> three times T x H x K
    output  = merge(attend(q, k, v)) Wo  T x (H K) -> T x D

Where a sequence ends is the business of `attend` alone (see `minibert/kernels/attention`).

Letters: T tokens, D hidden size, H heads, K head size.
"""

from einops import rearrange
from torch import Tensor, nn

from minibert.kernels.attention import attend
from minibert.model.linear import Linear, RMSNorm
from minibert.model.rotary import Angles, rotate
from minibert.packed import Layout


class MultiHeadAttention(nn.Module):
    """Self-attention over packed tokens.

    window   places seen on either side, None for the whole sequence
    qk_norm  norm queries and keys, so that scores cannot grow (Dehghani et al., 2023)
    backend  implementation of `attend`: "auto" or a name; speed only, never the result
    """

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        window: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
        qk_norm: bool = False,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window = window
        self.dropout = dropout
        self.backend = "auto"
        self.qkv = Linear(hidden_size, 3 * hidden_size, bias=bias)
        self.output = Linear(hidden_size, hidden_size, bias=bias)
        head_size = hidden_size // num_heads
        self.q_norm = RMSNorm(head_size, eps=1e-6) if qk_norm else None
        self.k_norm = RMSNorm(head_size, eps=1e-6) if qk_norm else None

    def project(self, hidden_TD: Tensor, angles: Angles | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, each (T, H, K), turned by their places if angles are given."""
        qkv_T3HK = rearrange(self.qkv(hidden_TD), "t (three h k) -> t three h k", three=3, h=self.num_heads)
        q_THK, k_THK, v_THK = qkv_T3HK.unbind(1)
        if self.q_norm is not None and self.k_norm is not None:
            q_THK, k_THK = self.q_norm(q_THK), self.k_norm(k_THK)
        if angles is not None:
            q_THK, k_THK = rotate(q_THK, angles), rotate(k_THK, angles)
        return q_THK, k_THK, v_THK

    def forward(self, hidden_TD: Tensor, layout: Layout, angles: Angles | None = None) -> Tensor:
        """Return (T, D): what each token heard from its sequence."""
        q_THK, k_THK, v_THK = self.project(hidden_TD, angles)
        dropout = self.dropout if self.training else 0.0
        heard_THK = attend(
            q_THK, k_THK, v_THK, layout, window=self.window, dropout=dropout, backend=self.backend
        )
        output: Tensor = self.output(rearrange(heard_THK, "t h k -> t (h k)"))
        return output
