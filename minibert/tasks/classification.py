"""Classification: one label for a text, or for a pair of texts.

The encoder's rows are pooled into one vector for each text, and a linear layer scores the classes::

    p(class | text) = softmax(pool(hidden) W' + b)

"first" pools the first token, [CLS], through a dense layer and tanh as BERT does; "mean" averages all tokens.
Other people's classifiers have other projections between the pooling and the classes.
A text longer than the model is truncated, or split into windows whose probabilities are averaged.

With a `reject_label`, the texts of that label train nothing; a text whose likeliest class stays below a
threshold is answered with it.

Letters: T tokens, N windows, D hidden size, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from minibert.config import from_dict, to_dict
from minibert.data.examples import TextExample, as_example, check_examples
from minibert.data.readers import read_texts
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.model.linear import Dropout, Linear, initialize
from minibert.packed import Packed
from minibert.tasks.calibration import at_temperature, best_fits, rejection_scores, settled_threshold
from minibert.tasks.class_weights import balanced
from minibert.tasks.label_sets import natural, refuse_broken
from minibert.tasks.metrics import Choices, choice_scores
from minibert.tasks.pooling import PoolingOptions, check_shares, projection_of, text_scores, text_windows
from minibert.tasks.task import LogitsOf, Loss, Targets, Task, Window
from minibert.tasks.windows import window_length
from minibert.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class ClassificationOptions(PoolingOptions):
    """What a person may choose, beside how a text becomes a vector.

    class_weights  "balanced" weighs each class by one over its frequency
    reject_label   a label that is no class but the answer where the likeliest class is below a threshold
    reject_below   that threshold; 0 chooses it on the validation data (0.5 without them)
    calibrate      fit a temperature on the validation data, so that probabilities mean what they say
    """

    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    reject_label: str = ""
    reject_below: float = 0.0
    calibrate: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, "label_smoothing")
        if not 0 <= self.reject_below <= 1:
            raise InputError(f"reject_below {self.reject_below} must be between 0 and 1")


@dataclass(frozen=True)
class Classified:
    """The answer for one text: the likeliest label, or that of no class; the probability of each class."""

    label: str
    probabilities: dict[str, float]


class Classification(Task):
    """One label for each text."""

    name: ClassVar[str] = "classification"
    Options: ClassVar[type] = ClassificationOptions
    columns: ClassVar[tuple[str, ...]] = ("text_column", "pair_column", "label_column")
    logits_of: ClassVar[LogitsOf | None] = "classes"

    def __init__(
        self,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        labels: Sequence[str],
        options: ClassificationOptions,
    ) -> None:
        super().__init__(tokenizer, window_length(options.max_length, config, tokenizer))
        self.labels = tuple(labels)
        self.options = options
        self.numbers = {label: number for number, label in enumerate(self.labels)}
        self.register_buffer("weights_C", torch.ones(len(self.labels)), persistent=False)
        self.weights_C: Tensor
        self.threshold = options.reject_below or 0.5
        self.dense, self.norm = projection_of(config, options.activation, options.projection_norm)
        self.dropout = Dropout(options.classifier_dropout)
        self.classifier = Linear(config.hidden_size, len(self.labels))
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
        check_examples(TextExample, examples)
        chosen = from_dict(ClassificationOptions, options, where="classification options")
        given = {str(example.label) for example in examples if example.label is not None}
        labels = sorted(given - {chosen.reject_label}, key=natural)
        refuse_broken(labels)
        if len(labels) < 2:
            raise InputError(f"classification needs at least two labels; the training data has {labels}")
        if chosen.calibrate and chosen.on_long == "split":
            raise InputError(
                "calibrate divides the scores of every window by one temperature, and on_long split averages "
                "the windows' probabilities, which it would not set right; leave out one of the two"
            )
        task = cls(tokenizer, config, labels, chosen)
        task.weigh(examples)
        return task

    def settings(self) -> dict[str, Any]:
        return {"labels": list(self.labels), **to_dict(self.options), "threshold": self.threshold}

    @classmethod
    def reopen(
        cls, tokenizer: Tokenizer, config: EncoderConfig, settings: dict[str, Any]
    ) -> "Classification":
        options = {key: value for key, value in settings.items() if key not in ("labels", "threshold")}
        chosen = from_dict(ClassificationOptions, options, where="task.json")
        task = cls(tokenizer, config, settings["labels"], chosen)
        task.threshold = settings.get("threshold", task.threshold)
        return task

    def weigh(self, *parts: Sequence[Any]) -> None:
        if self.options.class_weights == "balanced":
            found = [[example.label for example in part] for part in parts]
            self.weights_C.copy_(torch.tensor(balanced(self.labels, *found)))

    def encode(self, example: TextExample | str) -> list[Window]:
        """Return one window, or several if a long text is to be split; a text of no class asks for no row."""
        example = as_example(TextExample, example)
        rejected = bool(self.options.reject_label) and str(example.label) == self.options.reject_label
        number = -1 if rejected or example.label is None else self._number(str(example.label))
        windows = text_windows(self, example.text, example.pair, np.array([number]))
        return [replace(window, rows=window.rows[:0]) for window in windows] if rejected else windows

    def _number(self, label: str) -> int:
        if label not in self.numbers:
            raise InputError(
                f"label {label!r} was never seen in training; known labels: {', '.join(self.labels)}"
            )
        return self.numbers[label]

    def logits(self, encoder: Encoder, batch: Packed) -> Tensor:
        """Return the scores (N, C) in float32."""
        return text_scores(self, encoder, batch)

    def loss(self, encoder: Encoder, batch: Packed, targets: Targets) -> Loss:
        logits_NC = self.logits(encoder, batch)
        total = nn.functional.cross_entropy(
            logits_NC,
            targets.labels,
            weight=self.weights_C,
            label_smoothing=self.options.label_smoothing,
            reduction="sum",
            ignore_index=-1,
        )
        return Loss({"loss": total}, targets.counts, logits={"loss": logits_NC})

    def predict(self, encoder: Encoder, batch: Packed, windows: Sequence[Window]) -> list[Any]:
        """Return the probabilities (C,) of each window."""
        return list(self.logits(encoder, batch).softmax(-1).cpu().numpy())

    def merge(self, example: Any, windows: Sequence[Window], predictions: Sequence[Any]) -> Classified:
        mean_C = np.mean(predictions, axis=0)
        probabilities = {label: float(p) for label, p in zip(self.labels, mean_C, strict=True)}
        reject = self.options.reject_label
        rejected = bool(reject) and float(mean_C.max()) < self.threshold
        return Classified(reject if rejected else self.labels[int(mean_C.argmax())], probabilities)

    def score(self, answers: Sequence[Classified], examples: Sequence[TextExample]) -> dict[str, Any]:
        """Return accuracy, macro-F1, the calibration error, the report by class and the confusion matrix.

        With a reject_label also the accuracy of the texts that have a class, how many of the others were
        rejected, and the threshold that would have been best here (`best_fits`).
        """
        chosen = self.choices(answers, examples)
        scores = choice_scores(chosen.gold, chosen.predicted, chosen.labels)
        gold_N = np.array([self.numbers.get(label, -1) for label in chosen.gold])
        probability_NC = np.array([[*answer.probabilities.values()] for answer in answers])
        reject = self.options.reject_label
        apart = rejection_scores(chosen.gold, chosen.predicted, reject) if reject else {}
        fits = best_fits(probability_NC, gold_N, calibrate=self.options.calibrate, reject=bool(reject))
        return {**scores, **fits, **apart}

    @torch.no_grad()
    def settle(self, scores: dict[str, Any]) -> None:
        """Divide the last layer by the best temperature, and take over the best threshold."""
        for weight in self.classifier.parameters():
            weight.div_(scores.get("best_temperature", 1.0))
        if not self.options.reject_below:
            self.threshold = settled_threshold(scores, self.threshold)

    def once_settled(self, answers: Sequence[Classified], scores: dict[str, Any]) -> Sequence[Classified]:
        """Return the answers at the best threshold; their probabilities are still those of before."""
        reject, options = self.options.reject_label, self.options
        if not reject or options.reject_below or "best_threshold" not in scores:
            return answers
        probability_NC = np.array([[*answer.probabilities.values()] for answer in answers])
        likeliest_N = probability_NC.argmax(axis=1)
        surest_N = at_temperature(probability_NC, scores.get("best_temperature", 1.0)).max(axis=1)
        stays_N = surest_N >= settled_threshold(scores, self.threshold)
        labels = [
            self.labels[one] if stays else reject for one, stays in zip(likeliest_N, stays_N, strict=True)
        ]
        return [replace(answer, label=label) for answer, label in zip(answers, labels, strict=True)]

    def choices(self, answers: Sequence[Classified], examples: Sequence[TextExample]) -> Choices:
        gold = [str(example.label) for example in examples]
        reject = (self.options.reject_label,) if self.options.reject_label else ()
        return Choices(gold, [answer.label for answer in answers], (*self.labels, *reject))

    def show(self, example: TextExample | str, answer: Classified) -> dict[str, Any]:
        return plain_answer(example, answer)


def plain_answer(example: TextExample | str, answer: Classified) -> dict[str, Any]:
    """Return an answer as plain values, with the text or pair that it belongs to."""
    text, pair = (example, None) if isinstance(example, str) else (example.text, example.pair)
    probabilities = {label: round(share, 6) for label, share in answer.probabilities.items()}
    beside = {} if pair is None else {"pair": pair}
    return {"text": text, **beside, "label": answer.label, "probabilities": probabilities}
