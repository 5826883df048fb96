"""What a step minimises, as functions (batch, targets) -> Loss around the task's own loss.

R-Drop (Wu et al., 2021, "Regularized Dropout for Neural Networks") asks twice, with other dropout, and wants
the two answers alike::

    loss = (loss_1 + loss_2) / 2 + alpha (KL(p_1 | p_2) + KL(p_2 | p_1)) / 2

Adversarial training (Miyato et al., 2017, "Adversarial Training Methods for Semi-Supervised Text
Classification"; "FGM") asks again with the token vectors v of each text moved, by the length epsilon, to
where the loss grows fastest::

    loss = (loss(v) + loss(v + epsilon g / |g|)) / 2        g = d loss / d v

Means instead of the papers' sums keep losses comparable; alpha is half of the paper's. |g| is taken over one
text, so a text is moved alike in every batch, and accumulation stays exact.

Letters: T tokens, N texts, M rows that are asked, C classes, D channels of the token table.
Left out: normed token vectors, several moves (projected gradient descent), virtual adversarial training.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from minibert.errors import InputError
from minibert.packed import Layout, Packed
from minibert.tasks.model import Model
from minibert.tasks.task import Loss, Targets
from minibert.training.config import TrainingConfig

Objective = Callable[[Packed, Targets], Loss]


def objective_of(model: Model, forward: Objective, config: TrainingConfig) -> Objective:
    """Wrap the forward pass of a model in what the config asks for.

    Raises InputError for R-Drop where the task's loss tells no logits, and for FGM in a compiled model.
    """
    objective = forward
    if config.r_drop_alpha:
        if model.task.logits_of != "classes":
            raise InputError(
                f"r_drop_alpha {config.r_drop_alpha} compares how likely two passes find each class, and the "
                f"loss of {model.task.name} does not tell it; use 0"
            )
        objective = r_drop(objective, config.r_drop_alpha)
    if config.fgm_epsilon:
        if config.torch_compile:
            raise InputError(
                f"fgm_epsilon {config.fgm_epsilon} changes the forward pass from step to step, which "
                "torch_compile cannot follow; use one of the two"
            )
        objective = adversarial(objective, model.encoder.embeddings.token, config.fgm_epsilon)
    return objective


def r_drop(objective: Objective, alpha: float) -> Objective:
    """Return the mean of two passes, and alpha times how far their answers lie apart."""

    def loss(batch: Packed, targets: Targets) -> Loss:
        first, second = objective(batch, targets), objective(batch, targets)
        both = mean_of(first, second)
        sums = dict(both.sums)
        for name, logits in first.logits.items():
            apart = symmetric_divergence(logits, second.logits[name])
            sums[name] = sums[name] + alpha * apart.sum() / math.prod(apart.shape[1:])
        return replace(both, sums=sums)

    return loss


def symmetric_divergence(first_MC: Tensor, second_MC: Tensor) -> Tensor:
    """Return (KL(p | q) + KL(q | p)) / 2 of each row, p and q being the softmax of the two logits.

    >>> sure, unsure = torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]])
    >>> symmetric_divergence(sure, sure).item(), round(symmetric_divergence(sure, unsure).item(), 4)
    (0.0, 0.3808)
    """
    first_MC, second_MC = first_MC.log_softmax(-1), second_MC.log_softmax(-1)
    return 0.5 * ((first_MC.exp() - second_MC.exp()) * (first_MC - second_MC)).sum(-1)


def adversarial(objective: Objective, table: nn.Embedding, epsilon: float) -> Objective:
    """Return the mean of the loss as it is and with the rows that `table` gives moved by epsilon."""

    def loss(batch: Packed, targets: Targets) -> Loss:
        move_TD = table.weight.new_zeros(len(batch.ids), table.embedding_dim).requires_grad_()
        with moved(table, move_TD):
            plain = objective(batch, targets)
        (slope_TD,) = torch.autograd.grad(plain.mean(), move_TD, retain_graph=True)
        with moved(table, epsilon * steepest(slope_TD, batch.layout)):
            return mean_of(plain, objective(batch, targets))

    return loss


@contextmanager
def moved(table: nn.Embedding, move_TD: Tensor) -> Iterator[None]:
    """Let a table give its rows plus `move_TD` in a `with` block; the table itself stays as it is."""
    handle = table.register_forward_hook(lambda module, given, rows_TD: rows_TD + move_TD)
    try:
        yield
    finally:
        handle.remove()


def steepest(slope_TD: Tensor, layout: Layout) -> Tensor:
    """Scale each text's slope (its rows together) to length 1; a slope of nothing stays nothing.

    >>> steepest(torch.tensor([[3.0], [4.0], [0.0]]), Layout.of([2, 1])).T
    tensor([[0.6000, 0.8000, 0.0000]])
    """
    squares_N = slope_TD.new_zeros(len(layout.lengths))
    squares_N = squares_N.index_add(0, layout.sequence_T, slope_TD.square().sum(-1))
    tiny = torch.finfo(slope_TD.dtype).tiny
    return slope_TD / squares_N.sqrt().clamp(min=tiny)[layout.sequence_T, None]


def mean_of(first: Loss, second: Loss) -> Loss:
    """Return a loss whose sums are the means of two losses over the same units."""
    sums = {name: (total + second.sums[name]) / 2 for name, total in first.sums.items()}
    return replace(first, sums=sums)
