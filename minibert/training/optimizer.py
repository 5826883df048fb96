"""Which weights are updated, by which rule, at which rate.

AdamW (Loshchilov and Hutter, 2019) keeps a running mean m and square v of each gradient g::

    w <- w - rate * (m / (sqrt(v) + eps) + decay * w)

Vectors (biases, norms) are not decayed. Layer-wise rates shrink towards the input. Muon (Jordan et al., 2024)
makes the update of a hidden matrix orthogonal; all other weights stay with AdamW. The rules themselves are
torch's; this file decides who gets which.
"""

import re
from typing import Any

from torch import Tensor, nn
from torch.optim import SGD, AdamW, Muon, Optimizer

from minibert.distributed.sharding import shard_moments
from minibert.errors import InputError
from minibert.training.config import TrainingConfig


class Optimizers:
    """One or two optimisers behind one `step`; every group knows its peak rate."""

    def __init__(self, parts: list[Optimizer]) -> None:
        self.parts = parts
        for group in self.groups:
            group["peak"] = group["lr"]

    @property
    def groups(self) -> list[dict[str, Any]]:
        return [group for part in self.parts for group in part.param_groups]

    @property
    def weights(self) -> list[Tensor]:
        """Everything that is trained."""
        return [weight for group in self.groups for weight in group["params"]]

    def set_rate(self, share: float) -> None:
        """Give every group this share of its peak rate."""
        for group in self.groups:
            group["lr"] = group["peak"] * share

    def step(self) -> None:
        for part in self.parts:
            part.step()
        self.zero_grad()

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Go on where `state_dict` was taken; raises InputError where that was of another rule."""
        for part, state in zip(self.parts, states, strict=True):
            if part.param_groups[0].keys() != state["param_groups"][0].keys():
                raise InputError(f"the state is of another optimizer than {type(part).__name__}")
            part.load_state_dict(state)
        shard_moments(self.parts)


def depth_of(name: str, layers: int) -> int:
    """Return 0 for the embeddings, 1 .. layers for the blocks, layers + 1 for what is above.

    >>> [depth_of(name, 4) for name in ("encoder.embeddings.x", "encoder.blocks.2.x", "task.x")]
    [0, 3, 5]
    """
    block = re.match(r"encoder\.blocks\.(\d+)\.", name)
    if block:
        return int(block.group(1)) + 1
    return 0 if name.startswith("encoder.embeddings.") else layers + 1


def make_optimizers(model: nn.Module, layers: int, config: TrainingConfig) -> Optimizers:
    """Sort the model's weights into groups and give each its rule."""
    adam, muon = [], []
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            continue
        depth = depth_of(name, layers)
        scale = config.layerwise_lr_decay ** (layers + 1 - depth)
        decay = config.weight_decay if weight.ndim > 1 else 0.0
        if config.optim == "muon" and weight.ndim == 2 and 0 < depth <= layers:
            muon.append({"params": [weight], "lr": config.muon_learning_rate * scale, "weight_decay": decay})
        else:
            adam.append({"params": [weight], "lr": config.learning_rate * scale, "weight_decay": decay})
    if not adam and not muon:
        raise InputError("every weight is frozen: nothing can be trained")
    parts: list[Optimizer] = [_first_order(_merge(adam), config)] if adam else []
    if muon:
        parts.append(Muon(_merge(muon), momentum=config.momentum))
    return Optimizers(parts)


def _first_order(groups: list[dict[str, Any]], config: TrainingConfig) -> Optimizer:
    if config.optim == "sgd":
        fused = not config.gradual_unfreezing  # fused SGD wants the momentum of all weights or of none
        return SGD(groups, momentum=config.momentum, fused=fused)
    betas = (config.adam_beta1, config.adam_beta2)
    return AdamW(groups, betas=betas, eps=config.adam_epsilon, fused=True)


def _merge(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join groups that have the same rate and decay."""
    merged: dict[tuple[float, float], dict[str, Any]] = {}
    for group in groups:
        key = (group["lr"], group["weight_decay"])
        merged.setdefault(key, {**group, "params": []})["params"] += group["params"]
    return list(merged.values())
