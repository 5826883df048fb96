"""Token tagging: one label for each word (or Chinese character) of a text.

The hidden state of a word's first token is scored by a linear layer; the other tokens of the word are not
asked (Devlin et al., 2019, section 5.3)::

    p(tag | word) = softmax(hidden[first token] W' + b)

Tags of entities are turned into BIO whatever scheme they came in. With `crf` the tags of a text are scored
together (Lafferty et al., 2001). A long text is split into windows that overlap, and each word is asked in
the window that shows most of its surroundings.

Letters: T tokens, M words, D hidden size, C tags.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor, nn

from minibert.config import from_dict, to_dict
from minibert.data.examples import TaggedExample
from minibert.data.tagged import read_tagged, read_untagged
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.model.linear import Dropout, Linear, initialize
from minibert.packed import Packed
from minibert.tasks.crf import LinearChainCRF
from minibert.tasks.metrics import choice_scores
from minibert.tasks.pooling import Activation, project, projection_of
from minibert.tasks.spans import detect_scheme, span_scores, spans_of, to_bio
from minibert.tasks.task import Choices, Loss, Targets, Task, Window, rows_of
from minibert.tasks.windows import owners, spread
from minibert.text.tokenizer import Tokenizer

WORD = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]|\w+|[^\w\s]")


@dataclass(frozen=True)
class TaggingOptions:
    """What a person may choose; max_length 0 means as long as the encoder allows."""

    max_length: int = 0
    on_long: Literal["truncate", "split", "error"] = "split"
    classifier_dropout: float = 0.1
    label_smoothing: float = 0.0
    crf: bool = False
    projection: Activation = "auto"
    projection_norm: bool = False


@dataclass(frozen=True)
class Entity:
    """A tagged stretch: text[start:end] of the original text."""

    start: int
    end: int
    label: str
    text: str


@dataclass(frozen=True)
class Tagged:
    """The answer for one text: a tag for each word span, and the entities if the tags mark any."""

    spans: tuple[tuple[int, int], ...]
    tags: tuple[str, ...]
    entities: tuple[Entity, ...]


class Tagging(Task):
    """A label for each word."""

    name: ClassVar[str] = "tagging"
    Options: ClassVar[type] = TaggingOptions
    tells_logits: ClassVar[bool] = True

    def __init__(
        self,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        labels: Sequence[str],
        options: TaggingOptions,
        *,
        scheme: str | None,
    ) -> None:
        super().__init__(tokenizer, options.max_length or config.longest_text)
        self.labels, self.options, self.scheme = tuple(labels), options, scheme
        self.numbers = {label: number for number, label in enumerate(self.labels)}
        self.act = options.projection.replace("auto", "none")
        self.dense, self.norm = projection_of(config, self.act, options.projection_norm)
        self.dropout = Dropout(options.classifier_dropout)
        self.classifier = Linear(config.hidden_size, len(self.labels))
        initialize(self, config.initializer_range)
        self.crf = LinearChainCRF(len(self.labels)) if options.crf else None

    @classmethod
    def read(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[TaggedExample]:
        return read_tagged(path)

    @classmethod
    def answered(cls, example: TaggedExample) -> bool:
        return example.tags is not None

    @classmethod
    def unanswered(cls, example: TaggedExample) -> TaggedExample:
        return replace(example, tags=None)

    @classmethod
    def read_unanswered(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[Any]:
        return read_untagged(path, **columns or {})

    @classmethod
    def build(
        cls,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        examples: Sequence[TaggedExample],
        options: dict[str, Any],
    ) -> "Tagging":
        chosen = from_dict(TaggingOptions, options, where="tagging options")
        sequences = [example.tags for example in examples if example.tags is not None]
        scheme = detect_scheme(sequences)
        labels = {tag for tags in sequences for tag in (to_bio(tags, scheme) if scheme else tags)}
        if scheme:
            labels |= {"O"} | {f"{prefix}{tag[1:]}" for tag in labels if tag != "O" for prefix in "BI"}
        if len(labels) < 2:
            raise InputError(f"tagging needs at least two tags; the training data has {sorted(labels)}")
        return cls(tokenizer, config, sorted(labels), chosen, scheme=scheme)

    def settings(self) -> dict[str, Any]:
        return {"labels": list(self.labels), "scheme": self.scheme, **to_dict(self.options)}

    @classmethod
    def reopen(cls, tokenizer: Tokenizer, config: EncoderConfig, settings: dict[str, Any]) -> "Tagging":
        options = {key: value for key, value in settings.items() if key not in ("labels", "scheme")}
        chosen = from_dict(TaggingOptions, options, where="task.json")
        return cls(tokenizer, config, settings["labels"], chosen, scheme=settings["scheme"])

    def example(self, example: TaggedExample | str) -> TaggedExample:
        """Return the example with its tags in this task's scheme; a bare text is cut into words."""
        if isinstance(example, str):
            return TaggedExample(example, tuple(match.span() for match in WORD.finditer(example)))
        if example.tags is None or self.scheme is None:
            return example
        return replace(example, tags=tuple(to_bio(example.tags, self.scheme)))

    def encode(self, example: TaggedExample | str) -> list[Window]:
        """Return windows in which every word is asked exactly once."""
        example = self.example(example)
        borders = sorted({border for span in example.spans for border in span})
        tokens = self.tokenizer.encode(example.text, borders)
        labels_M = np.array([self._number(tag) for tag in example.tags or ()] or [-1] * len(example.spans))
        starts_M = np.array([start for start, _ in example.spans], dtype=np.int64)
        first_M = np.searchsorted(tokens.offsets[:, 1], starts_M, side="right").clip(
            max=max(0, len(tokens) - 1)
        )
        room = self.max_length - self.tokenizer.special_count()
        if len(tokens) > room and self.options.on_long == "error":
            raise InputError(
                f"a text has {len(tokens)} tokens and the model takes {room}: {example.text[:60]!r}...; "
                "use on_long split or truncate, or a larger max_length"
            )
        runs = spread(len(tokens), room, room // 4)[: 1 if self.options.on_long == "truncate" else None]
        owner_M = owners(first_M, runs)
        before = len(self.tokenizer.around()[0])
        windows = []
        for number, (start, end) in enumerate(runs):
            mine = np.flatnonzero(owner_M == number)
            window = self.tokenizer.build(tokens[start:end])
            rows = (first_M[mine] - start + before).clip(max=len(window) - 1)
            windows.append(Window(window, rows=rows, labels=labels_M[mine].astype(np.int64), units=mine))
        return windows

    def _number(self, tag: str) -> int:
        if tag not in self.numbers:
            raise InputError(f"tag {tag!r} was never seen in training; known tags: {', '.join(self.labels)}")
        return self.numbers[tag]

    def emissions(self, encoder: Encoder, batch: Packed, positions_M: Tensor) -> Tensor:
        """Return the scores (M, C) of the words whose first tokens are at `positions`, in float32."""
        hidden_MD = project(self.act, self.dense, encoder(batch)[positions_M])
        emissions_MC: Tensor = self.classifier(self.dropout(self.norm(hidden_MD))).float()
        return emissions_MC

    def loss(self, encoder: Encoder, batch: Packed, targets: Targets) -> Loss:
        emissions_MC = self.emissions(encoder, batch, targets.positions)
        if self.crf is not None:
            total = -self.crf.log_likelihood(emissions_MC, targets.labels, targets.lengths).sum()
        else:
            total = nn.functional.cross_entropy(
                emissions_MC, targets.labels, label_smoothing=self.options.label_smoothing, reduction="sum"
            )
        return Loss({"loss": total}, targets.counts, logits=emissions_MC)

    def predict(self, encoder: Encoder, batch: Packed, windows: Sequence[Window]) -> list[Any]:
        """Return the numbers of the predicted tags (m,) of each window."""
        lengths = [len(window.rows) for window in windows]
        emissions_MC = self.emissions(encoder, batch, rows_of(windows).to(batch.ids.device))
        if self.crf is None:
            return [part.numpy() for part in emissions_MC.argmax(-1).cpu().split(lengths)]
        return [np.array(path) for path in self.crf.decode(emissions_MC, lengths)]

    def merge(self, example: Any, windows: Sequence[Window], predictions: Sequence[Any]) -> Tagged:
        spans = self.example(example).spans
        outside = "O" if "O" in self.numbers else self.labels[0]
        tags = [outside] * len(spans)
        for window, numbers in zip(windows, predictions, strict=True):
            for word, number in zip(window.units, numbers, strict=True):
                tags[word] = self.labels[number]
        return Tagged(spans, tuple(tags), self._entities(example, spans, tags))

    def _entities(
        self, example: Any, spans: Sequence[tuple[int, int]], tags: Sequence[str]
    ) -> tuple[Entity, ...]:
        if self.scheme is None:
            return ()
        text = example if isinstance(example, str) else example.text
        found = []
        for span in spans_of(tags):
            start, end = spans[span.start][0], spans[span.end - 1][1]
            found.append(Entity(start, end, span.label, text[start:end]))
        return tuple(found)

    def score(self, answers: Sequence[Tagged], examples: Sequence[TaggedExample]) -> dict[str, Any]:
        """Return strict span F1 where the tags mark spans, accuracy and macro-F1 where they are plain."""
        chosen = self.choices(answers, examples)
        by_tag = choice_scores(chosen.gold, chosen.predicted, self.labels)
        if self.scheme is None:
            return {"macro_f1": by_tag["macro_f1"], **by_tag}
        gold = [self.example(example).tags or () for example in examples]
        scores = span_scores(gold, [answer.tags for answer in answers])
        return {"f1": scores["f1"], **scores, "accuracy": by_tag["accuracy"]}

    def choices(self, answers: Sequence[Tagged], examples: Sequence[TaggedExample]) -> Choices:
        gold = [tag for example in examples for tag in self.example(example).tags or ()]
        return Choices(gold, [tag for answer in answers for tag in answer.tags], self.labels)

    def show(self, example: TaggedExample | str, answer: Tagged) -> dict[str, Any]:
        text = example if isinstance(example, str) else example.text
        tags = [
            {"start": start, "end": end, "label": tag, "text": text[start:end]}
            for (start, end), tag in zip(answer.spans, answer.tags, strict=True)
        ]
        return {"text": text, "tags": tags, "entities": [vars(entity) for entity in answer.entities]}
