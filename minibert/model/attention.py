"""Multi-head self-attention: every token asks, every token of its sequence answers.

One matrix turns the hidden states into queries, keys and values; the heads attend apart from each other; a
second matrix mixes their answers (Vaswani et al., 2017, section 3.2.2)::

    q, k, v = split(x Wqkv)              T x (3 H K) -> T x 3 x H x K
    output  = merge(attend(q, k, v)) Wo  T x (H K) -> T x D

Where a sequence ends is the business of `attend_packed` alone (see `minibert/kernels/attention`).

Letters: T tokens, D hidden size, H heads, K head size.
"""

import torch
from einops import rearrange
from torch import Tensor, nn

from minibert.kernels.attention import attend_packed
from minibert.kernels.rotary import Angles
from minibert.model.linear import Linear, RMSNorm
from minibert.packed import Layout


class MultiHeadAttention(nn.Module):
    """Self-attention over packed tokens.

    window   places seen on either side, None for the whole sequence
    causal   a token sees no later one (a decoder's attention)
    qk_norm  norm queries and keys, so that scores cannot grow (Dehghani et al., 2023)
    backend  implementation of `attend`: "auto" or a name; speed only, never the result
    """

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        window: int | None = None,
        causal: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
        qk_norm: bool = False,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window = window
        self.causal = causal
        self.dropout = dropout
        self.backend = "auto"
        self.qkv = Linear(hidden_size, 3 * hidden_size, bias=bias)
        self.output = Linear(hidden_size, hidden_size, bias=bias)
        head_size = hidden_size // num_heads
        self.q_norm = RMSNorm(head_size, eps=1e-6) if qk_norm else None
        self.k_norm = RMSNorm(head_size, eps=1e-6) if qk_norm else None

    def project(self, hidden_TD: Tensor) -> Tensor:
        """Return queries, keys and values side by side, (T, 3, H, K)."""
        qkv_T3HK = rearrange(self.qkv(hidden_TD), "t (three h k) -> t three h k", three=3, h=self.num_heads)
        if self.q_norm is None or self.k_norm is None:
            return qkv_T3HK
        q_THK, k_THK, v_THK = qkv_T3HK.unbind(1)
        return torch.stack((self.q_norm(q_THK), self.k_norm(k_THK), v_THK), dim=1)

    def forward(self, hidden_TD: Tensor, layout: Layout, angles: Angles | None = None) -> Tensor:
        """Return (T, D): what each token heard from its sequence; angles turn queries and keys by place."""
        heard_THK = attend_packed(
            self.project(hidden_TD),
            layout,
            angles,
            window=self.window,
            causal=self.causal,
            dropout=self.dropout if self.training else 0.0,
            backend=self.backend,
        )
        output: Tensor = self.output(rearrange(heard_THK, "t h k -> t (h k)"))
        return output
