"""Who takes part in the pretraining benchmark.

All of them see the same masked batches in the same order, made beforehand, and do a whole training step on
each: forward, loss, backward, clipping, AdamW. Ours goes through `Run`, as `minibert pretrain` does. Theirs
are transformers' BertForMaskedLM and what one builds around torch.nn.TransformerEncoder, both asked for the
same loss by labels of -100 wherever nothing was masked.

Letters: T tokens, N texts, S longest text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from pretraining_workload import Micro, Numbers
from torch import Tensor, nn
from torch_encoder import TorchMaskedLM

from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.tasks.task import Targets
from minibert.training.config import TrainingConfig
from minibert.training.loop import Run, Step

TRAINING = TrainingConfig(
    learning_rate=5e-4, max_steps=1_000_000, warmup_ratio=0.0, lr_scheduler_type="constant"
)
TORCH = "torch.nn.TransformerEncoder"


class Prepared:
    """The same few batches over and over, as `Run` asks for them."""

    def __init__(self, batches: Sequence[Micro]) -> None:
        self.batches = batches

    @property
    def steps_per_epoch(self) -> int:
        return len(self.batches)

    def at(self, step: int, progress: float) -> list[Micro]:
        return [self.batches[step % len(self.batches)]]


class Ours:
    """minibert's own path: Run, Model, MaskedLM, packed batches, the precision that `auto` picks."""

    def __init__(
        self,
        name: str,
        config: EncoderConfig,
        batches: Sequence[Micro],
        training: TrainingConfig = TRAINING,
    ) -> None:
        torch.manual_seed(0)
        model = Model(Encoder(config), MaskedLM(Numbers(config.vocab_size), config))
        run = Run(model, Prepared(batches), training)
        self.name, self.config = name, config
        self.dtype = model.encoder.dtype
        self.weights = sum(weight.numel() for weight in model.parameters())
        self.optimizers = run.optimizers.parts
        self.steps: Iterator[Step] = iter(run)
        self.losses: list[float] = []

    def step(self) -> None:
        """Train on the next batch and note its loss."""
        self.losses.append(next(self.steps).loss)


@dataclass(frozen=True)
class Recipe:
    """How somebody else's model is run; attention None and fused False are what one gets without asking."""

    library: str = "transformers"
    attention: str | None = None
    bf16: bool = False
    compiled: bool = False
    fused: bool = False

    @property
    def name(self) -> str:
        if self == Recipe():
            return "transformers as shipped"
        parts = [
            self.library,
            *([self.attention] if self.attention else []),
            "bf16" if self.bf16 else "fp32",
            *(["compiled"] if self.compiled else []),
        ]
        return " ".join(parts)


def best_recipes(*, compiled: bool) -> list[Recipe]:
    """Return the ways of running transformers of which one may be its best on a CPU."""
    return [
        Recipe(attention=name, bf16=bf16, compiled=compiled, fused=True)
        for bf16 in (True, False)
        for name in ("sdpa", "eager")
    ]


def torch_recipe(*, bf16: bool) -> Recipe:
    """Return the way of running what is built around torch.nn.TransformerEncoder."""
    return Recipe(library=TORCH, bf16=bf16, fused=True)


class Theirs:
    """Another library's model of the same shape, on the same batches, padded where lengths differ."""

    def __init__(
        self,
        recipe: Recipe,
        config: EncoderConfig,
        batches: Sequence[Micro],
        training: TrainingConfig = TRAINING,
    ) -> None:
        torch.manual_seed(0)
        model = TorchMaskedLM(config) if recipe.library == TORCH else bert_for_masked_lm(recipe, config)
        model.train()
        self.name, self.recipe, self.config = recipe.name, recipe, config
        self.dtype = torch.bfloat16 if recipe.bf16 else torch.float32
        self.weights = sum(weight.numel() for weight in model.parameters())
        self.parameters = list(model.parameters())
        self.forward = torch.compile(model) if recipe.compiled else model
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=training.learning_rate,
            betas=(training.adam_beta1, training.adam_beta2),
            eps=training.adam_epsilon,
            weight_decay=training.weight_decay,
            fused=recipe.fused or None,
        )
        self.optimizers = [self.optimizer]
        self.batches = [padded(*batch) for batch in batches]
        self.losses: list[float] = []

    def step(self) -> None:
        """Train on the next batch and note its loss."""
        ids, labels, mask = self.batches[len(self.losses) % len(self.batches)]
        with torch.autocast("cpu", torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            loss = self.forward(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, TRAINING.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.losses.append(loss.item())


def bert_for_masked_lm(recipe: Recipe, config: EncoderConfig) -> nn.Module:
    """Return transformers' BertForMaskedLM in this shape."""
    from transformers import BertConfig, BertForMaskedLM

    shape = BertConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        intermediate_size=config.intermediate_size,
        max_position_embeddings=config.max_position_embeddings,
        hidden_dropout_prob=config.hidden_dropout_prob,
        attention_probs_dropout_prob=config.attention_probs_dropout_prob,
        attn_implementation=recipe.attention,  # type: ignore[call-arg]
    )
    return BertForMaskedLM(shape)


def padded(batch: Packed, targets: Targets) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return ids, labels (-100 where nothing is asked), and a mask where lengths differ, each (N, S)."""
    labels_T = torch.full_like(batch.ids, -100)
    labels_T[targets.positions] = targets.labels
    layout = batch.layout
    needs_mask = len(set(layout.lengths)) > 1
    mask = layout.pad(torch.ones_like(batch.ids)) if needs_mask else None
    return layout.pad(batch.ids), layout.pad(labels_T, -100), mask
