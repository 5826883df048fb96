"""How much memory a training step will take, worked out from shapes: nothing is allocated.

    peak = weights + optimiser's state + copies + what the machine holds at once of the rest

The rest is largest where the backward pass begins (all activations of all layers, and what the last layer
works on) or where it ends (all gradients). Activations are what autograd keeps of each block::

    post-norm   8 T D + 2 T F + 2 T D bytes of dropout masks
    pre-norm    8 T D + 4 T F where gated, else 2 T F

three of the T D being queries, keys and values by bucket (a few cells more than tokens); and of attention
the weights, (N, H, S, S), twice under dropout. They are in the dtype that is computed in; weights, gradients
and the optimiser's state in float32. The logits of masked language modelling exist a chunk at a time.

Left out: decoders; that an adapter's frozen layers keep less; what the allocator loses; several GPUs.

Letters: T tokens, N sequences, S longest sequence, D hidden, H heads, F inner, V vocabulary, M scored rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from minibert.kernels.attention.buckets import buckets_of
from minibert.kernels.attention.rules import Rules
from minibert.kernels.cross_entropy import CHUNK_BYTES
from minibert.model.config import EncoderConfig
from minibert.model.round_sizes import filled_up
from minibert.packed import Layout
from minibert.training.config import TrainingConfig

WIDE = 4  # bytes of float32, in which weights, gradients and states are kept
LOSS = 1.32  # bytes that are taken for each that is in use: tests/doctor/test_memory.py
LIBRARIES = 30 * 2**20  # that torch takes for itself when it computes for the first time
DRAWS = 64  # batches that are drawn to find a heavy one
STATES = {"adamw": 2, "muon": 2, "sgd": 1}  # numbers that an optimiser keeps for each weight


@dataclass(frozen=True)
class Step:
    """What one training step computes at once.

    lengths   tokens of each sequence of a micro-batch
    rows      M, hidden states that the head scores
    table     V, rows of the table that they are compared with; 0 for a small head
    itemsize  bytes of a number in the hidden states: 4 for float32, 2 for bfloat16
    fused     whether attention keeps no weights (on a GPU)
    """

    lengths: tuple[int, ...]
    rows: int
    table: int = 0
    itemsize: int = WIDE
    fused: bool = False

    @property
    def tokens(self) -> int:
        return sum(self.lengths)


@dataclass(frozen=True)
class Memory:
    """Bytes at the peak of a training step, beside what the process has before."""

    weights: int
    optimizer: int
    copies: int
    activations: int
    gradients: int
    logits: int
    at_work: int
    validation: int = 0

    @property
    def held(self) -> int:
        """What is there between two steps."""
        return self.weights + self.optimizer + self.copies

    @property
    def passing(self) -> int:
        """The most that a step, or a validation, holds at once beside that."""
        begin = self.activations + self.logits + self.at_work
        return max(begin, self.gradients + self.logits, self.validation)

    @property
    def peak(self) -> int:
        """The most that is held at once, with what the allocator loses between blocks of many sizes."""
        return self.held + round(self.passing * LOSS) + LIBRARIES


def predict(
    shape: EncoderConfig,
    step: Step,
    config: TrainingConfig,
    *,
    weights: int,
    trained: int,
    lowest: int = 0,
    validation: Step | None = None,
) -> Memory:
    """Return the memory of a run.

    weights, trained  how many numbers the model has, and how many of them are updated
    lowest            depth of the lowest that is: below it, nothing is kept (0: the embeddings, 1: block 0)
    validation        what is predicted at once on validation data, which also keep a copy of the best weights
    """
    step = filled(step)
    copies = (weights if validation else 0) + (trained if config.ema_decay else 0)
    blocks = activations(shape, step)
    passes = 1 + (config.r_drop_alpha > 0)  # R-Drop compares two passes
    return Memory(
        weights=WIDE * weights,
        optimizer=WIDE * trained * STATES[config.optim],
        copies=WIDE * copies,
        activations=passes * (sum(blocks[max(0, lowest - 1) :]) + (0 if lowest else embeddings(shape, step))),
        gradients=WIDE * trained,
        logits=logits(shape, step),
        at_work=at_work(shape, step),
        validation=2 * at_work(shape, validation) if validation else 0,
    )


def activations(shape: EncoderConfig, step: Step) -> list[int]:
    """Return the bytes that autograd keeps of each block."""
    cells = sum(count * width for count, width in buckets(step.lengths))
    T, D, F, b = step.tokens, shape.hidden_size, shape.intermediate_size, step.itemsize
    inner = (4 if shape.gated_mlp else 2) * F
    masks = 2 * 2 * T * D if shape.hidden_dropout_prob else 0  # two, of two bytes a value
    # torch makes an RMS norm of several operations, in float32
    norms = 2 * T * D * (WIDE + (0 if b == WIDE else b)) if shape.norm == "rmsnorm" else 0
    cast = 0 if b == WIDE else b * (4 * D * D + (3 if shape.gated_mlp else 2) * D * F)
    each = b * (5 * T * D + 3 * cells * D + T * inner) + norms + masks + cast
    return [each + attention(shape, layer, step) for layer in range(shape.num_hidden_layers)]


def attention(shape: EncoderConfig, layer: int, step: Step) -> int:
    """Return the bytes of a layer's attention weights that are kept for the backward pass."""
    dropout = shape.attention_probs_dropout_prob
    rules = Rules(shape.window(layer), False, dropout)
    kept = 0
    for count, width in () if step.fused else buckets(step.lengths):
        if rules.stores(width):
            kept += scores(rules, count * shape.num_attention_heads, width)
    return kept * step.itemsize * (2 if dropout else 1)


def scores(rules: Rules, heads: int, width: int) -> int:
    """Return how many attention weights there are in all blocks of a rectangle."""
    return sum(
        (block.heads.stop - block.heads.start)
        * (block.queries.stop - block.queries.start)
        * (block.keys.stop - block.keys.start)
        for block in rules.blocks(heads, width)
    )


def embeddings(shape: EncoderConfig, step: Step) -> int:
    """Return the bytes that are kept of the embeddings' norm.

    The modern recipe's last norm stands for the one that its first block does without.
    """
    rows = step.tokens * shape.embedding_width
    return rows * step.itemsize + (rows if shape.hidden_dropout_prob else 0)


def logits(shape: EncoderConfig, step: Step) -> int:
    """Return the bytes of a head that compares M rows with a table: its gradient twice, and the rows."""
    if not step.table:
        return 0
    rows = 5 * step.rows * shape.embedding_width * step.itemsize
    return 2 * WIDE * step.table * shape.embedding_width + rows


def at_work(shape: EncoderConfig, step: Step) -> int:
    """Return the bytes that a layer works on and forgets: the largest of its stages."""
    T, D, F, b = step.tokens, shape.hidden_size, shape.intermediate_size, step.itemsize
    widest = max((scores(Rules(None, False, 0.0), n * shape.num_attention_heads, s)
                  for n, s in buckets(step.lengths)), default=0)  # fmt: skip
    feed_forward = b * T * (2 * F * (2 if shape.gated_mlp else 1) + 2 * D)
    heads = 0 if step.fused else 2 * b * widest
    chunk = 3 * min(CHUNK_BYTES, WIDE * step.rows * step.table)
    return max(feed_forward, heads, chunk)


def buckets(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Return (sequences, width) of the rectangles in which attention is computed."""
    found = buckets_of(Layout.of(lengths))
    return [(bucket.index_NS.shape[0], bucket.index_NS.shape[1]) for bucket in found]


def filled(step: Step) -> Step:
    """Return the step as it is computed: in bfloat16 on a CPU a batch is filled up to a round size."""
    if step.itemsize == WIDE or step.fused:
        return step
    return replace(step, lengths=filled_up(Layout.of(step.lengths)).lengths)


def heavy_batch(lengths: Sequence[int], size: int) -> tuple[int, ...]:
    """Return the lengths of a batch of `size` windows as heavy as a run will meet, the longest first.

    It is the heaviest of some that are drawn, by tokens; torch's random state is not touched.

    >>> heavy_batch([3, 3, 3], 2)
    (3, 3)
    """
    random = np.random.Generator(np.random.Philox(key=[0, 0]))
    drawn = random.choice(np.asarray(lengths), (DRAWS, min(size, len(lengths))))
    heaviest = drawn[drawn.sum(1).argmax()]
    return tuple(sorted(map(int, heaviest), reverse=True))
