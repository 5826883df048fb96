"""How the kernels are started: block sizes, grids, and tensors for what they write.

Everything takes and gives rows of heads, (T, H, K), that may be views of a packed (T, 3, H, K): only the last
two dimensions have to lie together.
"""

from dataclasses import dataclass, replace

import torch
import triton
from torch import Tensor

from minibert.kernels.attention.fused.backward import (
    attention_backward_kv,
    attention_backward_q,
    attention_delta,
)
from minibert.kernels.attention.fused.draws import threshold
from minibert.kernels.attention.fused.forward import attention_forward


@dataclass(frozen=True)
class Blocks:
    """How much one program does.

    rows     tokens that it answers for: queries, in the pass over keys keys
    columns  tokens on the other side that it takes at a time
    warps    how many groups of 32 threads share the work
    stages   how many loads run ahead
    """

    rows: int
    columns: int
    warps: int
    stages: int


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
    chosen = blocks or blocks_for(size, q_THK.dtype)
    output_THK = torch.empty((tokens, heads, size), dtype=q_THK.dtype, device=q_THK.device)
    lse_HT = torch.empty((heads, tokens), dtype=torch.float32, device=q_THK.device)
    queries, keys = sides
    attention_forward[(queries.tiles.shape[1], heads)](
        q_THK, k_UHK, v_UHK, output_THK, lse_HT, queries.borders, keys.borders, queries.tiles, seed,
        q_THK.stride(0), k_UHK.stride(0), v_UHK.stride(0), tokens, size**-0.5, rules.gain,
        QUERIES=chosen.rows, KEYS=chosen.columns, **_constants(heads, size, rules, chosen),
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
    blocks: Blocks | None = None,
) -> None:
    """Write the gradients of q, k and v, the three `inputs`, into `into`; `result` is what `forward` gave."""
    output_THK, lse_HT = result
    tokens, heads, size = grad_THK.shape
    chosen = blocks or blocks_for(size, grad_THK.dtype)
    constants = _constants(heads, size, rules, chosen)
    delta_HT = torch.empty_like(lse_HT)
    strides = [x.stride(0) for x in (*inputs, grad_THK)]
    numbers = (tokens, size**-0.5, rules.gain)
    attention_delta[(triton.cdiv(tokens, chosen.rows), heads)](
        output_THK, grad_THK, delta_HT, strides[3], tokens,
        HEADS=heads, SIZE=size, WIDTH=constants["WIDTH"], ROWS=chosen.rows, num_warps=chosen.warps,
    )  # fmt: skip
    dq, dk, dv = into
    shared = (*inputs, grad_THK, lse_HT, delta_HT)
    queries, keys = sides
    attention_backward_kv[(keys.tiles.shape[1], heads)](
        *shared, dk, dv, queries.borders, keys.borders, keys.tiles, seed,
        *strides, dk.stride(0), dv.stride(0), *numbers,
        KEYS=chosen.rows, QUERIES=chosen.columns, **_constants(heads, size, rules, one_stage(chosen)),
    )  # fmt: skip
    attention_backward_q[(queries.tiles.shape[1], heads)](
        *shared, dq, queries.borders, keys.borders, queries.tiles, seed,
        *strides, dq.stride(0), *numbers, QUERIES=chosen.rows, KEYS=chosen.columns, **constants,
    )  # fmt: skip


def blocks_for(head_size: int, dtype: torch.dtype) -> Blocks:
    """Return the block sizes for a head size; float32 needs small ones, or registers spill."""
    if dtype == torch.float32:
        return Blocks(16, 16, 4, 1) if head_size > 64 else Blocks(32, 32, 4, 1)
    return Blocks(64, 64, 4, 2)


def one_stage(blocks: Blocks) -> Blocks:
    """Return the blocks for the pass over keys: with loads ahead, ptxas serializes its products."""
    return replace(blocks, stages=1)


def _constants(heads: int, size: int, rules: Rules, blocks: Blocks) -> dict[str, int | bool]:
    return {
        "HEADS": heads,
        "SIZE": size,
        "WIDTH": max(16, triton.next_power_of_2(size)),
        "WINDOW": rules.window,
        "CAUSAL": rules.causal,
        "DROP": threshold(rules.dropout),
        "STAGES": blocks.stages,
        "num_warps": blocks.warps,
    }
