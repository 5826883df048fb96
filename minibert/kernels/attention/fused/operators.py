"""The kernels as operators that torch can differentiate, trace and compile around.

`packed_attention` is self-attention on the (T, 3, H, K) that the projection leaves; its gradient is one
tensor of that shape: nothing is copied or stacked. Short sequences take the one-tile kernels where the table
has some, forward and backward each for itself; all others the general ones. `attention` takes queries, keys
and values apart, for cross-attention. The compiler sees both, and their backward passes, as one opaque step
each. Nothing here depends on the lengths: one compiled step serves every packing of as many tokens in as many
sequences.

The caller holds the map of the batch's tiles (`tiles.py`), in tiles of `blocks_for("forward", ...).rows`.
"""

from typing import Any

import torch
from torch import Tensor

from minibert.kernels.attention.fused import launch
from minibert.kernels.attention.fused.launch import Angles, Rules, Side
from minibert.kernels.attention.fused.table import Blocks, arch_of, find


@torch.library.custom_op("minibert::packed_attention", mutates_args=())
def packed_attention(
    qkv_T3HK: Tensor,
    cu_seqlens: Tensor,
    tiles: Tensor,
    seed: Tensor,
    cos: Tensor | None,
    sin: Tensor | None,
    whole: int,
    window: int,
    causal: bool,
    dropout: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the output (T, H, K), lse (H, T) and, if need be, turned queries and keys (T, 2, H, K).

    cos, sin  (T, 1, K/2) float32: turn queries and keys by their places first
    whole     a number of tokens that no sequence exceeds (`table.WHOLE`), or 0: nothing is known
    """
    qkv_T3HK = qkv_T3HK.contiguous()
    rules, angles = Rules(window, causal, dropout), _angles(cos, sin)
    blocks = _one_tile("whole_forward", qkv_T3HK, whole)
    if blocks is not None:
        result = launch.whole_forward(qkv_T3HK, cu_seqlens, angles, seed=seed, rules=rules, blocks=blocks)
        return *result, qkv_T3HK.new_empty(0)
    q_THK, k_THK, v_THK = qkv_T3HK.unbind(1)
    turned = qkv_T3HK.new_empty(0)
    if angles is not None:
        turned = launch.turned(qkv_T3HK, angles)
        q_THK, k_THK = turned.unbind(1)
    sides = (Side(cu_seqlens, tiles),) * 2
    return *launch.forward(q_THK, k_THK, v_THK, sides, seed=seed, rules=rules), turned


@packed_attention.register_fake
def _(
    qkv_T3HK: Tensor,
    cu_seqlens: Tensor,
    tiles: Tensor,
    seed: Tensor,
    cos: Tensor | None,
    sin: Tensor | None,
    whole: int,
    window: int,
    causal: bool,
    dropout: float,
) -> tuple[Tensor, Tensor, Tensor]:
    tokens, _, heads, size = qkv_T3HK.shape
    apart = cos is not None and _one_tile("whole_forward", qkv_T3HK, whole) is None
    return (
        qkv_T3HK.new_empty(tokens, heads, size),
        qkv_T3HK.new_empty(heads, tokens, dtype=torch.float32),
        qkv_T3HK.new_empty((tokens, 2, heads, size) if apart else (0,)),
    )


@torch.library.custom_op("minibert::packed_attention_backward", mutates_args=())
def packed_attention_backward(
    grad_THK: Tensor,
    qkv_T3HK: Tensor,
    output_THK: Tensor,
    lse_HT: Tensor,
    turned: Tensor,
    cu_seqlens: Tensor,
    tiles: Tensor,
    seed: Tensor,
    cos: Tensor | None,
    sin: Tensor | None,
    whole: int,
    window: int,
    causal: bool,
    dropout: float,
) -> Tensor:
    """Return the gradient of qkv, (T, 3, H, K)."""
    qkv_T3HK, grad_THK = qkv_T3HK.contiguous(), grad_THK.contiguous()
    rules, angles, result = Rules(window, causal, dropout), _angles(cos, sin), (output_THK, lse_HT)
    blocks = _one_tile("whole_backward", qkv_T3HK, whole)
    if blocks is not None:
        return launch.whole_backward(
            grad_THK, qkv_T3HK, result, cu_seqlens, angles, seed=seed, rules=rules, blocks=blocks
        )
    q_THK, k_THK, v_THK = qkv_T3HK.unbind(1)
    if angles is not None:
        q_THK, k_THK = (turned if turned.numel() else launch.turned(qkv_T3HK, angles)).unbind(1)
    grad_T3HK = torch.empty_like(qkv_T3HK)
    dq_THK, dk_THK, dv_THK = grad_T3HK.unbind(1)
    launch.backward(
        grad_THK,
        (q_THK, k_THK, v_THK),
        result,
        (Side(cu_seqlens, tiles),) * 2,
        seed=seed,
        into=(dq_THK, dk_THK, dv_THK),
        rules=rules,
    )
    if angles is not None:
        launch.turn_back(grad_T3HK, angles)
    return grad_T3HK


@packed_attention_backward.register_fake
def _(grad_THK: Tensor, qkv_T3HK: Tensor, *rest: Any) -> Tensor:
    return qkv_T3HK.new_empty(qkv_T3HK.shape)


def _keep_packed(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    qkv_T3HK, cu_seqlens, tiles, seed, cos, sin, *rules = inputs
    ctx.save_for_backward(qkv_T3HK, *output, cu_seqlens, tiles, seed, cos, sin)
    ctx.mark_non_differentiable(*output[1:])
    ctx.rules = rules


def _packed_gradient(ctx: Any, grad_THK: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    return packed_attention_backward(grad_THK, *ctx.saved_tensors, *ctx.rules), *[None] * 9


packed_attention.register_autograd(_packed_gradient, setup_context=_keep_packed)


def _one_tile(kernel: str, qkv_T3HK: Tensor, whole: int) -> Blocks | None:
    """Return the blocks of a one-tile kernel, or None where none is made for these numbers."""
    # A number even where torch traces with unknown shapes: kernels depend on it.
    size = int(qkv_T3HK.shape[3])
    arch = arch_of(qkv_T3HK.device)
    return None if size % 2 else find(kernel, size, qkv_T3HK.dtype, arch, whole=int(whole))


def _angles(cos: Tensor | None, sin: Tensor | None) -> Angles | None:
    return None if cos is None or sin is None else (cos, sin)


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
