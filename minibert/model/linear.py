"""Linear layers, norms and dropout that compute in the dtype of what comes in.

Weights stay in float32, where small updates are not lost; the hidden states' dtype decides the arithmetic. So
one cast of the embeddings' output makes the whole encoder run in bfloat16, and nothing is cast back and
forth.

Layer norm: Ba et al., 2016. RMS norm: Zhang and Sennrich, 2019.
"""

import torch
from torch import Tensor, nn

from minibert.kernels.dropout import dropout
from minibert.kernels.round_rows import filled


class Linear(nn.Linear):
    """y = x W' + b in the dtype of x; a number of rows that is not round may be filled up on the way."""

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(x.dtype)
        rows = filled(x)
        y = nn.functional.linear(rows, self.weight.to(x.dtype), bias)
        return y if rows is x else y[: len(x)]


class LayerNorm(nn.LayerNorm):
    """(x - mean) / sqrt(variance + eps) * weight + bias in the dtype of x."""

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return nn.functional.layer_norm(x, self.normalized_shape, self.weight.to(x.dtype), bias, self.eps)


class RMSNorm(nn.RMSNorm):
    """x / sqrt(mean(x^2) + eps) * weight in the dtype of x."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


class Dropout(nn.Dropout):
    """Each value dropped with probability p while training, the others divided by 1 - p."""

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p if self.training else 0.0)


def make_norm(kind: str, size: int, eps: float, bias: bool) -> nn.Module:
    """Return a layer norm or an RMS norm over the last dimension."""
    if kind == "rmsnorm":
        return RMSNorm(size, eps=eps)
    return LayerNorm(size, eps=eps, bias=bias)


def initialize(module: nn.Module, spread: float) -> None:
    """Draw all matrices and tables from N(0, spread^2); biases start at 0 and norms at 1, as in BERT."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.normal_(part.weight, std=spread)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)


def activation(name: str, x: Tensor) -> Tensor:
    """Apply an activation function by its Hugging Face name."""
    if name == "gelu":
        return nn.functional.gelu(x)
    if name == "gelu_tanh":
        return nn.functional.gelu(x, approximate="tanh")
    return torch.relu(x) if name == "relu" else nn.functional.silu(x)
