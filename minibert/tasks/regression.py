"""A number for a text, or for a pair of texts: stars, prices, how alike two sentences are.

    number = centre + spread * (pool(hidden) w + b)

Centre and spread are the mean and the standard deviation of the training numbers, so that the head learns
numbers of size one whatever their unit. The loss is the squared error in that size ("mse"), or that of
ordered levels ("ordinal", see ordinal.py), whose answer is the expected level.

Left out: several numbers for a text; how sure an answer is.

Letters: N windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from minibert.config import from_dict, to_dict
from minibert.data.examples import NumberExample, as_example, check_examples
from minibert.data.labelled import read_numbers
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.model.linear import Dropout, Linear, initialize
from minibert.packed import Packed
from minibert.tasks.correlation import pearson, spearman
from minibert.tasks.given import refuse_unanswered
from minibert.tasks.ordinal import Levels
from minibert.tasks.pooling import PoolingOptions, projection_of, text_scores, text_windows
from minibert.tasks.task import LogitsOf, Loss, Targets, Task, Window
from minibert.tasks.windows import window_length
from minibert.text.tokenizer import Tokenizer

MOST_LEVELS = 50


@dataclass(frozen=True)
class RegressionOptions(PoolingOptions):
    """What a person may choose, beside how a text becomes a vector.

    regression_loss  "ordinal" takes the training numbers for ordered levels, such as 1 to 5 stars
    """

    regression_loss: Literal["mse", "ordinal"] = "mse"


@dataclass(frozen=True)
class Estimate:
    """The answer for one text: a number."""

    value: float


class Regression(Task):
    """One number for each text."""

    name: ClassVar[str] = "regression"
    Options: ClassVar[type] = RegressionOptions
    logits_of: ClassVar[LogitsOf | None] = "number"
    columns: ClassVar[tuple[str, ...]] = ("text_column", "pair_column", "label_column")

    def __init__(
        self,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        options: RegressionOptions,
        *,
        centre: float = 0.0,
        spread: float = 1.0,
        levels: Sequence[float] = (),
    ) -> None:
        super().__init__(tokenizer, window_length(options.max_length, config, tokenizer))
        self.options = options
        self.centre, self.spread = centre, spread
        self.dense, self.norm = projection_of(config, options.activation, options.projection_norm)
        self.dropout = Dropout(options.classifier_dropout)
        self.classifier = Linear(config.hidden_size, 1)
        initialize(self, config.initializer_range)
        self.levels = Levels(levels) if options.regression_loss == "ordinal" else None

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
    ) -> "Regression":
        check_examples(NumberExample, examples)
        chosen = from_dict(RegressionOptions, options, where="regression options")
        refuse_unanswered(cls, examples)
        numbers = [number_of(example) for example in examples]
        levels = sorted(set(numbers))
        if len(levels) < 2:
            raise InputError(
                f"regression needs at least two different numbers; the training data has {levels}"
            )
        if chosen.regression_loss == "mse":
            return cls(
                tokenizer, config, chosen, centre=float(np.mean(numbers)), spread=float(np.std(numbers))
            )
        if len(levels) > MOST_LEVELS:
            raise InputError(
                f"regression_loss ordinal takes at most {MOST_LEVELS} levels and the training data has "
                f"{len(levels)} different numbers, {levels[0]:g}..{levels[-1]:g}; use mse"
            )
        task = cls(tokenizer, config, chosen, levels=levels)
        assert task.levels is not None
        task.levels.start(numbers)
        return task

    def settings(self) -> dict[str, Any]:
        levels = [] if self.levels is None else self.levels.values
        return {**to_dict(self.options), "centre": self.centre, "spread": self.spread, "levels": list(levels)}

    @classmethod
    def reopen(cls, tokenizer: Tokenizer, config: EncoderConfig, settings: dict[str, Any]) -> "Regression":
        own = ("centre", "spread", "levels")
        options = {key: value for key, value in settings.items() if key not in own}
        chosen = from_dict(RegressionOptions, options, where="task.json")
        return cls(tokenizer, config, chosen, **{key: settings[key] for key in own if key in settings})

    def encode(self, example: NumberExample | str) -> list[Window]:
        """Return one window, or several if a long text is to be split; the label is a number or nan, (1,)."""
        example = as_example(NumberExample, example)
        number = float("nan") if example.label is None else number_of(example)
        return text_windows(self, example.text, example.pair, np.array([number], np.float64))

    def scores(self, encoder: Encoder, batch: Packed) -> Tensor:
        """Return the head's scores (N,) in float32, before centre and spread."""
        return text_scores(self, encoder, batch, exact=True).squeeze(-1)

    def loss(self, encoder: Encoder, batch: Packed, targets: Targets) -> Loss:
        scores_N = self.scores(encoder, batch)
        if self.levels is not None:
            total = self.levels.loss(scores_N, targets.labels)
        else:
            wanted_N = ((targets.labels - self.centre) / self.spread).to(scores_N.dtype)
            total = (scores_N - wanted_N).square().sum()
        return Loss({"loss": total}, targets.counts, logits={"loss": scores_N})

    def predict(self, encoder: Encoder, batch: Packed, windows: Sequence[Window]) -> list[Any]:
        """Return the number of each window."""
        numbers: list[float] = self.numbers(self.scores(encoder, batch)).tolist()
        return numbers

    def numbers(self, scores_N: Tensor) -> Tensor:
        """Return the numbers (N,) that scores stand for, in float64."""
        if self.levels is not None:
            return self.levels.expected(scores_N)
        return self.centre + self.spread * scores_N.double()

    def merge(self, example: Any, windows: Sequence[Window], predictions: Sequence[Any]) -> Estimate:
        return Estimate(float(np.mean(predictions)))

    def score(self, answers: Sequence[Estimate], examples: Sequence[NumberExample]) -> dict[str, Any]:
        """Return both correlations, the mean squared and the mean absolute error.

        With ordered levels also the accuracy of the level that is nearest to the answer.
        """
        gold_N = np.array([number_of(example) for example in examples])
        value_N = np.array([answer.value for answer in answers])
        if not np.isfinite(value_N).all():  # weights that have blown up
            return {"spearman": 0.0, "pearson": 0.0}
        scores = {
            "spearman": spearman(value_N, gold_N),
            "pearson": pearson(value_N, gold_N),
            "mean_squared_error": float(np.square(value_N - gold_N).mean()),
            "mean_absolute_error": float(np.abs(value_N - gold_N).mean()),
        }
        if self.levels is not None:
            level_N = np.array(self.levels.values)[self.levels.nearest(value_N)]
            scores["accuracy"] = float((level_N == gold_N).mean())
        return scores

    @torch.no_grad()
    def plain_head(self) -> dict[str, Tensor]:
        """Return the weights of a head that gives the number itself, without centre and spread."""
        weights = dict(self.state_dict())
        weights["classifier.weight"] = self.classifier.weight * self.spread
        weights["classifier.bias"] = self.classifier.bias * self.spread + self.centre
        return weights

    def show(self, example: NumberExample | str, answer: Estimate) -> dict[str, Any]:
        text, pair = (example, None) if isinstance(example, str) else (example.text, example.pair)
        return {"text": text, **({} if pair is None else {"pair": pair}), "value": round(answer.value, 6)}


def number_of(example: NumberExample) -> float:
    """Return an example's number; raises InputError for none and for what is not finite."""
    if example.label is None or not np.isfinite(example.label):
        raise InputError(f"label {example.label!r} of {example.text[:60]!r} is no finite number; give one")
    return float(example.label)
