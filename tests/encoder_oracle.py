"""The modern encoder for one sequence, written a second time: from named weights, in float64."""

import math

import torch
from torch import Tensor

from minibert.model.config import EncoderConfig


def modern_hidden(config: EncoderConfig, weights: dict[str, Tensor], ids: Tensor) -> Tensor:
    """Return the hidden states (S, D) of one sequence."""
    w = {name: tensor.detach().double() for name, tensor in weights.items()}
    x = normed(config, w, "embeddings.norm", w["embeddings.token.weight"][ids])
    for layer in range(config.num_hidden_layers):
        block = f"blocks.{layer}."
        inner = x if layer == 0 else normed(config, w, block + "attention_norm", x)
        x = x + attended(config, w, layer, inner)
        inner = normed(config, w, block + "feed_forward_norm", x)
        wide = inner @ w[block + "feed_forward.input.weight"].T
        half = config.intermediate_size
        gelu = 0.5 * wide[:, :half] * (1 + torch.erf(wide[:, :half] / math.sqrt(2)))
        x = x + (gelu * wide[:, half:]) @ w[block + "feed_forward.output.weight"].T
    return normed(config, w, "norm", x)


def normed(config: EncoderConfig, w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    if config.norm == "layernorm":
        x = x - x.mean(-1, keepdim=True)
    return x / (x.square().mean(-1, keepdim=True) + config.layer_norm_eps).sqrt() * w[name + ".weight"]


def attended(config: EncoderConfig, w: dict[str, Tensor], layer: int, x: Tensor) -> Tensor:
    name, size = f"blocks.{layer}.attention.", config.hidden_size // config.num_attention_heads
    is_global = layer % config.global_attn_every_n_layers == 0
    base = config.global_rope_theta if is_global else config.local_rope_theta
    places = torch.arange(len(x))
    outputs = []
    for head in range(config.num_attention_heads):
        q, k, v = (
            x @ w[name + "qkv.weight"][part * config.hidden_size + head * size :][:size].T
            for part in range(3)
        )
        if config.qk_norm:
            q, k = (
                y / (y.square().mean(-1, keepdim=True) + 1e-6).sqrt() * w[f"{name}{which}_norm.weight"]
                for which, y in (("q", q), ("k", k))
            )
        q, k = turned(q, base), turned(k, base)
        scores = q @ k.T / math.sqrt(size)
        if not is_global:
            apart = (places - places[:, None]).abs()
            scores = scores.masked_fill(apart > config.local_attention // 2, -math.inf)
        outputs.append(scores.softmax(-1) @ v)
    return torch.cat(outputs, -1) @ w[name + "output.weight"].T


def turned(x: Tensor, base: float) -> Tensor:
    """Turn points of the plane as complex numbers."""
    half = x.shape[-1] // 2
    angle = torch.arange(len(x))[:, None] * base ** (-torch.arange(half).double() / half)
    points = torch.complex(x[:, :half], x[:, half:]) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([points.real, points.imag], -1)
