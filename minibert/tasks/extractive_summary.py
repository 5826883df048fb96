"""Extractive summaries: each sentence of a document gets a score, and the best ones are the summary.

Y. Liu, M. Lapata (2019), *Text Summarization with Pretrained Encoders* (BertSumExt), with the mean of a
sentence's tokens in place of a token of its own::

    p(sentence is taken) = sigmoid(mean of its hidden states w' + b + place[number of the sentence])

place is a learnt number for each of the first 31 sentences and one for all that follow: a window in the
middle of a document would else not know where it is. A sentence is positive if the greedy extract holds it
(summary_oracle). The summary is the highest sentences in document order, so many, or until a share of the
characters is reached. Left out: trigram blocking.

Letters: T tokens, M sentences, D hidden size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from minibert.config import from_dict, to_dict
from minibert.data.examples import SummaryExample, as_example, check_examples
from minibert.data.summaries import read_summaries
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.model.linear import Dropout, Linear, initialize
from minibert.packed import Layout, Packed
from minibert.tasks.pooling import check_shares, pool
from minibert.tasks.rouge import rouge_scores
from minibert.tasks.sentence_windows import PLACES, SentenceTargets, sentence_windows, targets_of
from minibert.tasks.summary_oracle import best_extract
from minibert.tasks.task import LogitsOf, Loss, Task, Window
from minibert.tasks.windows import window_length
from minibert.text.sentences import sentence_spans
from minibert.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class ExtractiveSummaryOptions:
    """What a person may choose.

    num_sentences  sentences in a summary
    ratio          share of the document's characters; above 0 it takes the place of num_sentences
    """

    max_length: int = 0
    classifier_dropout: float = 0.1
    num_sentences: int = 3
    ratio: float = 0.0

    def __post_init__(self) -> None:
        check_shares(self, "classifier_dropout")


@dataclass(frozen=True)
class ScoredSentence:
    """One sentence [start, end) in characters of the document, and how likely it belongs to a summary."""

    start: int
    end: int
    score: float
    chosen: bool


@dataclass(frozen=True)
class Extract:
    """The answer for one document: its summary, a sentence on each line, and what was scored."""

    summary: str
    sentences: tuple[ScoredSentence, ...]


class ExtractiveSummary(Task):
    """A score for each sentence of a document."""

    name: ClassVar[str] = "extractive_summary"
    Options: ClassVar[type] = ExtractiveSummaryOptions
    logits_of: ClassVar[LogitsOf | None] = "labels"
    columns: ClassVar[tuple[str, ...]] = ("text_column", "label_column")

    def __init__(
        self, tokenizer: Tokenizer, config: EncoderConfig, options: ExtractiveSummaryOptions
    ) -> None:
        super().__init__(tokenizer, window_length(options.max_length, config, tokenizer))
        if options.num_sentences < 1 or not 0 <= options.ratio <= 1:
            raise InputError(
                f"num_sentences {options.num_sentences}, ratio {options.ratio}; at least one sentence and a "
                "share from 0 to 1 are wanted"
            )
        self.options = options
        self.dropout = Dropout(options.classifier_dropout)
        self.scorer = Linear(config.hidden_size, 1)
        initialize(self, config.initializer_range)
        self.place = nn.Parameter(torch.zeros(PLACES))

    @classmethod
    def read(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[SummaryExample]:
        return read_summaries(path, columns)

    @classmethod
    def build(
        cls,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        examples: Sequence[SummaryExample],
        options: dict[str, Any],
    ) -> "ExtractiveSummary":
        check_examples(SummaryExample, examples)
        return cls(tokenizer, config, from_dict(ExtractiveSummaryOptions, options, where="summary options"))

    def settings(self) -> dict[str, Any]:
        return to_dict(self.options)

    @classmethod
    def reopen(
        cls, tokenizer: Tokenizer, config: EncoderConfig, settings: dict[str, Any]
    ) -> "ExtractiveSummary":
        return cls(tokenizer, config, from_dict(ExtractiveSummaryOptions, settings, where="task.json"))

    def encode(self, example: SummaryExample | str) -> list[Window]:
        """Return windows of whole sentences."""
        example = as_example(SummaryExample, example)
        spans = sentence_spans(example.text)
        labels = np.full(len(spans), -1)
        if example.summary is not None:
            labels[:] = 0
            labels[best_extract([example.text[a:b] for a, b in spans], example.summary)] = 1
        return sentence_windows(
            self.tokenizer, example.text, spans, labels=labels, max_length=self.max_length
        )

    def collate(  # type: ignore[override]
        self, windows: Sequence[Window], seed: int, step: int, progress: float
    ) -> tuple[Packed, SentenceTargets]:
        """Pack windows; the targets say which rows are whose."""
        return self.pack(windows), targets_of(windows)

    def logits(self, encoder: Encoder, batch: Packed, targets: SentenceTargets) -> Tensor:
        """Return a float32 score for each sentence, (M,)."""
        layout = Layout.of(targets.sizes, device=targets.rows.device)
        means_MD = pool("mean", encoder(batch)[targets.rows], layout)
        scores: Tensor = self.scorer(self.dropout(means_MD)).float().squeeze(-1)
        return scores + self.place[targets.places]

    def loss(self, encoder: Encoder, batch: Packed, targets: Any) -> Loss:
        scores_M = self.logits(encoder, batch, targets)
        total = nn.functional.binary_cross_entropy_with_logits(
            scores_M, targets.labels.float(), reduction="sum"
        )
        return Loss({"loss": total}, targets.counts, logits={"loss": scores_M[:, None]})

    def predict(self, encoder: Encoder, batch: Packed, windows: Sequence[Window]) -> list[Any]:
        """Return the probabilities (M,) of the sentences of each window."""
        scores_M = self.logits(encoder, batch, targets_of(windows).to(batch.ids.device)).sigmoid().cpu()
        return [part.numpy() for part in scores_M.split([len(window.rows) for window in windows])]

    def merge(self, example: Any, windows: Sequence[Window], predictions: Sequence[Any]) -> Extract:
        text = example if isinstance(example, str) else example.text
        spans = sentence_spans(text)
        numbers = np.concatenate([window.units for window in windows]).astype(int)
        scores = dict(zip(numbers.tolist(), np.concatenate(predictions).tolist(), strict=True))
        chosen = self.chosen(scores, [end - start for start, end in spans])
        sentences = tuple(
            ScoredSentence(start, end, scores.get(number, 0.0), number in chosen)
            for number, (start, end) in enumerate(spans)
        )
        return Extract("\n".join(text[each.start : each.end] for each in sentences if each.chosen), sentences)

    def chosen(self, scores: dict[int, float], sizes: Sequence[int]) -> set[int]:
        """Return the numbers of the best sentences, as many as the options allow, and at least one."""
        ranked = sorted(scores, key=lambda number: (-scores[number], number))
        if not self.options.ratio:
            return set(ranked[: self.options.num_sentences])
        before = np.cumsum([0, *(sizes[number] for number in ranked)])
        return {n for n, used in zip(ranked, before, strict=False) if used < self.options.ratio * sum(sizes)}

    def score(self, answers: Sequence[Extract], examples: Sequence[SummaryExample]) -> dict[str, Any]:
        """Return the mean F1 of ROUGE-1, 2, L and Lsum."""
        references = [str(example.summary) for example in examples]
        return dict(rouge_scores([answer.summary for answer in answers], references))

    @classmethod
    def answered(cls, example: SummaryExample) -> bool:
        return example.summary is not None

    @classmethod
    def unanswered(cls, example: SummaryExample) -> SummaryExample:
        return SummaryExample(example.text)
