"""Similarity: two texts get vectors whose cosine says how alike they are.

One encoder reads each text by itself (a bi-encoder; N. Reimers, I. Gurevych, 2019, *Sentence-BERT*), so a
million texts are embedded once and compared by a product. What is learnt from are pairs with grades y that
people gave. "cosent" wants the cosines in the order of the grades (J. Su, 2022, *CoSENT*), "cosine" wants
them to be the grades, brought into 0..1::

    cosent = log(1 + sum over pairs i, j with y_i > y_j of exp((cos_j - cos_i) / temperature))
    cosine = mean over pairs of (cos_n - (y_n - low) / (high - low))^2       low, high of the training grades

`regression` reads both texts at once, and has to read every pair that is asked. The model that comes out here
is a text encoder and has no head, as that of `retrieval`. The loss "cosent" depends on the batch as a whole:
gradient accumulation compares fewer pairs, and a micro-batch of a single pair teaches nothing.

Letters: N pairs, D hidden size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from minibert.config import from_dict, to_dict
from minibert.data.examples import NumberExample, as_example, check_examples
from minibert.data.labelled import read_numbers
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.tasks.correlation import pearson, spearman
from minibert.tasks.given import refuse_unanswered
from minibert.tasks.pooling import pool
from minibert.tasks.regression import number_of
from minibert.tasks.task import Fit, Loss, Task, Window
from minibert.tasks.windows import fit_text, window_length
from minibert.text.encoded import Encoded
from minibert.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class SimilarityOptions:
    """What a person may choose; max_length 0 means as long as the encoder allows, for each text.

    similarity_loss  "cosent": cosines in the order of the grades; "cosine": cosines that are the grades
    """

    pooling: Literal["first", "mean"] = "mean"
    max_length: int = 0
    similarity_loss: Literal["cosent", "cosine"] = "cosent"
    temperature: float = 0.05

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"temperature is {self.temperature}; it must be above 0, such as 0.05")


@dataclass(frozen=True)
class PairWindow:
    """The first text of a pair, which the model sees alone, the other one, and how alike they are."""

    tokens: Encoded
    other: Encoded
    labels: np.ndarray
    rows: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    units: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class PairTargets:
    """The grades (N,) float32 of a batch that holds N texts, then the N that they are compared with."""

    grades_N: Tensor

    @property
    def counts(self) -> dict[str, int]:
        return {"loss": self.grades_N.shape[0]}

    def to(self, device: torch.device | str) -> "PairTargets":
        return PairTargets(self.grades_N.to(device))


@dataclass(frozen=True)
class Alike:
    """The answer for a pair: the cosine of the two vectors, in -1..1."""

    similarity: float


class Similarity(Task):
    """A cosine for each pair of texts."""

    name: ClassVar[str] = "similarity"
    Options: ClassVar[type] = SimilarityOptions
    columns: ClassVar[tuple[str, ...]] = ("text_column", "pair_column", "label_column")

    def __init__(
        self,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        options: SimilarityOptions,
        *,
        low: float,
        high: float,
    ) -> None:
        super().__init__(tokenizer, window_length(options.max_length, config, tokenizer))
        self.options, self.low, self.high = options, low, high

    @classmethod
    def read(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[NumberExample]:
        return read_numbers(path, **columns or {})

    @classmethod
    def build(
        cls,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        examples: Sequence[NumberExample],
        options: dict[str, Any],
    ) -> "Similarity":
        check_examples(NumberExample, examples)
        chosen = from_dict(SimilarityOptions, options, where="similarity options")
        refuse_unanswered(cls, examples)
        grades = sorted({number_of(example) for example in examples})
        if len(grades) < 2:
            raise InputError(f"similarity needs two different grades or more; the training has {grades}")
        return cls(tokenizer, config, chosen, low=grades[0], high=grades[-1])

    def settings(self) -> dict[str, Any]:
        return {**to_dict(self.options), "low": self.low, "high": self.high}

    @classmethod
    def reopen(cls, tokenizer: Tokenizer, config: EncoderConfig, settings: dict[str, Any]) -> "Similarity":
        rest = dict(settings)
        ends = {name: rest.pop(name) for name in ("low", "high")}
        return cls(tokenizer, config, from_dict(SimilarityOptions, rest, where="task.json"), **ends)

    def encode(self, example: NumberExample | str) -> list[Window]:
        """Return the window of the first text, which holds what is learnt from, and that of the second."""
        example = as_example(NumberExample, example)
        if example.pair is None:
            raise InputError(
                f"{example.text[:60]!r} stands alone, and similarity compares two texts; name the column of "
                "the second (pair_column, --pair-column); vectors of single texts come from `embed`"
            )
        first, second = self.tokens(example.text), self.tokens(example.pair)
        grade = float("nan") if example.label is None else number_of(example)
        window: Any = PairWindow(first, second, np.array([grade]))
        return [window, Window(second)]

    def tokens(self, text: str) -> Encoded:
        """Return the tokens of a text, cut off where it is too long."""
        return fit_text(self.tokenizer, text, None, max_length=self.max_length, on_long="truncate")[0]

    def fit_of(self, windows: Sequence[Window]) -> Fit:
        """An example has two texts; it is cut if one of them is."""
        return "cut" if any(window.tokens.cut for window in windows) else "whole"

    def collate(  # type: ignore[override]
        self, windows: Sequence[Any], seed: int, step: int, progress: float
    ) -> tuple[Packed, PairTargets]:
        """Pack all first texts, then the second ones in the same order."""
        pairs = [window for window in windows if isinstance(window, PairWindow)]
        texts = [*(pair.tokens for pair in pairs), *(pair.other for pair in pairs)]
        batch = Packed.of([text.ids for text in texts], [text.segments for text in texts])
        return batch, PairTargets(torch.tensor([float(pair.labels[0]) for pair in pairs]))

    def compares(self, windows: Sequence[Any]) -> bool:
        return self.options.similarity_loss == "cosent"

    def vectors(self, encoder: Encoder, batch: Packed) -> Tensor:
        """Return a float32 vector for each text of a batch, one long."""
        rows = pool(self.options.pooling, encoder(batch), batch.layout).float()
        return nn.functional.normalize(rows, dim=1)

    def loss(self, encoder: Encoder, batch: Packed, targets: Any) -> Loss:
        rows, count = self.vectors(encoder, batch), targets.counts["loss"]
        cosine_N = (rows[:count] * rows[count:]).sum(1)
        if self.options.similarity_loss == "cosent":
            total = count * cosent(cosine_N, targets.grades_N, self.options.temperature)
        else:
            wanted_N = (targets.grades_N - self.low) / (self.high - self.low)
            total = (cosine_N - wanted_N).square().sum()
        return Loss({"loss": total}, targets.counts)

    def predict(self, encoder: Encoder, batch: Packed, windows: Sequence[Window]) -> list[Any]:
        """Return the vector (D,) of each window."""
        return list(self.vectors(encoder, batch).cpu().numpy())

    def merge(self, example: Any, windows: Sequence[Window], predictions: Sequence[Any]) -> Alike:
        return Alike(float(predictions[0] @ predictions[1]))

    def score(self, answers: Sequence[Alike], examples: Sequence[NumberExample]) -> dict[str, Any]:
        """Return the correlations of cosines and grades; the order of the pairs is the main measure."""
        gold_N = np.array([number_of(example) for example in examples])
        cosine_N = np.array([answer.similarity for answer in answers])
        if not np.isfinite(cosine_N).all():  # weights that have blown up
            return {"spearman": 0.0, "pearson": 0.0}
        return {"spearman": spearman(cosine_N, gold_N), "pearson": pearson(cosine_N, gold_N)}

    def show(self, example: NumberExample, answer: Alike) -> dict[str, Any]:
        return {"text": example.text, "pair": example.pair, "similarity": round(answer.similarity, 6)}


def cosent(cosine_N: Tensor, grades_N: Tensor, temperature: float) -> Tensor:
    """Return how far the cosines are from the order of the grades; 0 for a single pair.

    >>> cosines = torch.tensor([0.9, 0.1])
    >>> [round(cosent(cosines, torch.tensor(g), 0.1).item(), 4) for g in ([5.0, 1.0], [1.0, 5.0], [1.0, 1.0])]
    [0.0003, 8.0003, 0.0]
    """
    above_NN = grades_N[:, None] > grades_N[None, :]
    apart_NN = (cosine_N[None, :] - cosine_N[:, None]) / temperature
    wrong = apart_NN.masked_fill(~above_NN, -torch.inf).flatten()
    return torch.cat([wrong.new_zeros(1), wrong]).logsumexp(0)
