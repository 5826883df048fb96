"""Intents and slots: what a request wants, and which of its words say so, from one encoder.

Two heads read the same hidden states and are learnt together (Chen, Zhuo and Wang, 2019, "BERT for Joint
Intent Classification and Slot Filling")::

    p(intent | text) = softmax(pool(hidden) U' + a)
    p(tag | word)    = softmax(hidden[first token] W' + b)
    loss             = -mean log p(intent) - slot_loss_coef * mean log p(tag)

Slots are spans, scored strictly as entities are. With `crf` the tags of a text are scored together. A long
text is split into windows that overlap; the probabilities of its intent are averaged over them.

Letters: T tokens, N windows, M words, D hidden size, C tags, I intents.
Left out: several intents for one text; "a#b", as ATIS writes them, is one intent of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from minibert.config import from_dict, to_dict
from minibert.data.examples import IntentExample, as_example, check_examples
from minibert.data.intents import read_intents, read_unanswered_intents
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.model.linear import Dropout, Linear, initialize
from minibert.packed import Layout, Packed
from minibert.tasks.crf import LinearChainCRF
from minibert.tasks.label_sets import refuse_broken
from minibert.tasks.metrics import Choices
from minibert.tasks.pooling import check_shares, pool
from minibert.tasks.requests import IntentTargets, IntentWindow, Understood, request_scores
from minibert.tasks.spans import to_bio
from minibert.tasks.tags import entities_of, likeliest, spell_tags, tag_labels, tag_loss, words_of
from minibert.tasks.task import LogitsOf, Loss, Task, rows_of
from minibert.tasks.windows import fit_words, window_length
from minibert.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class IntentSlotsOptions:
    """What a person may choose; max_length 0 means as long as the encoder allows.

    label_smoothing  of intents and tags; with a random field (crf) of the intents alone
    """

    pooling: Literal["first", "mean"] = "first"
    max_length: int = 0
    on_long: Literal["truncate", "split", "error"] = "split"
    classifier_dropout: float = 0.1
    label_smoothing: float = 0.0
    crf: bool = False
    slot_loss_coef: float = 1.0

    def __post_init__(self) -> None:
        check_shares(self, "classifier_dropout", "label_smoothing")
        if self.slot_loss_coef < 0:
            raise InputError(f"slot_loss_coef {self.slot_loss_coef} must not be negative")


class IntentSlots(Task):
    """An intent for each text, and a tag for each of its words."""

    name: ClassVar[str] = "intent_slots"
    Options: ClassVar[type] = IntentSlotsOptions
    logits_of: ClassVar[LogitsOf | None] = "classes"
    columns: ClassVar[tuple[str, ...]] = ("text_column", "label_column")
    takes_unseen: ClassVar[bool] = True

    def __init__(
        self,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        intents: Sequence[str],
        labels: Sequence[str],
        options: IntentSlotsOptions,
        *,
        scheme: str,
    ) -> None:
        super().__init__(tokenizer, window_length(options.max_length, config, tokenizer))
        self.intents, self.labels = tuple(intents), tuple(labels)
        self.options, self.scheme = options, scheme
        self.intent_numbers = {intent: number for number, intent in enumerate(self.intents)}
        self.tag_numbers = {tag: number for number, tag in enumerate(self.labels)}
        self.dropout = Dropout(options.classifier_dropout)
        self.intent_classifier = Linear(config.hidden_size, len(self.intents))
        self.slot_classifier = Linear(config.hidden_size, len(self.labels))
        initialize(self, config.initializer_range)
        self.crf = LinearChainCRF(len(self.labels)) if options.crf else None

    @classmethod
    def read(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[IntentExample]:
        return read_intents(path, label_column=(columns or {}).get("label_column"))

    @classmethod
    def read_unanswered(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[Any]:
        return read_unanswered_intents(path, text_column=(columns or {}).get("text_column"))

    @classmethod
    def answered(cls, example: IntentExample) -> bool:
        return example.intent is not None and example.tags is not None

    @classmethod
    def unanswered(cls, example: IntentExample) -> IntentExample:
        return replace(example, tags=None, intent=None)

    @classmethod
    def build(
        cls,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        examples: Sequence[IntentExample],
        options: dict[str, Any],
    ) -> "IntentSlots":
        check_examples(IntentExample, examples)
        chosen = from_dict(IntentSlotsOptions, options, where="options of intent_slots")
        for example in examples:
            if not cls.answered(example):
                raise InputError(f"{example.text[:60]!r} lacks its intent or its tags; training needs both")
        intents = sorted({str(example.intent) for example in examples})
        labels, scheme = tag_labels(example.tags for example in examples if example.tags is not None)
        refuse_broken([*intents, *labels])
        if len(intents) < 2:
            raise InputError(f"intent_slots needs at least two intents; the training data has {intents}")
        if scheme is None or len(labels) < 2:
            told = "slots are spans, tagged like B-city and I-city, O elsewhere"
            raise InputError(f"{told}; the tags are {labels[:9]}")
        return cls(tokenizer, config, intents, labels, chosen, scheme=scheme)

    def settings(self) -> dict[str, Any]:
        kept = {"intents": list(self.intents), "labels": list(self.labels), "scheme": self.scheme}
        return {**kept, **to_dict(self.options)}

    @classmethod
    def reopen(cls, tokenizer: Tokenizer, config: EncoderConfig, settings: dict[str, Any]) -> "IntentSlots":
        rest = dict(settings)
        intents, labels, scheme = (rest.pop(name) for name in ("intents", "labels", "scheme"))
        chosen = from_dict(IntentSlotsOptions, rest, where="task.json")
        return cls(tokenizer, config, intents, labels, chosen, scheme=scheme)

    def example(self, example: IntentExample | str) -> IntentExample:
        """Return the example with its tags in BIO; a bare text is cut into words."""
        if isinstance(example, str):
            return IntentExample(example, words_of(example).spans)
        example = as_example(IntentExample, example)
        tags = None if example.tags is None else tuple(to_bio(example.tags, self.scheme))
        return replace(example, tags=tags)

    def encode(self, example: IntentExample | str) -> list[Any]:
        """Return windows in which every word is asked exactly once.

        An intent or a tag that training never saw is no error here (real test sets hold such), but cannot be
        answered; `score` tells how many sentences have one.
        """
        example = self.example(example)
        tags = [self.tag_numbers.get(tag, -1) for tag in example.tags or ()]
        windows = fit_words(
            self.tokenizer,
            example.text,
            example.spans,
            labels=np.array([-1] * len(example.spans) if example.tags is None else tags, np.int64),
            max_length=self.max_length,
            on_long=self.options.on_long,
        )
        intent = self.intent_numbers.get(str(example.intent), -1)
        return [IntentWindow(window, intent) for window in windows]

    def unlabelled(self, window: Any) -> IntentWindow:
        return IntentWindow(super().unlabelled(window.words), intent=0)

    def collate(  # type: ignore[override]
        self, windows: Sequence[Any], seed: int, step: int, progress: float
    ) -> tuple[Packed, IntentTargets]:
        """Pack windows into a batch, as `Task.collate` does, with their intents beside the tags."""
        batch, slots = super().collate([window.words for window in windows], seed, step, progress)
        return batch, IntentTargets(slots, torch.tensor([window.intent for window in windows]))

    def intent_logits(self, hidden_TD: Tensor, layout: Layout) -> Tensor:
        """Return the scores (N, I) of the intents in float32."""
        pooled_ND = self.dropout(pool(self.options.pooling, hidden_TD, layout))
        logits_NI: Tensor = self.intent_classifier(pooled_ND).float()
        return logits_NI

    def emissions(self, hidden_TD: Tensor, positions_M: Tensor) -> Tensor:
        """Return the scores (M, C) of the tags in float32."""
        emissions_MC: Tensor = self.slot_classifier(self.dropout(hidden_TD[positions_M])).float()
        return emissions_MC

    def loss(self, encoder: Encoder, batch: Packed, targets: IntentTargets) -> Loss:  # type: ignore[override]
        smoothing, slots = self.options.label_smoothing, targets.slots
        hidden_TD = encoder(batch)
        emissions_MC = self.emissions(hidden_TD, slots.positions)
        slot_loss = tag_loss(emissions_MC, slots, crf=self.crf, smoothing=smoothing)
        logits_NI = self.intent_logits(hidden_TD, batch.layout)
        intent_loss = nn.functional.cross_entropy(
            logits_NI, targets.intents, label_smoothing=smoothing, reduction="sum"
        )
        logits = {"intent": logits_NI, "slots": emissions_MC}
        weights = {"slots": self.options.slot_loss_coef}
        return Loss({"intent": intent_loss, "slots": slot_loss}, targets.counts, weights, logits)

    def predict(self, encoder: Encoder, batch: Packed, windows: Sequence[Any]) -> list[Any]:
        """Return the probabilities (I,) of the intents, and the tags (m,) with theirs, of each window."""
        words = [window.words for window in windows]
        hidden_TD = encoder(batch)
        shares = self.intent_logits(hidden_TD, batch.layout).softmax(-1).cpu().numpy()
        emissions_MC = self.emissions(hidden_TD, rows_of(words).to(batch.ids.device))
        lengths = [len(window.rows) for window in words]
        tags = likeliest(emissions_MC, lengths, crf=self.crf, spans=self.labels)
        return list(zip(shares, tags, strict=True))

    def merge(self, example: Any, windows: Sequence[Any], predictions: Sequence[Any]) -> Understood:
        example = self.example(example)
        mean_I = np.mean([shares for shares, _ in predictions], axis=0)
        found = [tags for _, tags in predictions]
        words = [window.words for window in windows]
        tags, sure = spell_tags(len(example.spans), words, found, labels=self.labels)
        return Understood(
            self.intents[int(mean_I.argmax())],
            {intent: float(share) for intent, share in zip(self.intents, mean_I, strict=True)},
            example.spans,
            tags,
            entities_of(example.text, example.spans, tags, sure),
        )

    def score(self, answers: Sequence[Understood], examples: Sequence[IntentExample]) -> dict[str, Any]:
        """Return the scores of `request_scores`, and the share of sentences with a label never seen."""
        gold = [self.example(example) for example in examples]
        scores = request_scores(answers, gold)
        known = self.tag_numbers.keys() | self.intent_numbers.keys()
        unseen = [bool({str(wanted.intent), *(wanted.tags or ())} - known) for wanted in gold]
        return {**scores, "unseen_share": sum(unseen) / len(unseen)}

    def choices(self, answers: Sequence[Understood], examples: Sequence[IntentExample]) -> Choices:
        gold = [str(example.intent) for example in examples]
        labels = (*self.intents, *sorted(set(gold) - set(self.intents)))
        return Choices(gold, [answer.intent for answer in answers], labels)

    def show(self, example: IntentExample | str, answer: Understood) -> dict[str, Any]:
        shares = {intent: round(share, 6) for intent, share in answer.probabilities.items()}
        text = example if isinstance(example, str) else example.text
        slots = [slot.plain() for slot in answer.slots]
        return {"text": text, "intent": answer.intent, "probabilities": shares, "slots": slots}
