"""The encoder: packed token ids in, one vector for every token out.

    embeddings -> block -> block -> ... -> (norm) -> hidden states (T, D)

This is the only reader of `EncoderConfig`: the bricks below take numbers.

Letters: T tokens, D hidden size.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from minibert.kernels.rotary import Angles
from minibert.model.attention import MultiHeadAttention
from minibert.model.block import PostNormBlock, PreNormBlock
from minibert.model.config import EncoderConfig
from minibert.model.embeddings import Embeddings
from minibert.model.feed_forward import MLP, GatedMLP
from minibert.model.linear import Linear, initialize, make_norm
from minibert.model.rotary_positions import RotaryPositions
from minibert.model.round_sizes import round_up
from minibert.packed import Layout, Packed


class Encoder(nn.Module):
    """A Transformer encoder over packed batches.

    dtype  what it computes in (weights stay as they are): torch.float32, bfloat16, float16 or float64

    >>> encoder = Encoder(EncoderConfig.preset("tiny", vocab_size=100))
    >>> encoder(Packed.of([[7, 4, 9], [5], [8, 6]])).shape
    torch.Size([6, 128])
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.dtype = torch.float32
        self.embeddings = Embeddings(
            config.vocab_size,
            config.embedding_width,
            positions=0 if config.modern else config.max_position_embeddings,
            first_position=config.position_offset,
            segments=config.type_vocab_size,
            norm=self._norm(config.embedding_width),
            dropout=config.hidden_dropout_prob,
            project=Linear(config.embedding_size, config.hidden_size) if config.embedding_size else None,
        )
        self.blocks = nn.ModuleList(self._block(layer) for layer in range(config.num_hidden_layers))
        self.norm = self._norm() if config.modern else nn.Identity()
        bases = frozenset(map(config.rope_theta, range(config.num_hidden_layers)) if config.modern else ())
        self.rotary: Callable[[Tensor], dict[float, Angles]] = RotaryPositions(bases, config.head_size)
        initialize(self, config.initializer_range)

    def _norm(self, size: int = 0) -> nn.Module:
        config = self.config
        return make_norm(config.norm, size or config.hidden_size, config.layer_norm_eps, config.bias)

    def _block(self, layer: int) -> nn.Module:
        config = self.config
        attention = MultiHeadAttention(
            config.hidden_size,
            config.num_attention_heads,
            window=config.window(layer),
            dropout=config.attention_probs_dropout_prob,
            bias=config.bias,
            qk_norm=config.qk_norm,
        )
        mlp = GatedMLP if config.gated_mlp else MLP
        feed_forward = mlp(
            config.hidden_size, config.intermediate_size, act=config.hidden_act, bias=config.bias
        )
        kind = PreNormBlock if config.modern else PostNormBlock
        # Modern embeddings are normed already, so the first block's attention has none.
        no_norm = config.modern and layer == 0
        return kind(
            attention,
            feed_forward,
            attention_norm=nn.Identity() if no_norm else self._norm(),
            feed_forward_norm=self._norm(),
            dropout=config.hidden_dropout_prob,
        )

    def use_attention(self, backend: str) -> None:
        """Let every layer attend with this implementation: "auto" or a name that `attend` knows."""
        for module in self.modules():
            if isinstance(module, MultiHeadAttention):
                module.backend = backend

    def forward(self, batch: Packed) -> Tensor:
        """Return the hidden state of every token, (T, D) in `self.dtype`."""
        return self.contextualize(self.embeddings(batch, self.dtype), batch.layout)

    def contextualize(self, hidden_TD: Tensor, layout: Layout) -> Tensor:
        """Take the embeddings of all tokens through the blocks."""
        hidden_TD, filled = round_up(hidden_TD, layout)
        angles = self.rotary(filled.positions)
        for layer, block in enumerate(self.blocks):
            hidden_TD = block(hidden_TD, filled, angles.get(self.config.rope_theta(layer)))
        normed_TD: Tensor = self.norm(hidden_TD)
        return normed_TD if filled is layout else normed_TD[: layout.tokens]
