"""What an encoder is made of: the numbers that decide its shape, under Hugging Face's names.

Two recipes share one set of bricks:

- `bert` (Devlin et al., 2019): norm after each residual, learned positions, GELU, biases everywhere;
- `modernbert` (Warner et al., 2024): norm before each residual, rotary positions, gated GELU, no biases, and
  local attention except in every third layer.

The sizes tiny to base are those of BERT's miniatures (Turc et al., 2019, "Well-Read Students Learn Better").
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from minibert.config import from_dict, to_dict
from minibert.errors import InputError

SIZES = {  # name: (layers, hidden size)
    "tiny": (2, 128),
    "mini": (4, 256),
    "small": (4, 512),
    "medium": (8, 512),
    "base": (12, 768),
}
SIZE_FIELDS = (
    "vocab_size",
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "local_attention",
    "global_attn_every_n_layers",
)
OF_WEIGHTS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "embedding_size",
    "model_type",
    "hidden_act",
    "norm",
    "gated_mlp",
    "qk_norm",
    "bias",
    "type_vocab_size",
    "position_offset",
)  # with another value weights that are trained do not fit, or mean something else


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of an encoder.

    local_attention is the whole width of a local layer's window, half of it on each side; every layer whose
    number is a multiple of global_attn_every_n_layers sees the whole text.

    Three fields are for other people's checkpoints: embedding_size is the width of the tables where a
    projection follows them (ELECTRA; 0 is hidden_size), position_offset the row of a text's first place
    (RoBERTa), and tie_word_embeddings False gives the language-model head a table of its own.

    Raises InputError where two values do not go together.

    >>> EncoderConfig.preset("mini", vocab_size=8192).hidden_size
    256
    """

    vocab_size: int
    hidden_size: int = 256
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    intermediate_size: int = 1024
    model_type: Literal["bert", "modernbert"] = "bert"
    hidden_act: Literal["gelu", "gelu_tanh", "relu", "silu"] = "gelu"
    gated_mlp: bool = False
    norm: Literal["layernorm", "rmsnorm"] = "layernorm"
    qk_norm: bool = False
    bias: bool = True
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    global_rope_theta: float = 160_000.0
    local_rope_theta: float = 10_000.0
    local_attention: int = 128
    global_attn_every_n_layers: int = 1
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02
    pad_token_id: int = 0
    embedding_size: int = 0
    position_offset: int = 0
    tie_word_embeddings: bool = True

    def __post_init__(self) -> None:
        heads, hidden = self.num_attention_heads, self.hidden_size
        for name in SIZE_FIELDS:
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)} must be at least 1")
        if self.num_hidden_layers < 0 or self.type_vocab_size < 0:
            raise InputError(
                f"num_hidden_layers {self.num_hidden_layers} and type_vocab_size {self.type_vocab_size} "
                "must not be negative"
            )
        if self.embedding_size < 0 or not 0 <= self.position_offset < self.max_position_embeddings:
            raise InputError(
                f"embedding_size {self.embedding_size} must not be negative, and position_offset "
                f"{self.position_offset} must be a row below max_position_embeddings "
                f"{self.max_position_embeddings}"
            )
        if hidden % heads:
            lower, upper = hidden // heads * heads, (hidden // heads + 1) * heads
            nearest = f"{lower} or {upper}" if lower else str(upper)
            raise InputError(
                f"hidden_size {hidden} is not a multiple of num_attention_heads {heads}; use {nearest}"
            )
        if self.modern and (hidden // heads) % 2:
            raise InputError(
                f"rotary positions need an even head size; hidden_size / heads is {hidden // heads}"
            )
        for name in ("initializer_range", "layer_norm_eps", "global_rope_theta", "local_rope_theta"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} {getattr(self, name)} must be a number from 0 up")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)} must be in [0, 1)")

    @property
    def modern(self) -> bool:
        """Pre-norm and rotary positions rather than post-norm and learned ones."""
        return self.model_type == "modernbert"

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @property
    def embedding_width(self) -> int:
        """Channels of the embedding tables."""
        return self.embedding_size or self.hidden_size

    @property
    def longest_text(self) -> int:
        """Tokens that a text may have, control tokens included."""
        return self.max_position_embeddings - self.position_offset

    @property
    def fewest_weights(self) -> int:
        """A lower bound of the encoder's number of weights, made of the fields alone."""
        tables = self.vocab_size + self.type_vocab_size + (0 if self.modern else self.max_position_embeddings)
        layer = self.hidden_size * (4 * self.hidden_size + 2 * self.intermediate_size)
        return tables * self.embedding_width + self.num_hidden_layers * layer

    def window(self, layer: int) -> int | None:
        """Places that a token of this layer sees on either side, or None for all."""
        is_global = layer % self.global_attn_every_n_layers == 0
        return None if is_global else self.local_attention // 2

    def rope_theta(self, layer: int) -> float:
        """Base of this layer's rotary angles."""
        return self.global_rope_theta if self.window(layer) is None else self.local_rope_theta

    @staticmethod
    def preset(size: str, vocab_size: int, *, changes: dict[str, Any] | None = None) -> "EncoderConfig":
        """Return a named size: tiny, mini, small, medium, base, or one of them behind `modern-`.

        changes  fields that are to be otherwise, such as {"num_hidden_layers": 6}
        """
        recipe, _, name = size.rpartition("-")
        if name not in SIZES or size not in (name, f"modern-{name}"):
            known = ", ".join([*SIZES, *(f"modern-{known}" for known in SIZES)])
            raise InputError(f"size {size!r} is unknown; use one of {known}")
        layers, hidden = SIZES[name]
        config = EncoderConfig(
            vocab_size=vocab_size,
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=hidden // 64,
            intermediate_size=4 * hidden,
        )
        shape = (_modernize(config) if recipe else config).to_dict()
        return EncoderConfig.from_dict({**shape, **(changes or {})}, where="model")

    @staticmethod
    def from_dict(values: dict[str, Any], where: str = "config.json") -> "EncoderConfig":
        """Read what `to_dict` wrote; an unknown key is an error, never ignored."""
        return from_dict(EncoderConfig, values, where=where)

    def changed(self, changes: dict[str, Any], *, trained: bool = True) -> "EncoderConfig":
        """Return this shape with some fields otherwise.

        trained  there are weights: raises InputError for a change that makes them useless
        """
        for name in OF_WEIGHTS if trained else ():
            if name in changes and changes[name] != getattr(self, name):
                raise InputError(
                    f"model.{name} {changes[name]!r} cannot be changed beside a model, whose weights have "
                    f"{name} {getattr(self, name)!r}; leave it out, or begin with new weights (pretrain "
                    "--size, finetune --from-scratch)"
                )
        return EncoderConfig.from_dict({**self.to_dict(), **changes}, where="model")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values under Hugging Face's names."""
        return to_dict(self)


def _modernize(config: EncoderConfig) -> EncoderConfig:
    """Turn a classic shape into ModernBERT's recipe with about as many weights.

    The gate needs a second input matrix, so the inner width is two thirds, rounded up to a multiple of 64.
    """
    inner = -(-config.intermediate_size * 2 // 3 // 64) * 64
    return replace(
        config,
        model_type="modernbert",
        intermediate_size=inner,
        gated_mlp=True,
        bias=False,
        max_position_embeddings=1024,
        type_vocab_size=0,
        global_attn_every_n_layers=3,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        layer_norm_eps=1e-5,
    )
