"""What a task is: six verbs between what a person gives and what a person gets.

    encode    an example               -> one or more windows of tokens
    collate   windows                  -> a packed batch and its targets
    loss      encoder, batch, targets  -> named sums and counts
    predict   encoder, batch, windows  -> something for each window
    merge     an example's windows     -> its answer, which a person reads
    score     answers, examples        -> {"accuracy": 0.93}

A task owns its head, its tokenizer and its labels. In training only `Model.forward` calls `loss`. Letters:
T tokens, M rows that are read, D hidden size.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from minibert.data.columns import NO_LABEL
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.tasks.metrics import Choices
from minibert.text.encoded import Encoded
from minibert.text.tokenizer import Tokenizer

Fit = Literal["whole", "split", "cut", "target_cut", "long_answer"]  # how an example goes in, or out
LogitsOf = Literal["classes", "labels", "number"]
NEVER = -1e4  # the score of what is there only to fill a row up; a softmax makes it nothing


@dataclass(frozen=True)
class Window:
    """A run of tokens that the encoder sees at once, and which of its rows are asked for an answer.

    tokens  the tokens, special ones included
    rows    (m,) places in this window whose hidden states are read
    labels  (m,) class wanted at each of them, -1 where nobody knows
    units   (m,) which part of the example each row answers for (the word, in tagging)
    """

    tokens: Encoded
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    units: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.tokens)


def rows_of(windows: Sequence[Window]) -> Tensor:
    """Return the rows (M,) that the windows ask for, counted in the packed batch."""
    starts = np.cumsum([0, *map(len, windows)])
    rows = [start + window.rows for start, window in zip(starts, windows, strict=False)]
    return torch.from_numpy(np.concatenate(rows))


@dataclass(frozen=True)
class Targets:
    """The rows of a packed batch that are read, and the class wanted at each.

    positions  (M,) int64, rows of the hidden states (T, D)
    labels     (M,) int64
    lengths    how many of the rows belong to each window
    """

    positions: Tensor
    labels: Tensor
    lengths: tuple[int, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many units each term of the loss is a sum over: known before the forward pass."""
        return {"loss": self.labels.shape[0]}

    def to(self, device: torch.device | str) -> "Targets":
        return Targets(self.positions.to(device), self.labels.to(device), self.lengths)


@dataclass(frozen=True)
class Loss:
    """Named terms, each the sum over some units; what they are divided by is decided by the caller.

    Dividing by the units of a whole step, not of a micro-batch, is what makes gradient accumulation exact.

    logits  for objectives that compare two passes, by the name of a term: (M, C) of the M units that it is a
            sum over, (M, k, C) where each of them chooses k times, (M,) for numbers; none where none are told
    """

    sums: dict[str, Tensor]
    counts: dict[str, int]
    weights: dict[str, float] = field(default_factory=dict)
    logits: dict[str, Tensor] = field(default_factory=dict)

    def __add__(self, other: "Loss") -> "Loss":
        """Join the sums and counts of two micro-batches."""
        sums, counts = dict(self.sums), dict(self.counts)
        for name, total in other.sums.items():
            sums[name] = sums[name] + total if name in sums else total
            counts[name] = counts.get(name, 0) + other.counts[name]
        return Loss(sums, counts, {**self.weights, **other.weights})

    def mean(self, counts: dict[str, int] | None = None) -> Tensor:
        """Return the weighted sum of all terms, each divided by its count (of the whole step, if given)."""
        counts = counts or self.counts
        terms = [
            total * (self.weights.get(name, 1.0) / max(1, counts[name])) for name, total in self.sums.items()
        ]
        return torch.stack(terms).sum()


class Task(nn.Module, ABC):
    """A task with its head. Subclasses are final and are named in `minibert.tasks.model.TASKS`.

    Options  what a person may choose, as a frozen dataclass; None for a task that is not fine-tuned
    columns  the columns of a table that `read` can be told by name
    logits_of  what the logits are of that `loss` tells: "classes" of which one is right, "labels" of which
               several may be, a "number"; None where it tells none
    grows_on_masks  whether its head goes on from the one that filled masks, which it is given by `inherit`
    takes_unseen  whether held-out examples may have labels that training never saw; they count as mistakes

    What follows the six verbs is for the command line, which knows no task by name.
    """

    name: ClassVar[str]
    Options: ClassVar[type | None] = None
    columns: ClassVar[tuple[str, ...]] = ("text_column",)
    logits_of: ClassVar[LogitsOf | None] = None
    grows_on_masks: ClassVar[bool] = False
    takes_unseen: ClassVar[bool] = False

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.max_length = max_length

    @classmethod
    @abstractmethod
    def read(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[Any]:
        """Read a file of this task's examples; `columns` are those that a person named."""

    @classmethod
    @abstractmethod
    def build(
        cls, tokenizer: Tokenizer, config: EncoderConfig, examples: Sequence[Any], options: dict[str, Any]
    ) -> "Task":
        """Make the task, with a new head, for these examples; raises InputError for an unknown option."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return what task.json keeps: enough for the class to be made again with `reopen`."""

    @classmethod
    @abstractmethod
    def reopen(cls, tokenizer: Tokenizer, config: EncoderConfig, settings: dict[str, Any]) -> "Task":
        """Make the task from what `settings` returned, its head not yet loaded."""

    def inherit(self, earlier: "Task") -> None:
        """Take over the weights of the task that the encoder was pretrained with; mostly nothing."""

    def weigh(self, *parts: Sequence[Any]) -> None:
        """Weigh classes, if that was chosen, for the examples to train on; parts are shown equally often."""

    @abstractmethod
    def encode(self, example: Any) -> list[Window]:
        """Turn one example into the windows that the encoder will see."""

    def unlabelled(self, window: Any) -> Any:
        """Return a window whose labels count, and mean nothing: for those who learn from a teacher alone."""
        return replace(window, labels=np.zeros_like(window.labels))

    def collate(
        self, windows: Sequence[Window], seed: int, step: int, progress: float
    ) -> tuple[Packed, Targets]:
        """Pack windows into a batch; what is random is a function of seed, step and `progress`, 0..1."""
        batch = self.pack(windows)
        labels = torch.from_numpy(np.concatenate([window.labels for window in windows]))
        return batch, Targets(rows_of(windows), labels, tuple(len(window.rows) for window in windows))

    def compares(self, windows: Sequence[Any]) -> bool:
        """Whether the loss compares the examples of a batch, so that one alone teaches nothing."""
        return False

    def pack(self, windows: Sequence[Window]) -> Packed:
        """Lay the tokens of windows end to end, as they are: a sequence for each window."""
        return Packed.of([w.tokens.ids for w in windows], [w.tokens.segments for w in windows])

    @abstractmethod
    def loss(self, encoder: Encoder, batch: Packed, targets: Targets) -> Loss:
        """Return the summed loss over the targets."""

    @abstractmethod
    def predict(self, encoder: Encoder, batch: Packed, windows: Sequence[Window]) -> list[Any]:
        """Return something for each window, on the CPU."""

    @abstractmethod
    def merge(self, example: Any, windows: Sequence[Window], predictions: Sequence[Any]) -> Any:
        """Join what was predicted for the windows of one example into its answer."""

    @abstractmethod
    def score(self, answers: Sequence[Any], examples: Sequence[Any]) -> dict[str, Any]:
        """Compare answers with examples whose labels are known; the first key is the main metric."""

    @classmethod
    def answered(cls, example: Any) -> bool:
        """Whether the example says what is right."""
        return example.label is not None

    @classmethod
    def unanswered(cls, example: Any) -> Any:
        """Return the example without what is right."""
        return replace(example, label=None)

    @classmethod
    def read_unanswered(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[Any]:
        """Read what is to be predicted: examples without what is right, which may lack, or bare texts."""
        if cls.columns[-1] == "label_column":
            return cls.read(path, {**(columns or {}), "label_column": NO_LABEL})
        return [cls.unanswered(example) for example in cls.read(path, columns)]

    @classmethod
    def texts(cls, example: Any) -> list[str]:
        """Return the texts of an example that a vocabulary can be learnt from, for a start from nothing."""
        raise InputError(f"{cls.name} starts from an encoder; name its folder instead of a size")

    def fit_of(self, windows: Sequence[Window]) -> Fit:
        """Say how an example went into the model: whole, split into several windows, or a part cut off."""
        cut = any(window.tokens.cut for window in windows)
        return "cut" if cut else "split" if len(windows) > 1 else "whole"

    def settle(self, scores: dict[str, Any]) -> None:
        """Choose what is chosen by the scores on validation data, such as a threshold; mostly nothing."""

    def once_settled(self, answers: Sequence[Any], scores: dict[str, Any]) -> Sequence[Any]:
        """Return the answers that the model would have given after `settle(scores)`; mostly the same."""
        return answers

    def choices(self, answers: Sequence[Any], examples: Sequence[Any]) -> Choices | None:
        """Return the labels to compare in a table and a confusion matrix; None where none are chosen."""
        return None

    def show(self, example: Any, answer: Any) -> dict[str, Any]:
        """Return an answer as plain values, with the text that it belongs to."""
        return {"text": example if isinstance(example, str) else example.text, **asdict(answer)}
