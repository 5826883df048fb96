"""Multiple choice: which of several ways to go on, or answers to a question, is right.

Each choice is read together with the text, as a pair, and gets one score; the softmax goes over the choices
of the example, however many they are::

    p(choice) = exp(s(choice)) / sum of exp(s) over the example's choices,      s = pool(hidden) w + b

The choices of an example stand in one `ChoiceWindow`, so that they are never parted between batches.

Left out: several right choices; texts that are split (a long text is cut, or refused).

Letters: N examples, S sequences (the choices of all examples), K choices of the example that has most.
Source: A. Radford et al. (2018), Improving Language Understanding by Generative Pre-Training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from minibert.config import from_dict, to_dict
from minibert.data.choices import read_choices
from minibert.data.examples import ChoiceExample, as_example, check_examples
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.model.linear import Dropout, Linear, initialize
from minibert.packed import Packed
from minibert.tasks.given import refuse_unanswered
from minibert.tasks.pooling import PoolingOptions, projection_of, text_scores
from minibert.tasks.task import NEVER, Fit, LogitsOf, Loss, Targets, Task, Window
from minibert.tasks.windows import fit_text, window_length
from minibert.text.encoded import Encoded
from minibert.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class MultipleChoiceOptions(PoolingOptions):
    """What a person may choose: how a text becomes a vector, and whether a long text is cut or refused."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.on_long == "split":
            raise InputError("on_long 'split' is not for multiple_choice; use truncate, head_tail or error")


@dataclass(frozen=True)
class ChoiceWindow(Window):
    """What the encoder sees of one example: a sequence for each choice. Its length is that of all together.

    tokens  the longest of the sequences
    rows    (k,) where each of the k sequences begins
    labels  (1,) the place of the right one, -1 where nobody knows
    """

    choices: tuple[Encoded, ...] = ()

    def __len__(self) -> int:
        return sum(map(len, self.choices))


@dataclass(frozen=True)
class Chosen:
    """The answer for one example: the place of the likeliest choice, its text, each choice's probability."""

    label: int
    choice: str
    probabilities: tuple[float, ...]


class MultipleChoice(Task):
    """The right one of several choices."""

    name: ClassVar[str] = "multiple_choice"
    Options: ClassVar[type] = MultipleChoiceOptions
    logits_of: ClassVar[LogitsOf | None] = "classes"
    columns: ClassVar[tuple[str, ...]] = ("text_column", "question_column", "choices_column", "label_column")

    def __init__(self, tokenizer: Tokenizer, config: EncoderConfig, options: MultipleChoiceOptions) -> None:
        super().__init__(tokenizer, window_length(options.max_length, config, tokenizer))
        self.options = options
        self.dense, self.norm = projection_of(config, options.activation, options.projection_norm)
        self.dropout = Dropout(options.classifier_dropout)
        self.classifier = Linear(config.hidden_size, 1)
        initialize(self, config.initializer_range)

    @classmethod
    def read(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[ChoiceExample]:
        return read_choices(path, **columns or {})

    @classmethod
    def build(
        cls,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        examples: Sequence[ChoiceExample],
        options: dict[str, Any],
    ) -> "MultipleChoice":
        check_examples(ChoiceExample, examples)
        refuse_unanswered(cls, examples)
        return cls(
            tokenizer, config, from_dict(MultipleChoiceOptions, options, where="multiple_choice options")
        )

    def settings(self) -> dict[str, Any]:
        return to_dict(self.options)

    @classmethod
    def reopen(
        cls, tokenizer: Tokenizer, config: EncoderConfig, settings: dict[str, Any]
    ) -> "MultipleChoice":
        return cls(tokenizer, config, from_dict(MultipleChoiceOptions, settings, where="task.json"))

    def encode(self, example: ChoiceExample | str) -> list[Window]:
        """Return one window, in which every choice stands beside the text."""
        if isinstance(example, str):
            raise InputError(f"multiple_choice needs choices beside the text {example[:60]!r}; give a file")
        example = as_example(ChoiceExample, example)
        if len(example.choices) < 2:
            raise InputError(
                f"{example.text[:60]!r} has {len(example.choices)} choices; at least 2 are needed"
            )
        if example.label is not None and not 0 <= example.label < len(example.choices):
            raise InputError(
                f"label {example.label} of {example.text[:60]!r} is the place of no choice; "
                f"there are 0 to {len(example.choices) - 1}"
            )
        asked = "" if example.question is None else f"{example.question} "
        limits: dict[str, Any] = {"max_length": self.max_length, "on_long": self.options.on_long}
        parts = [
            fit_text(self.tokenizer, example.text, asked + choice, **limits)[0] for choice in example.choices
        ]
        return [
            ChoiceWindow(
                tokens=max(parts, key=len),
                rows=np.cumsum([0, *map(len, parts[:-1])]),
                labels=np.array([-1 if example.label is None else example.label]),
                units=np.arange(len(parts)),
                choices=tuple(parts),
            )
        ]

    def pack(self, windows: Sequence[Window]) -> Packed:
        """Lay the choices of all windows end to end: a sequence for each choice."""
        parts = [part for window in windows if isinstance(window, ChoiceWindow) for part in window.choices]
        return Packed.of([part.ids for part in parts], [part.segments for part in parts])

    def fit_of(self, windows: Sequence[Any]) -> Fit:
        """An example has a text for each choice; it is cut if one of them is."""
        return "cut" if any(part.cut for window in windows for part in window.choices) else "whole"

    def scores(self, encoder: Encoder, batch: Packed, counts: Sequence[int]) -> Tensor:
        """Return the choices' scores (N, K) in float32, those of no choice where an example has fewer.

        counts  how many choices each example has
        """
        scores_S = text_scores(self, encoder, batch).squeeze(-1)
        return pad_sequence(scores_S.split(list(counts)), batch_first=True, padding_value=NEVER)

    def loss(self, encoder: Encoder, batch: Packed, targets: Targets) -> Loss:
        scores_NK = self.scores(encoder, batch, targets.lengths)
        total = nn.functional.cross_entropy(scores_NK, targets.labels, reduction="sum", ignore_index=-1)
        return Loss({"loss": total}, targets.counts, logits={"loss": scores_NK})

    def predict(self, encoder: Encoder, batch: Packed, windows: Sequence[Window]) -> list[Any]:
        """Return the probabilities (k,) of each example's choices."""
        counts = [len(window.rows) for window in windows]
        shares_NK = self.scores(encoder, batch, counts).softmax(-1).cpu().numpy()
        return [shares_K[:count] for shares_K, count in zip(shares_NK, counts, strict=True)]

    def merge(self, example: ChoiceExample, windows: Sequence[Window], predictions: Sequence[Any]) -> Chosen:
        best = int(predictions[0].argmax())
        return Chosen(best, example.choices[best], tuple(map(float, predictions[0])))

    def score(self, answers: Sequence[Chosen], examples: Sequence[ChoiceExample]) -> dict[str, Any]:
        """Return the accuracy, and that of blind guesses beside it."""
        right = [answer.label == example.label for answer, example in zip(answers, examples, strict=True)]
        if not right:
            raise InputError("0 examples came; scores need at least one")
        chance = [1 / len(example.choices) for example in examples]
        return {"accuracy": float(np.mean(right)), "chance": float(np.mean(chance))}

    def show(self, example: ChoiceExample, answer: Chosen) -> dict[str, Any]:
        asked = {} if example.question is None else {"question": example.question}
        shares = [round(share, 6) for share in answer.probabilities]
        chosen = {"label": answer.label, "choice": answer.choice}
        return {"text": example.text, **asked, **chosen, "probabilities": shares}
