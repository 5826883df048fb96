"""Extractive question answering: the stretch of a passage that answers a question (Rajpurkar et al., 2016).

The encoder reads [CLS] question [SEP] passage [SEP]. Two scores for each token of the passage say how well an
answer begins and ends there (Devlin et al., 2019)::

    start, end = softmax(hidden W' + b)       each over the tokens of one window
    loss       = -(log start[gold] + log end[gold]) / 2

The first token stands for "no answer here": a window without the answer points to it. A long passage is read
in windows that overlap; the span with the highest sum of two scores wins over all of them. Where the training
data hold unanswerable questions (SQuAD 2.0), "" is the answer if the first token's scores are above the best
span's by more than a threshold. What several people answered is learnt in the shares in which they did.

Letters: T tokens, M rows of all windows, P tokens of a window's passage, D hidden size, 2 start and end.
Left out: answers that are no stretch of the passage (yes and no, counts), and those of several stretches.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from minibert.config import from_dict, to_dict
from minibert.data.examples import QuestionExample, check_examples
from minibert.data.questions import read_questions
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.model.linear import Dropout, Linear, initialize
from minibert.packed import Packed
from minibert.tasks.answer_scores import Compared, report
from minibert.tasks.answer_spans import (
    Answer,
    SpanTargets,
    choose,
    gives_some,
    gold_spans,
    join_windows,
    log_softmax_within,
    shares_of,
    side_by_side,
    spans_of_window,
)
from minibert.tasks.pooling import project, projection_of
from minibert.tasks.question_options import QuestionAnsweringOptions, check
from minibert.tasks.task import Fit, LogitsOf, Loss, Task, Window, rows_of
from minibert.tasks.windows import spread
from minibert.text.encoded import Encoded
from minibert.text.tokenizer import Tokenizer


class QuestionAnswering(Task):
    """A stretch of a passage for each question."""

    name: ClassVar[str] = "question_answering"
    Options: ClassVar[type] = QuestionAnsweringOptions
    logits_of: ClassVar[LogitsOf | None] = "classes"
    columns: ClassVar[tuple[str, ...]] = ("question_column", "passage_column", "answers_column")

    def __init__(
        self, tokenizer: Tokenizer, config: EncoderConfig, options: QuestionAnsweringOptions, *, refuses: bool
    ) -> None:
        longest = config.longest_text
        super().__init__(tokenizer, min(options.max_length or longest, longest))
        self.options, self.refuses = options, refuses
        self.threshold = options.null_score_diff_threshold or 0.0
        self.room = self.max_length - tokenizer.special_count(pair=True)
        check(options, self.room)
        self.act = options.projection.replace("auto", "none")
        self.dense, self.norm = projection_of(config, self.act, options.projection_norm)
        self.dropout = Dropout(options.classifier_dropout)
        self.classifier = Linear(config.hidden_size, 2)
        initialize(self, config.initializer_range)

    @classmethod
    def read(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[QuestionExample]:
        return read_questions(path, **columns or {})

    @classmethod
    def answered(cls, example: QuestionExample) -> bool:
        return example.answers is not None

    @classmethod
    def unanswered(cls, example: QuestionExample) -> QuestionExample:
        return replace(example, answers=None)

    @classmethod
    def build(
        cls,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        examples: Sequence[QuestionExample],
        options: dict[str, Any],
    ) -> "QuestionAnswering":
        check_examples(QuestionExample, examples)
        chosen = from_dict(QuestionAnsweringOptions, options, where="question_answering options")
        if not any(gold.start is not None for example in examples for gold in example.answers or ()):
            raise InputError(
                f"question_answering learns from answers in passages; none of {len(examples)} has one"
            )
        refuses = any(not example.answers for example in examples if example.answers is not None)
        return cls(tokenizer, config, chosen, refuses=refuses)

    def settings(self) -> dict[str, Any]:
        return {"refuses": self.refuses, **to_dict(self.options), "threshold": self.threshold}

    @classmethod
    def reopen(
        cls, tokenizer: Tokenizer, config: EncoderConfig, settings: dict[str, Any]
    ) -> "QuestionAnswering":
        options = {key: value for key, value in settings.items() if key not in ("refuses", "threshold")}
        chosen = from_dict(QuestionAnsweringOptions, options, where="task.json")
        task = cls(tokenizer, config, chosen, refuses=settings["refuses"])
        task.threshold = settings.get("threshold", task.threshold)
        return task

    def encode(self, example: QuestionExample) -> list[Window]:
        """Return windows over the passage, the question in each.

        A window's rows are its first token and the tokens of the passage; `units` are the numbers that those
        have in the passage (-1 for the first), `labels` the shares (m, 2) of the wanted starts and ends.
        """
        if not isinstance(example, QuestionExample):
            raise InputError(f"{str(example)[:60]!r} is a text; a question and a passage are wanted")
        if not example.question.strip() or not example.passage.strip():
            raise InputError(
                f"question {example.id!r} is without words, or its passage: {example.question!r}"
            )
        question = self.tokenizer.encode(example.question)
        question = question.kept(slice(min(self.options.max_question_length, self.room // 2)))
        passage = self.tokenizer.encode(example.passage)
        room = self.room - len(question)
        golds = gold_spans(example.answers, passage.offsets, first=self.options.gold_answers == "first")
        windows = []
        for start, end in spread(len(passage), room, min(self.options.doc_stride, room // 2)):
            part = passage[start:end]
            tokens, first = self._build(question, part)
            shown = np.flatnonzero(part.offsets[:, 1] > part.offsets[:, 0])
            units = np.concatenate([[-1], start + shown])
            rows = np.concatenate([[0], first + shown])
            windows.append(Window(tokens, rows, shares_of(golds, units, inside=(start, end)), units))
        return windows

    def _build(self, question: Encoded, part: Encoded) -> tuple[Encoded, int]:
        """Join a question and a part of a passage; return where the part begins."""
        before = self.tokenizer.build(question, part[:0])
        after = len(self.tokenizer.around()[1])  # what closes a text closes a pair
        return self.tokenizer.build(question, part), len(before) - after

    def logits(self, encoder: Encoder, batch: Packed, positions_M: Tensor) -> Tensor:
        """Return the scores (M, 2) of starts and ends at `positions`, in float32."""
        hidden_MD = self.norm(project(self.act, self.dense, encoder(batch)[positions_M]))
        logits_M2: Tensor = self.classifier(self.dropout(hidden_MD)).float()
        return logits_M2

    def unlabelled(self, window: Any) -> Any:
        labels = np.zeros_like(window.labels)
        labels[0] = 1  # no answer here: all nothing would mean that nobody knows
        return replace(window, labels=labels)

    def collate(self, windows: Sequence[Window], seed: int, step: int, progress: float) -> tuple[Packed, Any]:
        batch, targets = super().collate(windows, seed, step, progress)
        known = tuple(bool(window.labels.any()) for window in windows)
        return batch, SpanTargets(targets.positions, targets.labels, targets.lengths, known)

    def loss(self, encoder: Encoder, batch: Packed, targets: Any) -> Loss:
        logits_M2 = self.logits(encoder, batch, targets.positions)
        log_shares_M2 = log_softmax_within(logits_M2, targets.lengths)
        total = -(targets.shares_M2 * log_shares_M2).sum() / 2
        return Loss({"loss": total}, targets.counts, logits={"loss": side_by_side(logits_M2, targets)})

    def predict(self, encoder: Encoder, batch: Packed, windows: Sequence[Window]) -> list[Any]:
        """Return the scores (m, 2) of the rows of each window."""
        logits_M2 = self.logits(encoder, batch, rows_of(windows).to(batch.ids.device)).cpu()
        return [part.numpy() for part in logits_M2.split([len(window.rows) for window in windows])]

    def merge(self, example: Any, windows: Sequence[Window], predictions: Sequence[Any]) -> Answer:
        longest, count = self.options.max_answer_length, self.options.n_best
        found = [
            spans_of_window(logits[1:], window.tokens.offsets[window.rows[1:]], longest=longest, count=count)
            for window, logits in zip(windows, predictions, strict=True)
        ]
        nothing = min(float(logits[0].sum()) for logits in predictions)
        threshold = self.threshold if self.refuses else None
        return choose(example.passage, join_windows(found, count), nothing, threshold=threshold)

    def score(self, answers: Sequence[Answer], examples: Sequence[QuestionExample]) -> dict[str, Any]:
        """Return F1 and exact match; where questions are unanswerable, those of both kinds as well."""
        matches = []
        for answer, example in zip(answers, examples, strict=True):
            if example.answers is None:
                raise InputError(
                    f"question {example.id!r} has no answers to compare with: {example.question!r}"
                )
            golds = [gold.text for gold in example.answers]
            matches.append(Compared.of(answer, golds, example.question))
        return report(matches)

    def fit_of(self, windows: Sequence[Window]) -> Fit:
        given = gives_some(windows, self.options.max_answer_length)
        return super().fit_of(windows) if given else "long_answer"

    def settle(self, scores: dict[str, Any]) -> None:
        """Take the threshold that was best on validation data, unless a person chose one."""
        if self.options.null_score_diff_threshold is None and "best_f1_threshold" in scores:
            self.threshold = scores["best_f1_threshold"]

    def once_settled(self, answers: Sequence[Answer], scores: dict[str, Any]) -> Sequence[Answer]:
        threshold = scores.get("best_f1_threshold")
        if not self.refuses or threshold is None or self.options.null_score_diff_threshold is not None:
            return answers
        return [answer.at(threshold) for answer in answers]

    def show(self, example: QuestionExample, answer: Answer) -> dict[str, Any]:
        beside = {"id": example.id} if example.id else {}
        return {**beside, "question": example.question, **asdict(answer)}
