"""A model that is kept in pieces: each of W processes holds a W-th of every weight (FSDP2; "ZeRO-3").

Rajbhandari et al., 2020, "ZeRO"; Zhao et al., 2023, "PyTorch FSDP". Weights, gradients and the optimiser's
two moments, 16 bytes for a weight in float32, become 16 / W. Before a block computes, forward or backward,
its pieces are gathered from all processes, and let go afterwards; gradients are summed where their piece
lives.

    whole model    16 P bytes                   2 P values sent by each process in a step
    in pieces      16 P / W, and one block      3 P for each micro-batch of a process

Embeddings and heads, which share the token table, are gathered once for a whole pass. As every gathering
needs everybody, all processes have to make the same number of passes.

Left out: pieces in bfloat16, offloading to the CPU, pieces within one machine and copies across machines.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from minibert.distributed.pieces import is_piece
from minibert.distributed.ranks import Ranks
from minibert.errors import InputError


def lay_out(model: nn.Module, ranks: Ranks, device: torch.device, *, shards: bool) -> None:
    """Bring a model to its device with the weights of the first process: whole, or each process a piece.

    Raises InputError for pieces where there is one process.
    """
    ranks.spread(model)
    if shards:
        if ranks.size == 1:
            raise InputError(
                "fsdp divides a model among processes, and this is one; start several with torchrun, "
                "or leave it out"
            )
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import FSDPModule, fully_shard

        mesh = init_device_mesh(device.type, (ranks.size,))
        blocks = [part for parts in model.modules() if isinstance(parts, nn.ModuleList) for part in parts]
        for part in (*blocks, model):
            fully_shard(part, mesh=mesh)
        for part in model.modules():
            if isinstance(part, FSDPModule):  # our losses are divided already: gradients are sums
                part.set_gradient_divide_factor(1.0)
                part.set_force_sum_reduction_for_comms(True)
    model.to(device)


def is_sharded(model: nn.Module) -> bool:
    """Whether a model is kept in pieces."""
    return any(is_piece(weight) for weight in model.parameters())


def clip(weights: Iterable[Tensor], limit: float) -> float:
    """Scale gradients down to this length together, 0 for no limit; return the length that they had.

    >>> weight = torch.nn.Parameter(torch.zeros(2))
    >>> weight.grad = torch.tensor([3.0, 4.0])
    >>> clip([weight], 1.0), weight.grad
    (5.0, tensor([0.6000, 0.8000]))
    """
    norm = nn.utils.clip_grad_norm_(weights, limit or math.inf)
    return float(norm.full_tensor() if is_piece(norm) else norm)


def whole(value: Any, *, keep: bool = True) -> Any:
    """Return a state of plain values and tensors with whole tensors, on the CPU, where it has pieces.

    Every process has to ask. keep False gathers for the others, and keeps None.
    """
    if is_piece(value):
        gathered = value.full_tensor()
        return gathered.cpu() if keep else None
    if isinstance(value, dict):
        return {key: whole(part, keep=keep) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [whole(part, keep=keep) for part in value]
    return value


def like(tensor: Tensor, weight: Tensor) -> Tensor:
    """Return a whole tensor as `weight` is: on its device, and this process's piece where that is one."""
    tensor = tensor.to(weight.device)
    if not is_piece(weight):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor, weight.device_mesh, weight.placements, src_data_rank=None)


def shard_moments(parts: Sequence[Optimizer]) -> None:
    """Cut the moments that optimisers have loaded as their weights are cut."""
    for part in parts:
        for weight, moments in part.state.items():
            for name, value in moments.items():
                if isinstance(value, Tensor) and value.shape == weight.shape:
                    moments[name] = value if is_piece(value) else like(value, weight)
