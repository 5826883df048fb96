"""The decoder: what was written so far and what the encoder says of the source in, the next token out.

A block is an encoder's with one more part between its halves: cross-attention (Vaswani et al., 2017, figure
1), here with the norms before each part (Xiong et al., 2020)::

    y = x + self_attention(norm(x))           a token sees no later one
    y = y + cross_attention(norm(y), memory)  it sees the whole source
    y = y + feed_forward(norm(y))

Training reads all tokens of the targets at once (`forward`), writing goes token by token (`start`, `step`);
both give the same numbers. Places are rotary or learned. The token table belongs to whoever calls: its rows
come in, and the same table scores the next token (Press and Wolf, 2017).
Left out: post-norm blocks.

Letters: T target tokens, U source tokens, N sequences that are written, D hidden size.
"""

from dataclasses import dataclass, replace

from torch import Tensor, nn

from minibert.errors import InputError
from minibert.kernels.rotary import Angles, rotary_angles
from minibert.model.attention import MultiHeadAttention
from minibert.model.cache import Cache, attend_next
from minibert.model.config import EncoderConfig
from minibert.model.cross_attention import CrossAttention, Memory
from minibert.model.feed_forward import MLP, GatedMLP
from minibert.model.linear import Dropout, initialize, make_norm
from minibert.packed import Layout

ROTARY_BASE = 10_000.0


class DecoderBlock(nn.Module):
    """Self-attention, cross-attention, feed-forward; a norm before each, a sum after each."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        size, heads = config.hidden_size, config.num_attention_heads
        dropout = config.attention_probs_dropout_prob
        self.attention = MultiHeadAttention(
            size, heads, causal=True, dropout=dropout, bias=config.bias, qk_norm=config.qk_norm
        )
        self.cross_attention = CrossAttention(size, heads, dropout=dropout, bias=config.bias)
        mlp = GatedMLP if config.gated_mlp else MLP
        self.feed_forward = mlp(size, config.intermediate_size, act=config.hidden_act, bias=config.bias)
        self.attention_norm, self.cross_norm, self.feed_forward_norm = (new_norm(config) for _ in range(3))
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, hidden_TD: Tensor, layout: Layout, remembered: Memory, angles: Angles | None) -> Tensor:
        """Return the next hidden states (T, D) of whole targets."""
        heard_TD = self.attention(self.attention_norm(hidden_TD), layout, angles)
        return self.think(hidden_TD + self.dropout(heard_TD), layout, remembered)

    def step(
        self,
        hidden_ND: Tensor,
        layout: Layout,
        remembered: Memory,
        angles: Angles | None,
        cache: Cache | None,
    ) -> tuple[Tensor, Cache]:
        """Return the next hidden states (N, D) of the newest tokens, and the cache with them in it."""
        heard_ND, cache = attend_next(self.attention, self.attention_norm(hidden_ND), angles, cache)
        return self.think(hidden_ND + self.dropout(heard_ND), layout, remembered), cache

    def think(self, hidden_TD: Tensor, layout: Layout, remembered: Memory) -> Tensor:
        """Ask the source, then go through the feed-forward network."""
        heard_TD = self.cross_attention(self.cross_norm(hidden_TD), layout, remembered)
        hidden_TD = hidden_TD + self.dropout(heard_TD)
        thought_TD = self.feed_forward(self.feed_forward_norm(hidden_TD))
        output: Tensor = hidden_TD + self.dropout(thought_TD)
        return output


@dataclass(frozen=True)
class State:
    """A decoder between two steps.

    remembered  for each layer, the keys and values of the sources
    caches      for each layer, those of what is written; none before the first step
    beams       sequences that are written for each source; they lie side by side
    """

    remembered: tuple[Memory, ...]
    caches: tuple[Cache, ...]
    beams: int

    @property
    def layout(self) -> Layout:
        """Which of the N sequences belong to which source: the beams of a source ask together."""
        memory = self.remembered[0].layout
        return Layout.of([self.beams] * len(memory.lengths), memory.positions.device)

    @property
    def place(self) -> int:
        """Tokens that are written already."""
        return self.caches[0].keys_NSHK.shape[1] if self.caches else 0

    def select(self, rows: Tensor, sources: list[int] | None = None) -> "State":
        """Keep these sequences, in this order, and these sources (None: all of them)."""
        caches = tuple(cache.select(rows) for cache in self.caches)
        if sources is None:
            return replace(self, caches=caches)
        return replace(self, caches=caches, remembered=tuple(m.select(sources) for m in self.remembered))


class Decoder(nn.Module):
    """A stack of decoder blocks.

    config     widths, heads, dropout and norms: those of the encoder whose memory is read
    positions  rows of a learned position table; 0 for rotary positions

    >>> import torch
    >>> config = EncoderConfig.preset("tiny", vocab_size=100)
    >>> sources = Memory(torch.zeros(7, 128), Layout.of([4, 3]))
    >>> Decoder(config, 2)(torch.zeros(5, 128), Layout.of([3, 2]), sources).shape
    torch.Size([5, 128])
    """

    def __init__(self, config: EncoderConfig, num_layers: int, *, positions: int = 0) -> None:
        super().__init__()
        self.head_size = config.head_size
        if not positions and self.head_size % 2:
            raise InputError(
                f"rotary positions need an even head size, and this encoder's is {self.head_size}; "
                "use learned ones"
            )
        self.position = nn.Embedding(positions, config.hidden_size) if positions else None
        self.embedding_norm = new_norm(config)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.blocks = nn.ModuleList(DecoderBlock(config) for _ in range(num_layers))
        self.norm = new_norm(config)
        initialize(self, config.initializer_range)

    @property
    def stack(self) -> list[DecoderBlock]:
        """The blocks, the lowest first."""
        return [block for block in self.blocks if isinstance(block, DecoderBlock)]

    def forward(self, tokens_TD: Tensor, layout: Layout, memory: Memory) -> Tensor:
        """Return the hidden states (T, D) of whole targets, in the memory's dtype.

        tokens (T, D) are rows of the token table. Raises InputError where a target is longer than the
        learned positions.
        """
        hidden_TD, angles = self.embed(tokens_TD.to(memory.rows_U.dtype), layout.positions)
        for block in self.stack:
            hidden_TD = block(hidden_TD, layout, block.cross_attention.remember(memory), angles)
        normed_TD: Tensor = self.norm(hidden_TD)
        return normed_TD

    def start(self, memory: Memory, beams: int = 1) -> State:
        """Return the state before the first token, for `beams` sequences of each source."""
        return State(tuple(block.cross_attention.remember(memory) for block in self.stack), (), beams)

    def step(self, tokens_ND: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the hidden states (N, D) of one more token of each sequence, and the state with them."""
        layout = state.layout
        places_N = layout.positions.new_full((layout.tokens,), state.place)
        hidden_ND, angles = self.embed(tokens_ND.to(state.remembered[0].rows_U.dtype), places_N)
        caches = []
        for layer, block in enumerate(self.stack):
            before = state.caches[layer] if state.caches else None
            hidden_ND, cache = block.step(hidden_ND, layout, state.remembered[layer], angles, before)
            caches.append(cache)
        return self.norm(hidden_ND), replace(state, caches=tuple(caches))

    def embed(self, tokens_TD: Tensor, places_T: Tensor) -> tuple[Tensor, Angles | None]:
        """Return the first hidden states, and the angles of the places where these are rotary."""
        if self.position is None:
            angles = rotary_angles(places_T, self.head_size, ROTARY_BASE)
            return self.dropout(self.embedding_norm(tokens_TD)), angles
        limit, longest = self.position.num_embeddings, int(places_T.max()) + 1 if len(places_T) else 0
        if longest > limit:
            raise InputError(f"a target has {longest} tokens, more than the {limit} positions here; cut it")
        hidden_TD = tokens_TD + self.position(places_T).to(tokens_TD.dtype)
        return self.dropout(self.embedding_norm(hidden_TD)), None


def new_norm(config: EncoderConfig) -> nn.Module:
    """Return a norm over the hidden channels, of the encoder's kind."""
    return make_norm(config.norm, config.hidden_size, config.layer_norm_eps, config.bias)
