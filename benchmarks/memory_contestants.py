"""Who takes part in the memory benchmark: each is made, warmed and measured in a process of its own.

An account says where a process's bytes are. `before` is what the imports take: much is imported only when it
is needed, so it is read after the same work was done once in small, and without the weights if these were
there already. Then the peak counts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from inference_contestants import Embed, as_they_come, by_length, hidden_of, quiet
from pretraining_contestants import TRAINING, Ours, Recipe, Theirs, torch_recipe
from pretraining_workload import FULL, Micro, Numbers, Plan, masked_batches
from resident import Peak, resident
from torch import nn
from torch.optim import Optimizer

import minibert as mb
from minibert.tasks.masked_lm import MaskedLM

TINIEST = replace(FULL["4x256"], shape="1x32", heads=1, vocab_size=64, sequence=16, tokens=32)
STEPS = 2
OURS = "minibert bf16"
RECIPES = {
    recipe.name: recipe
    for recipe in (Recipe(), Recipe(attention="eager", bf16=True, fused=True), torch_recipe(bf16=True))
}


@dataclass(frozen=True)
class Account:
    """Where a contestant's bytes are; `rest` is what is compared. `how` is that of `Peak`."""

    name: str
    work: str
    how: str
    peak: int
    before: int
    weights: int
    optimizer: int = 0
    gradients: int = 0

    @property
    def rest(self) -> int:
        return self.peak - self.before - self.weights - self.optimizer


def pretraining_account(name: str, plan: Plan) -> Account:
    """Take a few steps in this process and return what they took."""
    take_steps(name, TINIEST)
    batches = texts(plan)
    before = resident()
    with Peak() as peak:
        contestant = take_steps(name, plan, batches)
    weights = [weight for optimizer in contestant.optimizers for weight in trained(optimizer)]
    size = sum(weight.nbytes for weight in weights)
    state = sum(state_size(optimizer) for optimizer in contestant.optimizers)
    return Account(name, "pretraining", peak.how, peak.bytes, before, size, state, gradients=size)


def take_steps(name: str, plan: Plan, batches: Sequence[Micro] = ()) -> Ours | Theirs:
    """Make a contestant and let it train for a few steps."""
    training = replace(TRAINING, learning_rate=plan.learning_rate, precision="bf16")
    given = (plan.classic, batches or texts(plan), training)
    contestant = Ours(name, *given) if name == OURS else Theirs(RECIPES[name], *given)
    for _ in range(STEPS):
        contestant.step()
    return contestant


def texts(plan: Plan) -> list[Micro]:
    """Return the batches of the steps."""
    task = MaskedLM(Numbers(plan.vocab_size), plan.classic)
    return masked_batches(task, plan.lengths("even"), STEPS)


def trained(optimizer: Optimizer) -> list[torch.Tensor]:
    """Return the weights that an optimiser changes."""
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def state_size(optimizer: Optimizer) -> int:
    """Return the bytes of an optimiser's moments."""
    values = (value for state in optimizer.state.values() for value in state.values())
    return sum(value.nbytes for value in values if isinstance(value, torch.Tensor))


def embedding_account(name: str, sentences: Sequence[str], folder: Path) -> Account:
    """Embed sentences in this process and return what that took beyond the opened model."""
    embed, module = EMBEDDERS[name](folder)
    embed(sentences[:2])
    weights = sum(weight.nbytes for weight in module.parameters())
    before = resident() - weights
    with Peak() as peak:
        embed(sentences)
    return Account(name, "embedding", peak.how, peak.bytes, before, weights)


def ours_embedding(folder: Path, precision: Any) -> tuple[Embed, nn.Module]:
    """Open the folder with minibert."""
    encoder = mb.load_encoder(folder)
    return lambda texts: encoder.embed(texts, dtype=precision, progress=False), encoder.encoder


def transformers_embedding(folder: Path, *, best: bool) -> tuple[Embed, nn.Module]:
    """Open the folder with transformers, as its card shows it or in bfloat16 and sorted by length."""
    from transformers import AutoModel, AutoTokenizer

    quiet()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.bfloat16 if best else torch.float32).eval()
    embed = (by_length if best else as_they_come)(tokenizer, hidden_of(model), 32)
    return embed, model


def sentence_transformers_embedding(folder: Path) -> tuple[Embed, nn.Module]:
    """Open the folder with sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    quiet()
    model = SentenceTransformer(str(folder), device="cpu")
    return lambda texts: model.encode(list(texts), show_progress_bar=False), model


EMBEDDERS: dict[str, Callable[[Path], tuple[Embed, nn.Module]]] = {
    "minibert bf16": lambda folder: ours_embedding(folder, "bf16"),
    "minibert fp32": lambda folder: ours_embedding(folder, "fp32"),
    "transformers as shipped": lambda folder: transformers_embedding(folder, best=False),
    "transformers bf16": lambda folder: transformers_embedding(folder, best=True),
    "sentence-transformers as shipped": sentence_transformers_embedding,
}
