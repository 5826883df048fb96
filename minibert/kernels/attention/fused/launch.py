"""How the kernels are started: grids, strides, and tensors for what they write.

`forward` and `backward` take and give rows of heads, (T, H, K), that may be views of a packed (T, 3, H, K):
only the last two dimensions have to lie together. `whole_forward` and `whole_backward` take the packed tensor
itself; so does `turned`.
"""

from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from minibert.kernels.attention.fused import whole
from minibert.kernels.attention.fused.backward import (
    attention_backward_kv,
    attention_backward_q,
    attention_delta,
)
from minibert.kernels.attention.fused.draws import threshold
from minibert.kernels.attention.fused.forward import attention_forward
from minibert.kernels.attention.fused.table import Blocks, blocks_for
from minibert.kernels.attention.fused.turn import turn_rows

Angles = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Side:
    """The queries or the keys: where each sequence begins, (N + 1,) int32, and the map of its tiles."""

    borders: Tensor
    tiles: Tensor


@dataclass(frozen=True)
class Rules:
    """Who sees whom, and which weights are dropped; window -1 is none."""

    window: int
    causal: bool
    dropout: float

    @property
    def gain(self) -> float:
        """What a kept weight is multiplied by."""
        return 1 / (1 - self.dropout) if self.dropout < 1 else 0.0


def forward(
    q_THK: Tensor,
    k_UHK: Tensor,
    v_UHK: Tensor,
    sides: tuple[Side, Side],
    *,
    seed: Tensor,
    rules: Rules,
    blocks: Blocks | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the output (T, H, K) and lse (H, T), which is to the base 2.

    sides  of the queries and of the keys; the tiles have `blocks.rows` tokens
    seed   (1,) int64 on the device; decides what dropout drops
    """
    tokens, heads, size = q_THK.shape
    chosen = blocks or blocks_for("forward", size, q_THK)
    output_THK, lse_HT = results_for(q_THK)
    queries, keys = sides
    attention_forward[(queries.tiles.shape[1], heads)](
        q_THK, k_UHK, v_UHK, output_THK, lse_HT, queries.borders, keys.borders, queries.tiles, seed,
        q_THK.stride(0), k_UHK.stride(0), v_UHK.stride(0), tokens, size**-0.5, rules.gain,
        SIZE=size, QUERIES=chosen.rows, KEYS=chosen.columns, STAGES=chosen.stages,
        **_constants(heads, size, rules, chosen),
    )  # fmt: skip
    return output_THK, lse_HT


def backward(
    grad_THK: Tensor,
    inputs: tuple[Tensor, Tensor, Tensor],
    result: tuple[Tensor, Tensor],
    sides: tuple[Side, Side],
    *,
    seed: Tensor,
    into: tuple[Tensor, Tensor, Tensor],
    rules: Rules,
    blocks: tuple[Blocks, Blocks] | None = None,
) -> None:
    """Write the gradients of q, k and v, the three `inputs`, into `into`; `result` is what `forward` gave.

    blocks  of the passes over keys and over queries, with the same number of rows
    """
    output_THK, lse_HT = result
    tokens, heads, size = grad_THK.shape
    over_keys, over_queries = blocks or (
        blocks_for("backward_kv", size, grad_THK),
        blocks_for("backward_q", size, grad_THK),
    )
    delta_HT = torch.empty_like(lse_HT)
    strides = [x.stride(0) for x in (*inputs, grad_THK)]
    numbers = (tokens, size**-0.5, rules.gain)
    rows, constants = over_queries.rows, _constants(heads, size, rules, over_queries)
    attention_delta[(triton.cdiv(tokens, rows), heads)](
        output_THK, grad_THK, delta_HT, strides[3], tokens,
        HEADS=heads, SIZE=size, WIDTH=constants["WIDTH"], ROWS=rows, num_warps=over_queries.warps,
    )  # fmt: skip
    dq, dk, dv = into
    shared = (*inputs, grad_THK, lse_HT, delta_HT)
    queries, keys = sides
    attention_backward_kv[(keys.tiles.shape[1], heads)](
        *shared, dk, dv, queries.borders, keys.borders, keys.tiles, seed,
        *strides, dk.stride(0), dv.stride(0), *numbers,
        SIZE=size, KEYS=over_keys.rows, QUERIES=over_keys.columns, STAGES=over_keys.stages,
        **_constants(heads, size, rules, over_keys),
    )  # fmt: skip
    attention_backward_q[(queries.tiles.shape[1], heads)](
        *shared, dq, queries.borders, keys.borders, queries.tiles, seed, *strides, dq.stride(0), *numbers,
        SIZE=size, QUERIES=rows, KEYS=over_queries.columns, STAGES=over_queries.stages,
        **constants,
    )  # fmt: skip


def whole_forward(
    qkv_T3HK: Tensor, borders: Tensor, angles: Angles | None, *, seed: Tensor, rules: Rules, blocks: Blocks
) -> tuple[Tensor, Tensor]:
    """Return output and lse of sequences that have at most `blocks.rows` tokens; angles are (T, K/2)."""
    tokens, _, heads, size = qkv_T3HK.shape
    output_THK, lse_HT = results_for(qkv_T3HK[:, 0])
    whole.whole_forward[(borders.shape[0] - 1, heads)](
        qkv_T3HK, output_THK, lse_HT, borders, seed, *(angles or (lse_HT, lse_HT)), tokens,
        size**-0.5, rules.gain, TURNED=angles is not None, KEYS=blocks.rows, QUERIES=blocks.columns,
        **halves(size), **_constants(heads, size, rules, blocks),
    )  # fmt: skip
    return output_THK, lse_HT


def whole_backward(
    grad_THK: Tensor,
    qkv_T3HK: Tensor,
    result: tuple[Tensor, Tensor],
    borders: Tensor,
    angles: Angles | None,
    *,
    seed: Tensor,
    rules: Rules,
    blocks: Blocks,
) -> Tensor:
    """Return the gradient of qkv, (T, 3, H, K), for sequences that have at most `blocks.rows` tokens."""
    tokens, _, heads, size = qkv_T3HK.shape
    output_THK, lse_HT = result
    into_T3HK = torch.empty_like(qkv_T3HK)
    whole.whole_backward[(borders.shape[0] - 1, heads)](
        qkv_T3HK, grad_THK, output_THK, lse_HT, into_T3HK, borders, seed, *(angles or (lse_HT, lse_HT)),
        tokens, size**-0.5, rules.gain, TURNED=angles is not None, QUERIES=blocks.rows, KEYS=blocks.columns,
        STAGES=blocks.stages, **halves(size), **_constants(heads, size, rules, blocks),
    )  # fmt: skip
    return into_T3HK


def turned(qkv_T3HK: Tensor, angles: Angles) -> Tensor:
    """Return the queries and keys of a packed tensor, turned by their places: (T, 2, H, K)."""
    into_T2HK = torch.empty_like(qkv_T3HK[:, :2], memory_format=torch.contiguous_format)
    _turn(qkv_T3HK, into_T2HK, angles, back=False)
    return into_T2HK


def turn_back(grad_T3HK: Tensor, angles: Angles) -> None:
    """Turn the gradients of queries and keys back where they lie."""
    _turn(grad_T3HK, grad_T3HK, angles, back=True)


def _turn(source: Tensor, into: Tensor, angles: Angles, *, back: bool) -> None:
    tokens, _, heads, size = source.shape
    turn_rows[(triton.cdiv(tokens, 32), 2 * heads)](
        source, into, *angles, source.stride(0), into.stride(0), tokens, BACK=back, ROWS=32, **halves(size)
    )


def results_for(q_THK: Tensor) -> tuple[Tensor, Tensor]:
    """Return memory for an output and its lse."""
    tokens, heads, _ = q_THK.shape
    output_THK = torch.empty(q_THK.shape, dtype=q_THK.dtype, device=q_THK.device)
    return output_THK, torch.empty((heads, tokens), dtype=torch.float32, device=q_THK.device)


def halves(size: int) -> dict[str, int]:
    """Return the constants of kernels that take a head as two halves."""
    return {"HALF": size // 2, "SPAN": max(16, triton.next_power_of_2(size // 2))}


def _constants(heads: int, size: int, rules: Rules, blocks: Blocks) -> dict[str, int | bool]:
    return {
        "HEADS": heads,
        "WIDTH": max(16, triton.next_power_of_2(size)),
        "WINDOW": rules.window,
        "CAUSAL": rules.causal,
        "DROP": threshold(rules.dropout),
        "num_warps": blocks.warps,
    }
