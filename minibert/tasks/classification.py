"""Classification: one label for a text, or for a pair of texts.

The encoder's rows are pooled into one vector for each text, and a linear layer scores the classes::

    p(class | text) = softmax(pool(hidden) W' + b)

"first" pools the first token, [CLS], through a dense layer and tanh as BERT does; "mean" averages all tokens.
Other people's classifiers have other projections between the pooling and the classes.
A text longer than the model is truncated, or split into windows whose probabilities are averaged.

Letters: T tokens, N windows, D hidden size, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from minibert.config import from_dict, to_dict
from minibert.data.examples import TextExample
from minibert.data.readers import read_texts
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.model.linear import Dropout, Linear, initialize
from minibert.packed import Packed
from minibert.tasks.metrics import choice_scores
from minibert.tasks.pooling import Activation, pool, project, projection_of
from minibert.tasks.task import Choices, Loss, Targets, Task, Window
from minibert.tasks.windows import fit_text
from minibert.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class ClassificationOptions:
    """What a person may choose.

    max_length 0 means as long as the encoder allows. class_weights "balanced" weighs each class by one over
    its frequency. projection "auto" is tanh after the first token and none after the mean.
    """

    pooling: Literal["first", "mean"] = "first"
    max_length: int = 0
    on_long: Literal["truncate", "split", "error"] = "truncate"
    classifier_dropout: float = 0.1
    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    projection: Activation = "auto"
    projection_norm: bool = False

    @property
    def activation(self) -> str:
        """The activation of the dense layer after the pooling; "none" for no such layer."""
        if self.projection != "auto":
            return self.projection
        return "tanh" if self.pooling == "first" else "none"


@dataclass(frozen=True)
class Classified:
    """The answer for one text: the likeliest label, and the probability of every label."""

    label: str
    probabilities: dict[str, float]


class Classification(Task):
    """One label for each text."""

    name: ClassVar[str] = "classification"
    Options: ClassVar[type] = ClassificationOptions
    columns: ClassVar[tuple[str, ...]] = ("text_column", "pair_column", "label_column")
    tells_logits: ClassVar[bool] = True

    def __init__(
        self,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        labels: Sequence[str],
        options: ClassificationOptions,
        *,
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(tokenizer, options.max_length or config.longest_text)
        self.labels = tuple(labels)
        self.options = options
        self.numbers = {label: number for number, label in enumerate(self.labels)}
        self.register_buffer("weights_C", torch.tensor(weights or [1.0] * len(self.labels)), persistent=False)
        self.weights_C: Tensor
        hidden = config.hidden_size
        self.dense, self.norm = projection_of(config, options.activation, options.projection_norm)
        self.dropout = Dropout(options.classifier_dropout)
        self.classifier = Linear(hidden, len(self.labels))
        initialize(self, config.initializer_range)

    @classmethod
    def read(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[TextExample]:
        return read_texts(path, **columns or {})

    @classmethod
    def build(
        cls,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        examples: Sequence[TextExample],
        options: dict[str, Any],
    ) -> "Classification":
        chosen = from_dict(ClassificationOptions, options, where="classification options")
        found = [example.label for example in examples if example.label is not None]
        labels = sorted(set(found), key=_natural)
        if len(labels) < 2:
            raise InputError(f"classification needs at least two labels; the training data has {labels}")
        weights = None
        if chosen.class_weights == "balanced":
            weights = [len(found) / (len(labels) * found.count(label)) for label in labels]
        return cls(tokenizer, config, labels, chosen, weights=weights)

    def settings(self) -> dict[str, Any]:
        return {"labels": list(self.labels), **to_dict(self.options)}

    @classmethod
    def reopen(
        cls, tokenizer: Tokenizer, config: EncoderConfig, settings: dict[str, Any]
    ) -> "Classification":
        options = {key: value for key, value in settings.items() if key != "labels"}
        return cls(
            tokenizer,
            config,
            settings["labels"],
            from_dict(ClassificationOptions, options, where="task.json"),
        )

    def encode(self, example: TextExample | str) -> list[Window]:
        """Return one window, or several if a long text is to be split."""
        if isinstance(example, str):
            example = TextExample(example)
        number = -1 if example.label is None else self._number(example.label)
        windows = fit_text(
            self.tokenizer,
            example.text,
            example.pair,
            max_length=self.max_length,
            on_long=self.options.on_long,
        )
        zero = np.zeros(1, np.int64)
        return [Window(tokens, rows=zero, labels=zero + number, units=zero) for tokens in windows]

    def _number(self, label: str) -> int:
        if label not in self.numbers:
            raise InputError(
                f"label {label!r} was never seen in training; known labels: {', '.join(self.labels)}"
            )
        return self.numbers[label]

    def logits(self, encoder: Encoder, batch: Packed) -> Tensor:
        """Return the scores (N, C) in float32."""
        pooled_ND = pool(self.options.pooling, encoder(batch), batch.layout)
        pooled_ND = self.norm(project(self.options.activation, self.dense, pooled_ND))
        logits: Tensor = self.classifier(self.dropout(pooled_ND)).float()
        return logits

    def loss(self, encoder: Encoder, batch: Packed, targets: Targets) -> Loss:
        logits_NC = self.logits(encoder, batch)
        total = nn.functional.cross_entropy(
            logits_NC,
            targets.labels,
            weight=self.weights_C,
            label_smoothing=self.options.label_smoothing,
            reduction="sum",
        )
        return Loss({"loss": total}, targets.counts, logits=logits_NC)

    def predict(self, encoder: Encoder, batch: Packed, windows: Sequence[Window]) -> list[Any]:
        """Return the probabilities (C,) of each window."""
        return list(self.logits(encoder, batch).softmax(-1).cpu().numpy())

    def merge(self, example: Any, windows: Sequence[Window], predictions: Sequence[Any]) -> Classified:
        mean_C = np.mean(predictions, axis=0)
        probabilities = {label: float(p) for label, p in zip(self.labels, mean_C, strict=True)}
        return Classified(self.labels[int(mean_C.argmax())], probabilities)

    def score(self, answers: Sequence[Classified], examples: Sequence[TextExample]) -> dict[str, Any]:
        """Return accuracy, macro-F1, the report by class and the confusion matrix."""
        chosen = self.choices(answers, examples)
        return choice_scores(chosen.gold, chosen.predicted, self.labels)

    def choices(self, answers: Sequence[Classified], examples: Sequence[TextExample]) -> Choices:
        gold = [str(example.label) for example in examples]
        return Choices(gold, [answer.label for answer in answers], self.labels)

    def show(self, example: TextExample | str, answer: Classified) -> dict[str, Any]:
        text, pair = (example, None) if isinstance(example, str) else (example.text, example.pair)
        probabilities = {label: round(share, 6) for label, share in answer.probabilities.items()}
        beside = {} if pair is None else {"pair": pair}
        return {"text": text, **beside, "label": answer.label, "probabilities": probabilities}


def _natural(label: str) -> tuple[bool, float, str]:
    """Sort numbers by value before words by letter."""
    try:
        return (False, float(label), label)
    except ValueError:
        return (True, 0.0, label)
