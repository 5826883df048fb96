"""Several labels for a text, or none: each label is a question of its own, answered with yes or no.

    p(label | text) = sigmoid(pool(hidden) w + b)

The loss is binary cross-entropy, averaged over the labels of a text. A label is given where its probability
reaches a threshold; `threshold 0` chooses the one with the best micro-F1 on the validation data.

Left out: labels that depend on each other (a tree of classes), one threshold for each label, weights for rare
labels.

Letters: N windows, C labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from minibert.config import from_dict, to_dict
from minibert.data.examples import MultiLabelExample, as_example, check_examples
from minibert.data.labelled import read_multi_label
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.model.linear import Dropout, Linear, initialize
from minibert.packed import Packed
from minibert.tasks.calibration import fit_threshold
from minibert.tasks.given import refuse_unanswered
from minibert.tasks.label_sets import label_set_scores, natural, refuse_broken
from minibert.tasks.pooling import PoolingOptions, projection_of, text_scores, text_windows
from minibert.tasks.task import LogitsOf, Loss, Targets, Task, Window
from minibert.tasks.windows import window_length
from minibert.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class MultiLabelOptions(PoolingOptions):
    """What a person may choose, beside how a text becomes a vector.

    threshold  the probability from which on a label is given; 0 chooses it on the validation data
    """

    threshold: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.threshold <= 1:
            raise InputError(f"threshold {self.threshold} must be between 0 and 1")


@dataclass(frozen=True)
class MultiLabelled:
    """The answer for one text: the labels it has, the likeliest first, and the probability of each label."""

    labels: tuple[str, ...]
    probabilities: dict[str, float]


class MultiLabel(Task):
    """Any number of labels for each text."""

    name: ClassVar[str] = "multi_label"
    Options: ClassVar[type] = MultiLabelOptions
    logits_of: ClassVar[LogitsOf | None] = "labels"
    columns: ClassVar[tuple[str, ...]] = ("text_column", "pair_column", "label_column")

    def __init__(
        self, tokenizer: Tokenizer, config: EncoderConfig, labels: Sequence[str], options: MultiLabelOptions
    ) -> None:
        super().__init__(tokenizer, window_length(options.max_length, config, tokenizer))
        self.labels = tuple(labels)
        self.options = options
        self.numbers = {label: number for number, label in enumerate(self.labels)}
        self.threshold = options.threshold or 0.5
        self.dense, self.norm = projection_of(config, options.activation, options.projection_norm)
        self.dropout = Dropout(options.classifier_dropout)
        self.classifier = Linear(config.hidden_size, len(self.labels))
        initialize(self, config.initializer_range)

    @classmethod
    def read(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[MultiLabelExample]:
        return read_multi_label(path, **columns or {})

    @classmethod
    def build(
        cls,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        examples: Sequence[MultiLabelExample],
        options: dict[str, Any],
    ) -> "MultiLabel":
        check_examples(MultiLabelExample, examples)
        chosen = from_dict(MultiLabelOptions, options, where="multi_label options")
        refuse_unanswered(cls, examples)
        labels = sorted({label for example in examples for label in example.labels or ()}, key=natural)
        refuse_broken(labels)
        if not labels:
            raise InputError("multi_label needs at least one label; no text of the training data has any")
        return cls(tokenizer, config, labels, chosen)

    def settings(self) -> dict[str, Any]:
        return {
            "labels": list(self.labels),
            **to_dict(self.options),
            "fitted_threshold": self.threshold,
        }

    @classmethod
    def reopen(cls, tokenizer: Tokenizer, config: EncoderConfig, settings: dict[str, Any]) -> "MultiLabel":
        own = ("labels", "fitted_threshold")
        options = {key: value for key, value in settings.items() if key not in own}
        chosen = from_dict(MultiLabelOptions, options, where="task.json")
        task = cls(tokenizer, config, settings["labels"], chosen)
        task.threshold = settings.get("fitted_threshold", task.threshold)
        return task

    def encode(self, example: MultiLabelExample | str) -> list[Window]:
        """Return one window, or several if a long text is to be split; its labels are 0 and 1, (1, C)."""
        example = as_example(MultiLabelExample, example)
        has_1C = np.full((1, len(self.labels)), 0.0 if example.labels is not None else np.nan, np.float32)
        for label in example.labels or ():
            if label not in self.numbers:
                known = ", ".join(self.labels)
                raise InputError(f"label {label!r} was never seen in training; known labels: {known}")
            has_1C[0, self.numbers[label]] = 1.0
        return text_windows(self, example.text, example.pair, has_1C)

    def logits(self, encoder: Encoder, batch: Packed) -> Tensor:
        """Return the scores (N, C) in float32."""
        return text_scores(self, encoder, batch)

    def loss(self, encoder: Encoder, batch: Packed, targets: Targets) -> Loss:
        logits_NC = self.logits(encoder, batch)
        total = nn.functional.binary_cross_entropy_with_logits(logits_NC, targets.labels, reduction="sum")
        return Loss({"loss": total / len(self.labels)}, targets.counts, logits={"loss": logits_NC})

    def predict(self, encoder: Encoder, batch: Packed, windows: Sequence[Window]) -> list[Any]:
        """Return the probabilities (C,) of each window."""
        return list(self.logits(encoder, batch).sigmoid().cpu().numpy())

    def merge(self, example: Any, windows: Sequence[Window], predictions: Sequence[Any]) -> MultiLabelled:
        mean_C = np.mean(predictions, axis=0)
        probabilities = {label: float(p) for label, p in zip(self.labels, mean_C, strict=True)}
        return self._labelled(probabilities, self.threshold)

    def _labelled(self, probabilities: dict[str, float], threshold: float) -> MultiLabelled:
        likeliest = sorted(self.labels, key=lambda label: -probabilities[label])
        given = tuple(label for label in likeliest if probabilities[label] >= threshold)
        return MultiLabelled(given, probabilities)

    def score(
        self, answers: Sequence[MultiLabelled], examples: Sequence[MultiLabelExample]
    ) -> dict[str, Any]:
        """Return micro-F1, macro-F1, the share of texts whose labels are all right, and a report by label.

        best_threshold is the one that would have been best here.
        """
        gold = [example.labels or () for example in examples]
        scores = label_set_scores(gold, [answer.labels for answer in answers], self.labels)
        probability_NC = np.array([[*answer.probabilities.values()] for answer in answers])
        gold_NC = np.array([[label in wanted for label in self.labels] for wanted in gold])
        return {**scores, "best_threshold": fit_threshold(probability_NC, gold_NC)}

    def settle(self, scores: dict[str, Any]) -> None:
        if not self.options.threshold:
            self.threshold = scores.get("best_threshold", self.threshold)

    def once_settled(
        self, answers: Sequence[MultiLabelled], scores: dict[str, Any]
    ) -> Sequence[MultiLabelled]:
        if self.options.threshold:
            return answers
        return [self._labelled(answer.probabilities, scores["best_threshold"]) for answer in answers]

    @classmethod
    def answered(cls, example: MultiLabelExample) -> bool:
        return example.labels is not None

    @classmethod
    def unanswered(cls, example: MultiLabelExample) -> MultiLabelExample:
        return replace(example, labels=None)

    def show(self, example: MultiLabelExample | str, answer: MultiLabelled) -> dict[str, Any]:
        text, pair = (example, None) if isinstance(example, str) else (example.text, example.pair)
        probabilities = {label: round(share, 6) for label, share in answer.probabilities.items()}
        beside = {} if pair is None else {"pair": pair}
        return {"text": text, **beside, "labels": list(answer.labels), "probabilities": probabilities}
