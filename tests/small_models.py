"""Models small enough to train in a test, and batches for them."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from fakes import FakeTokenizer

from minibert.data.batches import ExampleBatches
from minibert.data.examples import TextExample
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.tasks.classification import Classification
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.tasks.task import Targets

VOCABULARY = 61
SHAPE = EncoderConfig(
    vocab_size=VOCABULARY,
    hidden_size=20,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=28,
    max_position_embeddings=31,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
Micro = tuple[Packed, Targets]


def language_model(dropout: float = 0.0, seed: int = 1) -> Model:
    """Return a masked language model over a fake vocabulary."""
    torch.manual_seed(seed)
    config = replace(SHAPE, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    return Model(Encoder(config), MaskedLM(FakeTokenizer(VOCABULARY), config))


def classifier(seed: int = 1) -> Model:
    """Return a classifier of texts that begin with the piece w5 or w6."""
    torch.manual_seed(seed)
    task = Classification.build(FakeTokenizer(VOCABULARY), SHAPE, texts(4), {"classifier_dropout": 0.0})
    return Model(Encoder(SHAPE), task)


def texts(count: int) -> list[TextExample]:
    random = np.random.default_rng(0)
    examples = []
    for number in range(count):
        words = " ".join(f"w{word}" for word in random.integers(7, VOCABULARY, random.integers(1, 19)))
        examples.append(TextExample(f"w{5 + number % 2} {words}", label="ab"[number % 2]))
    return examples


def sequences(count: int, seed: int = 0) -> list[np.ndarray]:
    """Return ids of texts of very different lengths, special tokens included."""
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 30, count)
    return [np.concatenate([[2], random.integers(5, VOCABULARY, size), [3]])[:31] for size in sizes]


def masked_batches(
    model: Model, *, batch_size: int = 8, accumulate: int = 1, seed: int = 0
) -> ExampleBatches:
    """Return batches of 24 texts, masked anew in every step."""
    return ExampleBatches(sequences(24), model.task.collate_ids, batch_size, accumulate, seed)


@dataclass(frozen=True)
class Repeated:
    """Batches that are the same micro-batches at every step."""

    micro_batches: list[Micro]
    steps_per_epoch: int = 1

    def at(self, step: int, progress: float) -> list[Micro]:
        return self.micro_batches
