"""Learning from what another model says: how far two models' answers lie apart, and that as a loss.

Soft targets (Hinton, Vinyals and Dean, 2015, "Distilling the Knowledge in a Neural Network") tell also how
wrong the wrong answers are; a temperature T > 1 lets them be heard. z are a row's logits, t the teacher's::

    apart = T^2 KL(softmax(z_t / T) | softmax(z / T))            one of C classes; the mean of several choices
    apart = T^2 mean_c KL(sigmoid(z_t / T) | sigmoid(z / T))     any number of C labels
    apart = (z_t - z)^2                                          a number

T^2 keeps the size of the gradient whatever T is. Added to them, if wanted, is how far the hidden states lie
apart (Jiao et al., 2020, "TinyBERT", equation 8), here as a share of the teacher's own::

    hidden = mean over layer pairs of |H_t - H|^2 / |H_t|^2

Letters: M rows that are asked, C classes, T tokens, D hidden size.
Left out: attention maps, hidden states of another width than the teacher's.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from minibert.errors import InputError
from minibert.packed import Packed
from minibert.tasks.model import Model
from minibert.tasks.retrieval import Retrieval
from minibert.tasks.similarity import Similarity
from minibert.tasks.task import LogitsOf, Loss, Targets, Task
from minibert.training.objectives import Objective

Embedder = Retrieval | Similarity  # tasks whose models give vectors
Distance = Callable[[Tensor, Tensor, float], Tensor]


def soft_targets(student_MC: Tensor, teacher_MC: Tensor, temperature: float) -> Tensor:
    """Return T^2 KL(teacher | student) of each row, (M,) or (M, k).

    >>> student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]])
    >>> soft_targets(student, teacher, 1.0), soft_targets(teacher, teacher, 2.0)
    (tensor([0.3278]), tensor([0.]))
    """
    student_MC = (student_MC / temperature).log_softmax(-1)
    teacher_MC = (teacher_MC / temperature).log_softmax(-1)
    return temperature**2 * (teacher_MC.exp() * (teacher_MC - student_MC)).sum(-1)


def soft_labels(student_MC: Tensor, teacher_MC: Tensor, temperature: float) -> Tensor:
    """Return T^2 times the mean over labels of the divergence between yes and no, (M,)."""

    def both(logits_MC: Tensor) -> Tensor:
        return torch.stack([logits_MC, torch.zeros_like(logits_MC)], dim=-1)

    return soft_targets(both(student_MC), both(teacher_MC), temperature).mean(-1)


def squares(student_M: Tensor, teacher_M: Tensor, temperature: float) -> Tensor:
    """Return the squared distance of each number, (M,); numbers have no temperature."""
    return (student_M - teacher_M).square()


DISTANCES: Mapping[LogitsOf, Distance] = {"classes": soft_targets, "labels": soft_labels, "number": squares}


def distance_of(task: Task) -> Distance:
    """Return how answers of a task are compared; raises InputError where its loss tells no logits."""
    if task.logits_of is None:
        raise InputError(
            f"the loss of {task.name} tells no logits, so nothing can be learnt from what it says"
        )
    return DISTANCES[task.logits_of]


def taught(
    objective: Objective,
    teacher: Model,
    *,
    temperature: float,
    weight: float,
    label_weight: float,
    known: int | None = None,
) -> Objective:
    """Return label_weight times the loss plus weight times how far the logits are from the teacher's.

    known  compare the first so many columns: those that the teacher has learnt
    The teacher, whose task has as many columns, is left in evaluation mode.
    """
    distance = distance_of(teacher.task)

    def loss(batch: Packed, targets: Targets) -> Loss:
        own = objective(batch, targets)
        with torch.no_grad():
            said = teacher.eval()(batch, targets)
        sums = {}
        for name, logits in own.logits.items():
            apart = distance(logits[..., :known], said.logits[name][..., :known], temperature)
            sums[name] = weight * apart.sum() / math.prod(apart.shape[1:])
            if label_weight:  # else the labels may be anything, and so may their loss
                sums[name] = sums[name] + label_weight * own.sums[name]
        return replace(own, sums=sums)

    return loss


def vectors_alike(student: Model, teacher: Model) -> Objective:
    """Return how far the vector of each text is from the teacher's, squared, as a share of the teacher's own.

    Both models give vectors, as retrieval and similarity do; the teacher is left in evaluation mode.
    """
    own, known = student.task, teacher.task
    assert isinstance(own, Embedder) and isinstance(known, Embedder)

    def loss(batch: Packed, targets: Targets) -> Loss:
        vectors_ND = own.vectors(student.encoder, batch)
        with torch.no_grad():
            said_ND = known.vectors(teacher.eval().encoder, batch)
        shares_N = (vectors_ND - said_ND).square().sum(-1) / said_ND.square().sum(-1)
        return Loss({"loss": shares_N.sum()}, targets.counts)

    return loss


def answered(
    objective: Objective, said_RC: Tensor, gold_R: Tensor, *, temperature: float, label_weight: float
) -> Objective:
    """Return the distance from answers that were given before, and the loss of the labels that are known.

    said_RC  (R, C) logits or logarithms of probabilities that were given for each row of the training set
    gold_R   (R,) the class of each row, -1 where nobody knows; such a row hears the answers alone
    Both lie where the batches are. The targets hold numbers of rows where a label would stand.
    """

    def loss(batch: Packed, targets: Targets) -> Loss:
        rows_M = targets.labels
        gold_M = gold_R[rows_M]
        own = objective(batch, replace(targets, labels=gold_M))
        apart_M = soft_targets(own.logits["loss"], said_RC[rows_M], temperature)
        share_M = 1 - label_weight * (gold_M >= 0)
        total = (share_M * apart_M).sum()
        if label_weight:
            total = total + label_weight * own.sums["loss"]
        return replace(own, sums={"loss": total})

    return loss


def hidden_too(
    objective: Objective, student: Model, teacher: Model, *, layers: Sequence[int], weight: float
) -> Objective:
    """Add to an objective in which the teacher is asked how far its hidden states are from the student's.

    layers  for each block of the student, the number of the teacher's block that it is compared with
    """

    def loss(batch: Packed, targets: Targets) -> Loss:
        with heard(student.encoder.blocks) as own, heard(teacher.encoder.blocks) as said:
            found = objective(batch, targets)
        tokens = batch.layout.tokens  # behind them may be rows that fill the batch up to a round number
        pairs = [(said[layer][:tokens], own[place][:tokens]) for place, layer in enumerate(layers)]
        shares = [(a - b).float().square().mean() / a.float().square().mean() for a, b in pairs]
        first = next(iter(found.sums))  # any term will do: its mean is what is added to
        total = found.sums[first] + weight * torch.stack(shares).mean() * found.counts[first]
        return replace(found, sums={**found.sums, first: total})

    return loss


@contextmanager
def heard(blocks: nn.ModuleList) -> Iterator[dict[int, Tensor]]:
    """Give what each block put out last, (T, D) by its number, while the `with` block runs."""
    outputs: dict[int, Tensor] = {}

    def note(number: int) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda block, given, output_TD: outputs.__setitem__(number, output_TD)

    handles = [block.register_forward_hook(note(number)) for number, block in enumerate(blocks)]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
