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
from torch import Tensor

from minibert.config import from_dict, to_dict
from minibert.data.documents import documents_in, read_annotated, tags_of
from minibert.data.examples import TaggedExample, as_example, check_examples
from minibert.data.tagged import read_tagged, read_untagged
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.model.linear import Dropout, Linear, initialize
from minibert.packed import Packed
from minibert.tasks.crf import LinearChainCRF
from minibert.tasks.label_sets import refuse_broken
from minibert.tasks.metrics import Choices, choice_scores
from minibert.tasks.pooling import Activation, check_shares, project, projection_of
from minibert.tasks.spans import span_scores, to_bio
from minibert.tasks.tags import Entity, entities_of, likeliest, spell_tags, tag_labels, tag_loss, words_of
from minibert.tasks.task import LogitsOf, Loss, Targets, Task, Window, rows_of
from minibert.tasks.windows import fit_words, window_length
from minibert.text.tokenizer import Tokenizer

TAG = re.compile("[BIESMLUW](-.+)?")


@dataclass(frozen=True)
class TaggingOptions:
    """What a person may choose; max_length 0 means as long as the encoder allows.

    label_smoothing  of each word's own scores; a random field (crf), which scores whole texts, has none
    """

    max_length: int = 0
    on_long: Literal["truncate", "split", "error"] = "split"
    classifier_dropout: float = 0.1
    label_smoothing: float = 0.0
    crf: bool = False
    projection: Activation = "auto"
    projection_norm: bool = False

    def __post_init__(self) -> None:
        check_shares(self, "classifier_dropout", "label_smoothing")


@dataclass(frozen=True)
class Tagged:
    """The answer for one text: a tag for each word span, and the entities if the tags mark any.

    probabilities  of each word's tag, in 0..1; 0 for a word that was cut off and not asked
    """

    spans: tuple[tuple[int, int], ...]
    tags: tuple[str, ...]
    entities: tuple[Entity, ...]
    probabilities: tuple[float, ...]


class Tagging(Task):
    """A label for each word."""

    name: ClassVar[str] = "tagging"
    Options: ClassVar[type] = TaggingOptions
    logits_of: ClassVar[LogitsOf | None] = "classes"
    columns: ClassVar[tuple[str, ...]] = ("text_column", "token_column", "tag_column")

    def __init__(
        self,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        labels: Sequence[str],
        options: TaggingOptions,
        *,
        scheme: str | None,
        spelling: str | None = None,
    ) -> None:
        """Make the task, its head not yet trained.

        scheme    that of data whose tags were turned into BIO; None where tags stay as they are
        spelling  the scheme of labels that stay as they are and mark spans, in other people's models
        """
        super().__init__(tokenizer, window_length(options.max_length, config, tokenizer))
        self.labels, self.options = tuple(labels), options
        self.scheme, self.spelling = scheme, spelling
        self.numbers = {label: number for number, label in enumerate(self.labels)}
        self.act = options.projection.replace("auto", "none")
        self.dense, self.norm = projection_of(config, self.act, options.projection_norm)
        self.dropout = Dropout(options.classifier_dropout)
        self.classifier = Linear(config.hidden_size, len(self.labels))
        initialize(self, config.initializer_range)
        self.crf = LinearChainCRF(len(self.labels)) if options.crf else None

    @classmethod
    def read(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[TaggedExample]:
        if documents_in(Path(path)):
            return [tags_of(sentence) for sentence in read_annotated(path)]
        named = columns or {}
        return read_tagged(path, token_column=named.get("token_column"), tag_column=named.get("tag_column"))

    @classmethod
    def answered(cls, example: TaggedExample) -> bool:
        return example.tags is not None

    @classmethod
    def unanswered(cls, example: TaggedExample) -> TaggedExample:
        return replace(example, tags=None)

    @classmethod
    def read_unanswered(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[Any]:
        named = {name: value for name, value in (columns or {}).items() if name != "tag_column"}
        return read_untagged(path, **named)

    @classmethod
    def build(
        cls,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        examples: Sequence[TaggedExample],
        options: dict[str, Any],
    ) -> "Tagging":
        check_examples(TaggedExample, examples)
        chosen = from_dict(TaggingOptions, options, where="tagging options")
        sequences = [example.tags for example in examples if example.tags is not None]
        labels, scheme = tag_labels(sequences)
        refuse_broken(labels)
        if len(labels) < 2:
            raise InputError(f"tagging needs at least two tags; the training data has {labels}")
        return cls(tokenizer, config, labels, chosen, scheme=scheme)

    def settings(self) -> dict[str, Any]:
        told = {"labels": list(self.labels), "scheme": self.scheme, "spelling": self.spelling}
        return {**told, **to_dict(self.options)}

    @classmethod
    def reopen(cls, tokenizer: Tokenizer, config: EncoderConfig, settings: dict[str, Any]) -> "Tagging":
        own = ("labels", "scheme", "spelling")
        options = {key: value for key, value in settings.items() if key not in own}
        chosen = from_dict(TaggingOptions, options, where="task.json")
        scheme, spelling = settings["scheme"], settings.get("spelling")
        return cls(tokenizer, config, settings["labels"], chosen, scheme=scheme, spelling=spelling)

    @property
    def tag_scheme(self) -> str | None:
        """The scheme in which its answers' tags mark spans; None for plain tags."""
        return "BIO" if self.scheme else self.spelling

    def example(self, example: TaggedExample | str) -> TaggedExample:
        """Return the example with its tags in this task's scheme; a bare text is cut into words."""
        if isinstance(example, str):
            return words_of(example)
        example = as_example(TaggedExample, example)
        if example.tags is None or self.scheme is None:
            return example
        return replace(example, tags=tuple(to_bio(example.tags, self.scheme)))

    def encode(self, example: TaggedExample | str) -> list[Window]:
        """Return windows in which every word is asked exactly once."""
        example = self.example(example)
        labels = [self._number(tag) for tag in example.tags or ()] or [-1] * len(example.spans)
        return fit_words(
            self.tokenizer,
            example.text,
            example.spans,
            labels=np.array(labels, np.int64),
            max_length=self.max_length,
            on_long=self.options.on_long,
        )

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
        total = tag_loss(emissions_MC, targets, crf=self.crf, smoothing=self.options.label_smoothing)
        return Loss({"loss": total}, targets.counts, logits={"loss": emissions_MC})

    def predict(self, encoder: Encoder, batch: Packed, windows: Sequence[Window]) -> list[Any]:
        """Return the numbers (m,) and the probabilities (m,) of the predicted tags of each window."""
        emissions_MC = self.emissions(encoder, batch, rows_of(windows).to(batch.ids.device))
        lengths = [len(window.rows) for window in windows]
        return likeliest(emissions_MC, lengths, crf=self.crf, spans=self.labels if self.scheme else ())

    def merge(self, example: Any, windows: Sequence[Window], predictions: Sequence[Any]) -> Tagged:
        example = self.example(example)
        tags, shares = spell_tags(len(example.spans), windows, predictions, labels=self.labels)
        bio = _as_bio(tags, self.tag_scheme) if self.tag_scheme else ["O"] * len(tags)
        entities = entities_of(example.text, example.spans, bio, shares)
        return Tagged(example.spans, tags, entities, shares)

    def score(self, answers: Sequence[Tagged], examples: Sequence[TaggedExample]) -> dict[str, Any]:
        """Return strict span F1 where the tags mark spans, accuracy and macro-F1 where they are plain."""
        chosen = self.choices(answers, examples)
        by_tag = choice_scores(chosen.gold, chosen.predicted, self.labels)
        if self.tag_scheme is None:
            return {"macro_f1": by_tag["macro_f1"], **by_tag}
        gold = [_as_bio(self.example(example).tags or (), self.tag_scheme) for example in examples]
        scores = span_scores(gold, [_as_bio(answer.tags, self.tag_scheme) for answer in answers])
        return {"f1": scores["f1"], **scores, "accuracy": by_tag["accuracy"]}

    def choices(self, answers: Sequence[Tagged], examples: Sequence[TaggedExample]) -> Choices:
        gold = [tag for example in examples for tag in self.example(example).tags or ()]
        return Choices(gold, [tag for answer in answers for tag in answer.tags], self.labels)

    def show(self, example: TaggedExample | str, answer: Tagged) -> dict[str, Any]:
        text = example if isinstance(example, str) else example.text
        words = [
            Entity(start, end, tag, text[start:end], share).plain()
            for (start, end), tag, share in zip(answer.spans, answer.tags, answer.probabilities, strict=True)
        ]
        return {"text": text, "tags": words, "entities": [entity.plain() for entity in answer.entities]}


def _as_bio(tags: Sequence[str], scheme: str) -> list[str]:
    """Return tags as BIO; what is no tag, such as [PAD] among other people's labels, is outside."""
    return to_bio([tag if TAG.fullmatch(tag) else "O" for tag in tags], scheme)
