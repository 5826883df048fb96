"""LoRA: the change of a matrix is a product of two thin ones (Hu et al., 2021, section 4.1).

    y = W x + alpha / R * B A x            A: R x D, drawn at random    B: F x R, zero at the start

W stays as it is; A and B are trained. At the end W + alpha / R * B A is a plain matrix again.

Here one layer gives queries, keys and values, one below the other; in `peft`, and in the paper, these are
three layers. So it has *parts*, "query", "key" and "value", each with an A and a B of its own for its rows of
the output; all of it is called "qkv". Other layers have one part, "whole".

Letters: T tokens, D inputs of the layer, F its outputs, R rank.
Left out: other inits and scales (rsLoRA, DoRA), adapters of tables.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from minibert.adapt.hooks import CHILD, attach
from minibert.adapt.options import AdaptOptions
from minibert.errors import InputError
from minibert.model.attention import MultiHeadAttention
from minibert.model.encoder import Encoder
from minibert.model.linear import Dropout, Linear
from minibert.model.names import matching, patterns_of

QKV = ("query", "key", "value")
WHOLE = "whole"
ALL_LINEAR = "all-linear"


class LowRank(nn.Module):
    """scale * B A x; `down` is A and `up` is B."""

    def __init__(self, inputs: int, outputs: int, *, rank: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.scale = scale
        self.dropout = Dropout(dropout)
        self.down = Linear(inputs, rank, bias=False)
        self.up = Linear(rank, outputs, bias=False)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        nn.init.zeros_(self.up.weight)

    def forward(self, x_TD: Tensor) -> Tensor:
        update_TF: Tensor = self.up(self.down(self.dropout(x_TD)))
        return self.scale * update_TF

    @torch.no_grad()
    def change(self) -> Tensor:
        """Return what merging adds to the matrix, (F, D)."""
        return self.scale * (self.up.weight @ self.down.weight)


class LowRankParts(nn.Module):
    """What is added to the rows of a layer's parts."""

    def __init__(self, layer: nn.Linear, parts: Sequence[str], options: AdaptOptions) -> None:
        super().__init__()
        rows = layer.out_features if WHOLE in parts else layer.out_features // len(QKV)
        scale = options.lora_alpha / options.lora_rank
        self.outputs = layer.out_features
        for part in parts:
            self.add_module(
                part,
                LowRank(
                    layer.in_features,
                    rows,
                    rank=options.lora_rank,
                    scale=scale,
                    dropout=options.lora_dropout,
                ),
            )

    @property
    def parts(self) -> dict[str, LowRank]:
        """The update of each part by its name."""
        return {name: part for name, part in self.named_children() if isinstance(part, LowRank)}

    def forward(self, x_TD: Tensor, y_TF: Tensor) -> Tensor:
        if WHOLE in self.parts:
            return y_TF + self.parts[WHOLE](x_TD)
        sections = dict(zip(QKV, y_TF.chunk(len(QKV), dim=-1), strict=True))
        for name, part in self.parts.items():
            sections[name] = sections[name] + part(x_TD)
        return torch.cat([*sections.values()], dim=-1)

    def change(self) -> Tensor:
        """Return what merging adds to the layer's matrix, (F, D)."""
        changes = {name: part.change() for name, part in self.parts.items()}
        if WHOLE in changes:
            return changes[WHOLE]
        nothing = torch.zeros_like(next(iter(changes.values())))
        return torch.cat([changes.get(name, nothing) for name in QKV])


def layers_of(encoder: Encoder) -> dict[str, nn.Linear]:
    """Return the linear layers of an encoder's blocks by their dotted names."""
    return {
        name: module
        for name, module in encoder.named_modules()
        if isinstance(module, nn.Linear) and name.startswith("blocks.") and CHILD not in name.split(".")
    }


def targets(encoder: Encoder, wanted: str) -> dict[str, tuple[str, ...]]:
    """Return the layers that patterns name, each with its parts.

    Raises InputError for a pattern that names none, with the nearest names.

    >>> from minibert.model.config import EncoderConfig
    >>> encoder = Encoder(EncoderConfig.preset("tiny", vocab_size=100))
    >>> targets(encoder, "blocks.1.attention.output, blocks.0.attention.query")
    {'blocks.0.attention.qkv': ('query',), 'blocks.1.attention.output': ('whole',)}
    """
    layers = layers_of(encoder)
    fused = {
        name + ".qkv" for name, module in encoder.named_modules() if isinstance(module, MultiHeadAttention)
    }
    if wanted == ALL_LINEAR:
        return dict.fromkeys(layers, (WHOLE,))
    spelled = {
        f"{layer.removesuffix('qkv')}{part}": (layer, part)
        for layer in layers
        if layer in fused
        for part in QKV
    }
    patterns = patterns_of(wanted)
    if not patterns:
        raise InputError("lora_target_modules is empty; name layers, such as query,value, or all-linear")
    named = matching([*layers, *spelled], patterns, setting="lora_target_modules")
    found: dict[str, tuple[str, ...]] = {}
    for layer in layers:
        parts = tuple(part for name, (owner, part) in spelled.items() if owner == layer and name in named)
        if layer in named or parts:
            found[layer] = (WHOLE,) if layer in named else parts
    return found


def patterns_for(encoder: Encoder, wanted: Mapping[str, tuple[str, ...]]) -> str:
    """Return patterns that name these layers and parts and no others: without their numbers, if that will do.

    >>> from minibert.model.config import EncoderConfig
    >>> encoder = Encoder(EncoderConfig.preset("tiny", vocab_size=100))
    >>> patterns_for(encoder, targets(encoder, "query,feed_forward.input"))
    'attention.query,feed_forward.input'
    """
    names = [
        layer if part == WHOLE else layer.removesuffix("qkv") + part
        for layer, parts in wanted.items()
        for part in parts
    ]
    short = ",".join(dict.fromkeys(name.split(".", 2)[2] for name in names))
    return short if targets(encoder, short) == dict(wanted) else ",".join(names)


def add_lora(encoder: Encoder, options: AdaptOptions) -> None:
    """Give the layers that the options name their updates, which change nothing yet."""
    add_updates(encoder, targets(encoder, options.lora_target_modules), options)


def add_updates(encoder: Encoder, wanted: Mapping[str, tuple[str, ...]], options: AdaptOptions) -> None:
    """Give these layers updates of these parts."""
    layers = layers_of(encoder)
    for name, parts in wanted.items():
        attach(layers[name], LowRankParts(layers[name], parts, options))


def updates_of(encoder: Encoder) -> Mapping[str, LowRankParts]:
    """Return the updates of an encoder by the dotted name of their layer."""
    return {
        name.removesuffix(f".{CHILD}"): module
        for name, module in encoder.named_modules()
        if isinstance(module, LowRankParts)
    }
