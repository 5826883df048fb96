"""What the pretraining benchmark works on: how much, on which batches, and how many operations these need."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from minibert.model.config import EncoderConfig
from minibert.packed import Packed
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.task import Targets
from minibert.text.encoded import Encoded
from minibert.text.tokenizer import Tokenizer

Micro = tuple[Packed, Targets]


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    shape           layers x hidden size; the inner layer is four times as wide
    modern          the preset of the modern recipe that takes part, if any
    keep, system    the workloads that are measured with each allocator
    tokens          of a step, in the ragged workload the first sum of lengths that reaches them
    probes          steps in which the fastest way of running the others is looked for
    steps           that each contestant takes in a round; one fewer where only ratios are looked for
    product_size    rows of the matrices whose product is the ceiling
    threads         0 leaves them to torch
    """

    shape: str = "4x256"
    heads: int = 4
    modern: str = "modern-mini"
    vocab_size: int = 8192
    sequence: int = 128
    tokens: int = 8192
    keep: tuple[str, ...] = ("even", "ragged")
    system: tuple[str, ...] = ("even",)
    batches: int = 4
    warmup: int = 2
    probes: int = 3
    rounds: int = 5
    steps: int = 3
    learning_rate: float = 5e-4
    compile_too: bool = True
    product_size: int = 2048
    threads: int = 0

    @property
    def classic(self) -> EncoderConfig:
        """BERT's recipe in this shape."""
        layers, hidden = (int(number) for number in self.shape.split("x"))
        return EncoderConfig(
            vocab_size=self.vocab_size,
            num_hidden_layers=layers,
            hidden_size=hidden,
            num_attention_heads=self.heads,
            intermediate_size=4 * hidden,
            max_position_embeddings=max(512, self.sequence),
        )

    def lengths(self, workload: str) -> list[int]:
        """Return the lengths of a step's texts."""
        if workload == "even":
            return [self.sequence] * (self.tokens // self.sequence)
        # As paragraphs: log-normal, the median 2/5 of the longest. One is full, so that all steps pad alike.
        random = np.random.default_rng(0)
        lengths = [self.sequence]
        while sum(lengths) < self.tokens:
            lengths.append(
                int(np.clip(random.lognormal(math.log(0.4 * self.sequence), 0.8), 4, self.sequence))
            )
        return lengths


FULL = {
    "4x256": Plan(),
    "6x384": Plan(shape="6x384", heads=12, modern="", tokens=4096, system=()),
    "12x768": Plan(
        shape="12x768",
        heads=12,
        modern="",
        sequence=512,
        tokens=2048,
        keep=("even",),
        system=(),
        warmup=1,
        probes=1,
        rounds=3,
        steps=2,
        learning_rate=1e-4,
    ),
}


def small(plan: Plan) -> Plan:
    """Return a plan that takes the same way in seconds."""
    heads, hidden = {"4x256": (2, 128), "6x384": (4, 128), "12x768": (2, 192)}[plan.shape]
    return replace(
        plan,
        shape=f"2x{hidden}",
        heads=heads,
        modern=plan.modern and "modern-tiny",
        vocab_size=512,
        sequence=plan.sequence // 4,
        tokens=512,
        batches=2,
        warmup=2,
        probes=2,
        rounds=2,
        steps=2,
        learning_rate=5e-4,
        compile_too=False,
        product_size=256,
        threads=1,
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


def useful_flops(config: EncoderConfig, lengths: Sequence[int], masked: int) -> int:
    """Return how many operations a training step cannot do without: three times the forward matrix products.

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
