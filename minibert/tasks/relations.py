"""Relation extraction: how two mentions in a text are related.

The mentions stand between markers, and the hidden states of the two opening markers, one after the other,
are scored by a linear layer (Baldini Soares and others, 2019; see `markers`)::

    p(relation | text, head, tail) = softmax([hidden[E1]; hidden[E2]] W' + b)

A text that is too long loses what stands far from both mentions. Which pairs of a running text are asked is
the business of `extract`.

Letters: T tokens, N windows, M markers (four in each window), D hidden size, C relations, E two times D.
Left out: relations of more than two mentions, across documents, and several at once for one pair; the types
of the mentions are not told to the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from minibert.config import from_dict, to_dict
from minibert.data.examples import RelationExample, as_example, check_examples
from minibert.data.relations import check_mentions, parse_marked, read_relations
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.model.linear import Dropout, Linear, initialize
from minibert.packed import Packed
from minibert.tasks.class_weights import balanced
from minibert.tasks.label_sets import refuse_broken
from minibert.tasks.markers import insert_markers, keep_nearest, marker_ids
from minibert.tasks.metrics import Choices, choice_scores
from minibert.tasks.pooling import check_shares
from minibert.tasks.relation_scores import negative_of, relation_of, relation_scores
from minibert.tasks.task import LogitsOf, Loss, Targets, Task, Window, rows_of
from minibert.tasks.windows import window_length
from minibert.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class RelationOptions:
    """What a person may choose.

    max_length 0 means as long as the encoder allows. negative_label is the label that stands for no relation:
    "auto" knows the usual ones (Other, no_relation, unknown ...), "none" says that every label is a relation.
    """

    max_length: int = 0
    on_long: Literal["truncate", "error"] = "truncate"
    classifier_dropout: float = 0.1
    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    negative_label: str = "auto"

    def __post_init__(self) -> None:
        check_shares(self, "classifier_dropout", "label_smoothing")


@dataclass(frozen=True)
class Related:
    """The answer for one pair of mentions: the likeliest relation, and the probability of each."""

    label: str
    probabilities: dict[str, float]


class Relations(Task):
    """A relation for each pair of mentions."""

    name: ClassVar[str] = "relations"
    Options: ClassVar[type] = RelationOptions
    columns: ClassVar[tuple[str, ...]] = ("text_column", "label_column")
    logits_of: ClassVar[LogitsOf | None] = "classes"

    def __init__(
        self,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        labels: Sequence[str],
        options: RelationOptions,
    ) -> None:
        super().__init__(tokenizer, window_length(options.max_length, config, tokenizer))
        self.labels, self.options = tuple(labels), options
        self.numbers = {label: number for number, label in enumerate(self.labels)}
        self.negative = negative_of(self.labels, options.negative_label)
        self.ids = marker_ids(tokenizer)
        self.room = self.max_length - tokenizer.special_count()
        if self.room < len(self.ids):
            raise InputError(f"max_length {self.max_length} leaves {self.room} tokens; four markers need 4")
        self.register_buffer("weights_C", torch.ones(len(labels)), persistent=False)
        self.weights_C: Tensor
        self.markers = nn.Embedding(len(self.ids), config.hidden_size)
        self.dropout = Dropout(options.classifier_dropout)
        self.classifier = Linear(2 * config.hidden_size, len(self.labels))
        initialize(self, config.initializer_range)

    @property
    def directed(self) -> bool:
        """Whether labels say which mention comes first in the relation: (e1,e2) or (e2,e1)."""
        return any(relation_of(label)[1] for label in self.labels)

    @classmethod
    def read(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[RelationExample]:
        return read_relations(path, **columns or {})

    @classmethod
    def build(
        cls,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        examples: Sequence[RelationExample],
        options: dict[str, Any],
    ) -> "Relations":
        check_examples(RelationExample, examples)
        chosen = from_dict(RelationOptions, options, where="options of relations")
        found = [str(example.label) for example in examples if example.label is not None]
        labels = sorted(set(found))
        refuse_broken(labels)
        if len(labels) < 2 or len(found) < len(examples):
            raise InputError(
                f"relations needs at least two labels, and one for each pair; the training data has {labels} "
                f"for {len(found)} of {len(examples)} pairs"
            )
        task = cls(tokenizer, config, labels, chosen)
        task.weigh(examples)
        return task

    def settings(self) -> dict[str, Any]:
        return {"labels": list(self.labels), **to_dict(self.options)}

    @classmethod
    def reopen(cls, tokenizer: Tokenizer, config: EncoderConfig, settings: dict[str, Any]) -> "Relations":
        options = {key: value for key, value in settings.items() if key != "labels"}
        return cls(
            tokenizer, config, settings["labels"], from_dict(RelationOptions, options, where="task.json")
        )

    def weigh(self, *parts: Sequence[Any]) -> None:
        if self.options.class_weights == "balanced":
            found = [[example.label for example in part] for part in parts]
            self.weights_C.copy_(torch.tensor(balanced(self.labels, *found)))

    def example(self, example: RelationExample | str) -> RelationExample:
        """Return the example; of a bare text, the markers <e1></e1><e2></e2> are taken out."""
        if isinstance(example, str):
            return RelationExample(*parse_marked(example, where="a text"))
        example = as_example(RelationExample, example)
        check_mentions(example.text, example.head, example.tail, where=f"{example.text[:40]!r}")
        return example

    def encode(self, example: RelationExample | str) -> list[Window]:
        """Return one window; its rows are the four markers."""
        example = self.example(example)
        number = -1 if example.label is None else self._number(str(example.label))
        tokens = self.tokenizer.encode(example.text, sorted({*example.head, *example.tail}))
        marked, rows = insert_markers(tokens, example.head, example.tail, ids=self.ids)
        if len(marked) > self.room and self.options.on_long == "error":
            raise InputError(
                f"a text has {len(marked)} tokens with its markers and the model takes {self.room}: "
                f"{example.text[:60]!r}...; use on_long truncate, or a larger max_length"
            )
        cut, rows = keep_nearest(marked, rows, self.room)
        rows = rows + len(self.tokenizer.around()[0])
        zero = np.zeros(1, np.int64)
        return [Window(self.tokenizer.build(cut), rows=rows, labels=zero + number, units=zero)]

    def _number(self, label: str) -> int:
        if label not in self.numbers:
            raise InputError(
                f"relation {label!r} was never seen in training; known relations: {', '.join(self.labels)}"
            )
        return self.numbers[label]

    def logits(self, encoder: Encoder, batch: Packed, positions_M: Tensor) -> Tensor:
        """Return the scores (N, C) in float32; `positions` are the rows of all markers, four in a window."""
        hidden_TD = encoder.embeddings(batch, encoder.dtype)
        markers_MD = self.markers.weight.to(hidden_TD.dtype).repeat(len(positions_M) // len(self.ids), 1)
        hidden_TD = encoder.contextualize(hidden_TD.index_add(0, positions_M, markers_MD), batch.layout)
        pairs_NE = hidden_TD[positions_M.view(-1, len(self.ids))[:, ::2]].flatten(1)
        logits_NC: Tensor = self.classifier(self.dropout(pairs_NE)).float()
        return logits_NC

    def loss(self, encoder: Encoder, batch: Packed, targets: Targets) -> Loss:
        logits_NC = self.logits(encoder, batch, targets.positions)
        total = nn.functional.cross_entropy(
            logits_NC,
            targets.labels,
            weight=self.weights_C,
            label_smoothing=self.options.label_smoothing,
            reduction="sum",
            ignore_index=-1,  # a pair that a teacher alone says something of
        )
        return Loss({"loss": total}, targets.counts, logits={"loss": logits_NC})

    def predict(self, encoder: Encoder, batch: Packed, windows: Sequence[Window]) -> list[Any]:
        """Return the probabilities (C,) of each window."""
        positions_M = rows_of(windows).to(batch.ids.device)
        return list(self.logits(encoder, batch, positions_M).softmax(-1).cpu().numpy())

    def merge(self, example: Any, windows: Sequence[Window], predictions: Sequence[Any]) -> Related:
        [share_C] = predictions
        probabilities = {label: float(p) for label, p in zip(self.labels, share_C, strict=True)}
        return Related(self.labels[int(share_C.argmax())], probabilities)

    def score(self, answers: Sequence[Related], examples: Sequence[RelationExample]) -> dict[str, Any]:
        """Return the scores of `relation_scores`, and the report and confusion of the labels as they are."""
        chosen = self.choices(answers, examples)
        scores = relation_scores(chosen.gold, chosen.predicted, negative=self.negative)
        by_label = choice_scores(chosen.gold, chosen.predicted, self.labels)
        return {**scores, "per_class": by_label["per_class"], "confusion": by_label["confusion"]}

    def choices(self, answers: Sequence[Related], examples: Sequence[RelationExample]) -> Choices:
        gold = [str(example.label) for example in examples]
        return Choices(gold, [answer.label for answer in answers], self.labels)

    def show(self, example: RelationExample | str, answer: Related) -> dict[str, Any]:
        example = self.example(example)
        mentions = {
            name: {"start": start, "end": end, "text": example.text[start:end]}
            for name, (start, end) in (("head", example.head), ("tail", example.tail))
        }
        shares = {label: round(share, 6) for label, share in answer.probabilities.items()}
        return {"text": example.text, **mentions, "relation": answer.label, "probabilities": shares}
