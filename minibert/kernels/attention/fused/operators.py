"""The kernels as operators that torch can differentiate, trace and compile around.

`packed_attention` is self-attention on the (T, 3, H, K) that the projection leaves; its gradient is one
tensor of that shape, written in place: nothing is copied or stacked. `attention` takes queries, keys and
values apart, for cross-attention. The compiler sees both, and their backward passes, as one opaque step each.

The caller holds the map of the batch's tiles (`tiles.py`), in tiles of `blocks_for(...).rows` tokens.
"""

from typing import Any

import torch
from torch import Tensor

from minibert.kernels.attention.fused import launch
from minibert.kernels.attention.fused.launch import Rules, Side


@torch.library.custom_op("minibert::packed_attention", mutates_args=())
def packed_attention(
    qkv_T3HK: Tensor,
    cu_seqlens: Tensor,
    tiles: Tensor,
    seed: Tensor,
    window: int,
    causal: bool,
    dropout: float,
) -> tuple[Tensor, Tensor]:
    """Return the output (T, H, K) and lse (H, T)."""
    q_THK, k_THK, v_THK = qkv_T3HK.unbind(1)
    rules = Rules(window, causal, dropout)
    return launch.forward(q_THK, k_THK, v_THK, (Side(cu_seqlens, tiles),) * 2, seed=seed, rules=rules)


@packed_attention.register_fake
def _(
    qkv_T3HK: Tensor,
    cu_seqlens: Tensor,
    tiles: Tensor,
    seed: Tensor,
    window: int,
    causal: bool,
    dropout: float,
) -> tuple[Tensor, Tensor]:
    tokens, _, heads, size = qkv_T3HK.shape
    return qkv_T3HK.new_empty(tokens, heads, size), qkv_T3HK.new_empty(heads, tokens, dtype=torch.float32)


@torch.library.custom_op("minibert::packed_attention_backward", mutates_args=())
def packed_attention_backward(
    grad_THK: Tensor,
    qkv_T3HK: Tensor,
    output_THK: Tensor,
    lse_HT: Tensor,
    cu_seqlens: Tensor,
    tiles: Tensor,
    seed: Tensor,
    window: int,
    causal: bool,
    dropout: float,
) -> Tensor:
    """Return the gradient of qkv, (T, 3, H, K)."""
    grad_qkv_T3HK = torch.empty_like(qkv_T3HK)
    q_THK, k_THK, v_THK = qkv_T3HK.unbind(1)
    dq_THK, dk_THK, dv_THK = grad_qkv_T3HK.unbind(1)
    launch.backward(
        grad_THK.contiguous(),
        (q_THK, k_THK, v_THK),
        (output_THK, lse_HT),
        (Side(cu_seqlens, tiles),) * 2,
        seed=seed,
        into=(dq_THK, dk_THK, dv_THK),
        rules=Rules(window, causal, dropout),
    )
    return grad_qkv_T3HK


@packed_attention_backward.register_fake
def _(grad_THK: Tensor, qkv_T3HK: Tensor, *rest: Any) -> Tensor:
    return torch.empty_like(qkv_T3HK)


def _keep_packed(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    qkv_T3HK, cu_seqlens, tiles, seed, *rules = inputs
    ctx.save_for_backward(qkv_T3HK, *output, cu_seqlens, tiles, seed)
    ctx.mark_non_differentiable(output[1])
    ctx.rules = rules


def _packed_gradient(ctx: Any, grad_THK: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    return packed_attention_backward(grad_THK, *ctx.saved_tensors, *ctx.rules), *[None] * 6


packed_attention.register_autograd(_packed_gradient, setup_context=_keep_packed)


@torch.library.custom_op("minibert::attention", mutates_args=())
def attention(
    q_THK: Tensor,
    k_UHK: Tensor,
    v_UHK: Tensor,
    q_borders: Tensor,
    k_borders: Tensor,
    q_tiles: Tensor,
    k_tiles: Tensor,
    seed: Tensor,
    window: int,
    causal: bool,
    dropout: float,
) -> tuple[Tensor, Tensor]:
    """Return the output (T, H, K) and lse (H, T)."""
    inputs = (_rows(q_THK), _rows(k_UHK), _rows(v_UHK))
    sides = (Side(q_borders, q_tiles), Side(k_borders, k_tiles))
    return launch.forward(*inputs, sides, seed=seed, rules=Rules(window, causal, dropout))


@attention.register_fake
def _(q_THK: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    tokens, heads, _ = q_THK.shape
    return torch.empty_like(q_THK), q_THK.new_empty(heads, tokens, dtype=torch.float32)


@torch.library.custom_op("minibert::attention_backward", mutates_args=())
def attention_backward(
    grad_THK: Tensor,
    q_THK: Tensor,
    k_UHK: Tensor,
    v_UHK: Tensor,
    output_THK: Tensor,
    lse_HT: Tensor,
    q_borders: Tensor,
    k_borders: Tensor,
    q_tiles: Tensor,
    k_tiles: Tensor,
    seed: Tensor,
    window: int,
    causal: bool,
    dropout: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of q, k and v."""
    inputs = (_rows(q_THK), _rows(k_UHK), _rows(v_UHK))
    dq_THK, dk_UHK, dv_UHK = (torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in inputs)
    launch.backward(
        grad_THK.contiguous(),
        inputs,
        (output_THK, lse_HT),
        (Side(q_borders, q_tiles), Side(k_borders, k_tiles)),
        seed=seed,
        into=(dq_THK, dk_UHK, dv_UHK),
        rules=Rules(window, causal, dropout),
    )
    return dq_THK, dk_UHK, dv_UHK


@attention_backward.register_fake
def _(grad_THK: Tensor, q_THK: Tensor, k_UHK: Tensor, v_UHK: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    return tuple(x.new_empty(x.shape) for x in (q_THK, k_UHK, v_UHK))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    q_THK, k_UHK, v_UHK, *places, seed, window, causal, dropout = inputs
    ctx.save_for_backward(q_THK, k_UHK, v_UHK, *output, *places, seed)
    ctx.mark_non_differentiable(output[1])
    ctx.rules = (window, causal, dropout)


def _gradient(ctx: Any, grad_THK: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    return *attention_backward(grad_THK, *ctx.saved_tensors, *ctx.rules), *[None] * 8


attention.register_autograd(_gradient, setup_context=_keep)


def _rows(x_THK: Tensor) -> Tensor:
    """Return x with its last two dimensions lying together."""
    return x_THK if x_THK.stride()[1:] == (x_THK.shape[2], 1) else x_THK.contiguous()
