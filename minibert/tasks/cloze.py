"""Cloze: classification as a gap to be filled, with the head that pretraining has left (PET).

T. Schick and H. Schuetze, 2021. A text is put into a template with one [MASK]; each label has one word, or a
few; the masked-language-model head scores the words at the gap, and the softmax runs over the labels alone::

    s(label) = mean over its words w of  norm(act(hidden_gap W + b)) . Table[w] + c[w]
    p(label | text) = softmax(s)

Nothing is new: the encoder, the head and the table know the words already, so that a handful of examples
go a long way, and none at all some of it (`few_labels.zero_shot`). What several templates say of unlabelled
text is distilled into one classifier by `further.distill`.

Letters: T tokens, N texts, D hidden size, W words, C labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from minibert.config import from_dict
from minibert.data.examples import TextExample, as_example, check_examples
from minibert.data.readers import read_texts
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.tasks.classification import Classified, plain_answer
from minibert.tasks.given import refuse_unanswered
from minibert.tasks.label_sets import natural, refuse_broken
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.metrics import Choices, choice_scores
from minibert.tasks.pooling import check_shares
from minibert.tasks.task import LogitsOf, Loss, Targets, Task, Window
from minibert.tasks.templates import EXAMPLE, PAIR, Template, Words, read_verbalizer, word_numbers
from minibert.tasks.windows import window_length
from minibert.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class ClozeOptions:
    """What a person may choose.

    template    a sentence with {text}, for pairs also {text_b}, and one [MASK]
    verbalizer  "label=word,label=word|word", or a table; empty takes the labels themselves for words
    max_length  0 means as long as the encoder allows
    """

    template: str = ""
    verbalizer: str | dict[str, Any] = ""
    max_length: int = 0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        check_shares(self, "label_smoothing")


class Cloze(Task):
    """One label for each text, by the word that fills a gap."""

    name: ClassVar[str] = "cloze"
    Options: ClassVar[type] = ClozeOptions
    columns: ClassVar[tuple[str, ...]] = ("text_column", "pair_column", "label_column")
    logits_of: ClassVar[LogitsOf | None] = "classes"
    grows_on_masks: ClassVar[bool] = True

    def __init__(
        self, tokenizer: Tokenizer, config: EncoderConfig, words: Words, options: ClozeOptions
    ) -> None:
        super().__init__(tokenizer, window_length(options.max_length, config, tokenizer))
        self.options, self.words = options, words
        self.labels = tuple(words)
        self.template = Template.of(options.template)
        pair = "" if PAIR in self.template.parts else None
        alone, _ = self.template.encode(tokenizer, "", pair, max_length=self.max_length)
        if len(alone) == self.max_length:
            raise InputError(
                f"template {str(self.template)!r} alone has {len(alone)} tokens, and max_length "
                f"{self.max_length} leaves no room for a text; use a larger one"
            )
        self.numbers = {label: number for number, label in enumerate(self.labels)}
        tokens = word_numbers(tokenizer, self.template, words)
        owner_W = torch.tensor([self.numbers[label] for label, ids in tokens.items() for _ in ids])
        share_WC = nn.functional.one_hot(owner_W, len(self.labels)).float()
        ids_W = torch.tensor([token for ids in tokens.values() for token in ids])
        self.register_buffer("ids_W", ids_W, persistent=False)
        self.register_buffer("share_WC", share_WC / share_WC.sum(0), persistent=False)
        self.ids_W: Tensor
        self.share_WC: Tensor
        self.language_model = MaskedLM(tokenizer, config)

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
    ) -> "Cloze":
        check_examples(TextExample, examples)
        chosen = from_dict(ClozeOptions, options, where="cloze options")
        if not chosen.template:
            raise InputError(f"cloze needs a template, such as --template {EXAMPLE!r}")
        refuse_unanswered(cls, examples)
        labels = sorted({str(example.label) for example in examples}, key=natural)
        refuse_broken(labels)
        words = read_verbalizer(chosen.verbalizer, labels)
        if len(words) < 2:
            raise InputError(f"cloze needs at least two labels; the training data has {labels}")
        return cls(tokenizer, config, words, chosen)

    def settings(self) -> dict[str, Any]:
        return {
            "template": self.options.template,
            "verbalizer": {label: list(told) for label, told in self.words.items()},
            "max_length": self.options.max_length,
            "label_smoothing": self.options.label_smoothing,
        }

    @classmethod
    def reopen(cls, tokenizer: Tokenizer, config: EncoderConfig, settings: dict[str, Any]) -> "Cloze":
        chosen = from_dict(ClozeOptions, settings, where="task.json")
        return cls(tokenizer, config, read_verbalizer(chosen.verbalizer, []), chosen)

    def inherit(self, earlier: Task) -> None:
        hidden = isinstance(earlier, MaskedLM) and earlier.own_table is not None
        if hidden and self.language_model.own_table is None:
            raise InputError(
                "config.json says tie_word_embeddings true, and the head has a table of its own; write the "
                "folder anew, which tells them apart: mb.load(FOLDER).save(DIR), and give that"
            )
        self.language_model.load_state_dict(earlier.state_dict())

    def encode(self, example: TextExample | str) -> list[Window]:
        """Return one window, the template around the text; its row is the gap."""
        example = as_example(TextExample, example)
        tokens, gap = self.template.encode(
            self.tokenizer, example.text, example.pair, max_length=self.max_length
        )
        number = -1 if example.label is None else self._number(str(example.label))
        return [Window(tokens, rows=gap, labels=np.array([number]), units=np.zeros(1, np.int64))]

    def _number(self, label: str) -> int:
        if label not in self.numbers:
            raise InputError(f"label {label!r} has no word; known labels: {', '.join(self.labels)}")
        return self.numbers[label]

    def logits(self, encoder: Encoder, batch: Packed, positions_N: Tensor) -> Tensor:
        """Return the scores (N, C) of the labels at the gaps, in float32."""
        hidden_ND = self.language_model.head(encoder(batch)[positions_N])
        table_WD = self.language_model.table(encoder)[self.ids_W]
        # In the table's dtype: rounded to bfloat16, the scores of words lie in steps and labels tie.
        scores_NW = (hidden_ND.to(table_WD.dtype) @ table_WD.T).float() + self.language_model.bias[self.ids_W]
        return scores_NW @ self.share_WC

    def loss(self, encoder: Encoder, batch: Packed, targets: Targets) -> Loss:
        logits_NC = self.logits(encoder, batch, targets.positions)
        smoothing = self.options.label_smoothing
        total = nn.functional.cross_entropy(
            logits_NC, targets.labels, label_smoothing=smoothing, reduction="sum", ignore_index=-1
        )
        return Loss({"loss": total}, targets.counts, logits={"loss": logits_NC})

    def predict(self, encoder: Encoder, batch: Packed, windows: Sequence[Window]) -> list[Any]:
        """Return the probabilities (C,) of each window."""
        starts = np.cumsum([0, *map(len, windows)])[:-1]
        rows_N = torch.from_numpy(starts + np.concatenate([window.rows for window in windows]))
        return list(self.logits(encoder, batch, rows_N.to(batch.ids.device)).softmax(-1).cpu().numpy())

    def merge(self, example: Any, windows: Sequence[Window], predictions: Sequence[Any]) -> Classified:
        shares = {label: float(p) for label, p in zip(self.labels, predictions[0], strict=True)}
        return Classified(max(shares, key=lambda label: shares[label]), shares)

    def score(self, answers: Sequence[Classified], examples: Sequence[TextExample]) -> dict[str, Any]:
        """Return accuracy, macro-F1, the report by class and the confusion matrix."""
        chosen = self.choices(answers, examples)
        return choice_scores(chosen.gold, chosen.predicted, chosen.labels)

    def choices(self, answers: Sequence[Classified], examples: Sequence[TextExample]) -> Choices:
        gold = [str(example.label) for example in examples]
        return Choices(gold, [answer.label for answer in answers], self.labels)

    def show(self, example: TextExample | str, answer: Classified) -> dict[str, Any]:
        return plain_answer(example, answer)
