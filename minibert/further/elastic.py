"""Elastic weight consolidation: weights that mattered before are held where they were.

After each part k, the diagonal of the Fisher information says how much each weight i mattered: the mean
square of the slope of log p(y | x), x being rows of the part and y drawn from what the model thinks of x.
While the next part is learnt, a spring holds each weight, as stiff as that::

    F_ki    = mean over rows of (d log p(y | x) / d theta_i)^2
    penalty = lambda / 2 sum_k sum_i F_ki (theta_i - theta_ki)^2

(Kirkpatrick et al., 2017, "Overcoming catastrophic forgetting in neural networks", equation 3.) Rows of a
head that grows have no spring until they have been learnt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from tqdm import tqdm

from minibert.packed import Packed
from minibert.tasks.model import Model
from minibert.tasks.task import Loss, Targets, Window
from minibert.training.objectives import Objective


@dataclass(frozen=True)
class Springs:
    """Where the weights were after a part, and how stiff each is held: tensors by the weight's name."""

    places: dict[str, Tensor]
    stiffness: dict[str, Tensor]

    def energy(self, model: nn.Module) -> Tensor:
        """Return sum_i F_i (theta_i - theta_i*)^2 / 2.

        >>> line = nn.Linear(1, 1, bias=False)
        >>> line.weight.data[:] = 5.0
        >>> Springs({"weight": torch.tensor([[2.0]])}, {"weight": torch.tensor([[4.0]])}).energy(line).item()
        18.0
        """
        weights = dict(model.named_parameters())
        total = next(iter(weights.values())).new_zeros(())
        for name, place in self.places.items():
            moved = weights[name][: len(place)] - place
            total = total + (self.stiffness[name] * moved.square()).sum() / 2
        return total


def fisher(model: Model, windows: Sequence[Window], *, seed: int = 0) -> Springs:
    """Return the springs of a model as it is, from the slopes of one window after the other."""
    model.eval()
    device = next(model.parameters()).device
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    sums = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    generator = torch.Generator().manual_seed(seed)
    for window in tqdm(windows, "fisher", unit="row", delay=3):
        batch, targets = model.task.collate([window], 0, 0, 0.0)
        logits_MC = model(batch.to(device), targets.to(device)).logits["loss"]
        drawn_M = torch.multinomial(logits_MC.softmax(-1).detach().cpu(), 1, generator=generator)[:, 0]
        told = nn.functional.cross_entropy(logits_MC, drawn_M.to(device), reduction="sum")
        slopes = torch.autograd.grad(told, list(weights.values()), allow_unused=True)
        for total, slope in zip(sums.values(), slopes, strict=True):
            if slope is not None:
                total += slope.square()
    count = max(1, len(windows))
    places = {name: weight.detach().clone() for name, weight in weights.items()}
    return Springs(places, {name: total / count for name, total in sums.items()})


def held_back(objective: Objective, model: Model, springs: Sequence[Springs], strength: float) -> Objective:
    """Add strength times the energy of all springs to the mean loss of a step, however it is cut up."""

    def loss(batch: Packed, targets: Targets) -> Loss:
        own = objective(batch, targets)
        energy = strength * torch.stack([part.energy(model) for part in springs]).sum()
        total = own.sums["loss"] + energy * own.counts["loss"]
        return replace(own, sums={**own.sums, "loss": total})

    return loss
