"""Who takes part in the pretraining benchmark, and on what data.

All of them see the same masked batches in the same order, made beforehand, and do a whole training step on
each: forward, loss, backward, clipping, AdamW. Ours goes through `Run`, as `minibert pretrain` does; theirs is
transformers' BertForMaskedLM, asked for the same loss by labels of -100 wherever nothing was masked.

Letters: T tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.tasks.task import Targets
from minibert.text.encoded import Encoded
from minibert.text.tokenizer import Tokenizer
from minibert.training.config import TrainingConfig
from minibert.training.loop import Run, Step

Micro = tuple[Packed, Targets]
TRAINING = TrainingConfig(
    learning_rate=5e-4, max_steps=1_000_000, warmup_ratio=0.0, lr_scheduler_type="constant"
)


class Numbers(Tokenizer):
    """A vocabulary of bare numbers, the first five of them control tokens: text has no part in this."""

    pad_id, unknown_id, cls_id, sep_id, mask_id = range(5)
    tells_words = False

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self.word_starts = np.ones(vocab_size, dtype=bool)

    def encode(self, text: str, boundaries: Sequence[int] = ()) -> Encoded:
        raise NotImplementedError("this vocabulary has no pieces")

    def encode_ids(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [np.array(text.split(), np.int32) for text in texts]

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        return " ".join(self.tokens(ids))

    def tokens(self, ids: Sequence[int] | np.ndarray) -> list[str]:
        return [str(number) for number in ids]

    def save(self, folder: Path) -> None:
        raise NotImplementedError("this vocabulary has no files")


def masked_batches(task: MaskedLM, lengths: Sequence[int], count: int) -> list[Micro]:
    """Return batches of random texts with these lengths, masked by the task; each shuffles the lengths anew.

    Ids follow Zipf's law (the nth piece is drawn in proportion to 1 / n), as those of text nearly do.
    """
    random = np.random.default_rng(0)
    pieces = np.arange(len(task.tokenizer.special_ids), task.tokenizer.vocab_size)
    law = 1 / np.arange(1, len(pieces) + 1)
    batches = []
    for step in range(count):
        sequences = [
            np.concatenate(
                [
                    [task.tokenizer.cls_id],
                    random.choice(pieces, size=size - 2, p=law / law.sum()),
                    [task.tokenizer.sep_id],
                ]
            )
            for size in random.permutation(lengths)
        ]
        sequences.sort(key=len, reverse=True)
        batches.append(task.collate_ids(sequences, 0, step, 0.0))
    return batches


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

    def __init__(self, name: str, config: EncoderConfig, batches: Sequence[Micro]) -> None:
        torch.manual_seed(0)
        model = Model(Encoder(config), MaskedLM(Numbers(config.vocab_size), config))
        run = Run(model, Prepared(batches), TRAINING)
        self.name, self.config = name, config
        self.dtype = model.encoder.dtype
        self.weights = sum(weight.numel() for weight in model.parameters())
        self.steps: Iterator[Step] = iter(run)

    def step(self) -> float:
        """Train on the next batch and return its loss."""
        return next(self.steps).loss


@dataclass(frozen=True)
class Recipe:
    """How transformers' model is run; attention None and fused False are what one gets without asking."""

    attention: str | None = None
    bf16: bool = False
    compiled: bool = False
    fused: bool = False

    @property
    def name(self) -> str:
        if self == Recipe():
            return "transformers as shipped"
        parts = [
            str(self.attention),
            "bf16" if self.bf16 else "fp32",
            *(["compiled"] if self.compiled else []),
        ]
        return f"transformers {' '.join(parts)}"


def candidates(*, compile_too: bool) -> list[Recipe]:
    """Return every way of running transformers that may be its best on a CPU."""
    plain = [
        Recipe(attention=name, bf16=bf16, fused=True) for bf16 in (True, False) for name in ("sdpa", "eager")
    ]
    if not compile_too:
        return plain
    # Compiling needs a C++ compiler on the machine; without one the plain recipes are all there is.
    return [replace(recipe, compiled=True) for recipe in plain] + plain[:2]


class Theirs:
    """transformers' BertForMaskedLM of the same shape, on the same batches, padded where lengths differ."""

    def __init__(self, recipe: Recipe, config: EncoderConfig, batches: Sequence[Micro]) -> None:
        from transformers import BertConfig, BertForMaskedLM

        torch.manual_seed(0)
        shape = BertConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            num_hidden_layers=config.num_hidden_layers,
            num_attention_heads=config.num_attention_heads,
            intermediate_size=config.intermediate_size,
            max_position_embeddings=config.max_position_embeddings,
            hidden_dropout_prob=config.hidden_dropout_prob,
            attention_probs_dropout_prob=config.attention_probs_dropout_prob,
            attn_implementation=recipe.attention,
        )
        model = BertForMaskedLM(shape).train()
        self.name, self.config = recipe.name, config
        self.dtype = torch.bfloat16 if recipe.bf16 else torch.float32
        self.weights = sum(weight.numel() for weight in model.parameters())
        self.parameters = list(model.parameters())
        self.forward = torch.compile(model) if recipe.compiled else model
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=TRAINING.learning_rate,
            betas=(TRAINING.adam_beta1, TRAINING.adam_beta2),
            eps=TRAINING.adam_epsilon,
            weight_decay=TRAINING.weight_decay,
            fused=recipe.fused or None,
        )
        self.batches, self.done = [padded(*batch) for batch in batches], 0

    def step(self) -> float:
        """Train on the next batch and return its loss."""
        ids, labels, mask = self.batches[self.done % len(self.batches)]
        with torch.autocast("cpu", torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            loss = self.forward(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, TRAINING.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.done += 1
        return float(loss.item())


def padded(batch: Packed, targets: Targets) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return what BertForMaskedLM takes: ids, labels (-100 where nothing is asked), and a mask where it needs one."""
    labels_T = torch.full_like(batch.ids, -100)
    labels_T[targets.positions] = targets.labels
    layout = batch.layout
    needs_mask = len(set(layout.lengths)) > 1
    mask = layout.pad(torch.ones_like(batch.ids)) if needs_mask else None
    return layout.pad(batch.ids), layout.pad(labels_T, -100), mask


def useful_flops(config: EncoderConfig, lengths: Sequence[int], masked: int) -> int:
    """Return the operations that a training step cannot do without: matrix products, three times the forward ones.

    Logits count at masked places only, attention only between tokens that see each other; what somebody
    computes beyond that is not useful.
    """
    hidden, inner = config.hidden_size, config.intermediate_size
    per_layer = 4 * hidden**2 + (3 if config.gated_mlp else 2) * hidden * inner
    linear = 6 * sum(lengths) * config.num_hidden_layers * per_layer
    head = 6 * masked * (hidden**2 + hidden * config.vocab_size)
    pairs = sum(
        visible_pairs(n, config.window(layer)) for layer in range(config.num_hidden_layers) for n in lengths
    )
    return linear + head + 12 * hidden * pairs


def visible_pairs(length: int, window: int | None) -> int:
    """Return how many (query, key) pairs of one text attention has to look at.

    >>> visible_pairs(3, None), visible_pairs(3, 1)
    (9, 7)
    """
    reach = length - 1 if window is None else min(window, length - 1)
    return length * (2 * reach + 1) - reach * (reach + 1)
