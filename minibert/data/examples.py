"""What one row of a data set is, before any tokenizer has seen it; and what is none."""

from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

from minibert.data.fields import need_label, need_texts, spelled
from minibert.errors import InputError

E = TypeVar("E", bound=Any)


def as_example(kind: type[E], given: Any) -> E:
    """Return an example as it is, and a bare text as an example of this kind.

    Raises InputError for what is neither. An example of another kind will do if it has the same fields.

    >>> as_example(TextExample, "a cat")
    TextExample(text='a cat', pair=None, label=None)
    """
    if isinstance(given, str):
        return kind(given)
    if not fits(kind, given):
        raise InputError(f"{spelled(given)} came where a text or a {form_of(kind)} is wanted")
    return given


WORDED = ("text", "pair", "source", "target", "summary")  # fields that hold words where they hold anything


def check_examples(kind: type[Any], examples: Iterable[Any]) -> None:
    """Raise InputError for the first of the examples that is none of this kind, or empty; name its place."""
    for number, example in enumerate(examples, 1):
        if not fits(kind, example):
            raise InputError(f"example {number} is {spelled(example)}; a {form_of(kind)} is wanted")
        for name in WORDED:
            value = getattr(example, name, None)
            if isinstance(value, str) and not value.strip():
                raise InputError(f"example {number}: its {name} is empty, {value!r}; leave the example out")


def fits(kind: type[Any], given: Any) -> bool:
    """Whether something is an example of this kind, or has its fields."""
    if isinstance(given, kind):
        return True
    return all(getattr(given, field.name, MISSING) is not MISSING for field in fields(kind))


def form_of(kind: type[Any]) -> str:
    """Spell how an example of this kind is made.

    >>> form_of(TextExample)
    'TextExample(text, pair, label)'
    """
    return f"{kind.__name__}({', '.join(field.name for field in fields(kind))})"


@dataclass(frozen=True)
class TextExample:
    """A text, or a pair of texts, and the label that belongs to it (None where it is to be predicted)."""

    text: str
    pair: str | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        need_texts(self, "text", "pair")
        need_label(self)


@dataclass(frozen=True)
class ParallelExample:
    """A text, and the text that is to be made of it: translation, summary, reply (None where unknown)."""

    source: str
    target: str | None = None

    def __post_init__(self) -> None:
        need_texts(self, "source", "target")


@dataclass(frozen=True)
class TaggedExample:
    """A text whose words carry tags.

    spans  (start, end) of each word in characters of `text`; text[start:end] is the word
    tags   one tag for each span, or None where they are to be predicted
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    tags: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        need_texts(self, "text")


@dataclass(frozen=True)
class SearchExample:
    """A query, a passage that answers it (None where it is to be found), and passages known not to."""

    text: str
    positive: str | None = None
    negatives: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        need_texts(self, "text", "positive")


@dataclass(frozen=True)
class SummaryExample:
    """A document, and a summary of it (None where it is to be written)."""

    text: str
    summary: str | None = None

    def __post_init__(self) -> None:
        need_texts(self, "text", "summary")


@dataclass(frozen=True)
class GoldAnswer:
    """An answer that is right: `text` stands at `start` in the passage, or, with None, nowhere in it."""

    text: str
    start: int | None


@dataclass(frozen=True)
class QuestionExample:
    """A question about a passage.

    answers  what several people answered, () where the passage holds no answer, None where it is to be found
    id       what the file calls the question; it may stay empty
    """

    question: str
    passage: str
    answers: tuple[GoldAnswer, ...] | None = None
    id: str = ""

    def __post_init__(self) -> None:
        need_texts(self, "question", "passage")


@dataclass(frozen=True)
class MultiLabelExample:
    """A text, or a pair of texts, and all its labels: () for none, None where they are to be predicted."""

    text: str
    pair: str | None = None
    labels: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        need_texts(self, "text", "pair")


@dataclass(frozen=True)
class NumberExample:
    """A text, or a pair of texts, and the number that belongs to it (None where it is to be predicted)."""

    text: str
    pair: str | None = None
    label: float | None = None

    def __post_init__(self) -> None:
        need_texts(self, "text", "pair")


@dataclass(frozen=True)
class ChoiceExample:
    """A text, several ways to go on (or answers to a question about it), and which of them is right.

    label  the place of the right choice, from 0; None where it is to be predicted
    """

    text: str
    choices: tuple[str, ...]
    label: int | None = None
    question: str | None = None

    def __post_init__(self) -> None:
        need_texts(self, "text", "question")


@dataclass(frozen=True)
class IntentExample:
    """A request whose words carry tags, and what it is for; both None where they are to be predicted.

    spans, tags  as in `TaggedExample`
    intent       one label for the whole text
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    tags: tuple[str, ...] | None = None
    intent: str | None = None

    def __post_init__(self) -> None:
        need_texts(self, "text")
        need_label(self, "intent")


@dataclass(frozen=True)
class RelationExample:
    """Two mentions in a text, and how the first is related to the second (None where that is asked).

    head, tail  (start, end) of each mention in characters of `text`
    """

    text: str
    head: tuple[int, int]
    tail: tuple[int, int]
    label: str | None = None

    def __post_init__(self) -> None:
        need_texts(self, "text")
        need_label(self)


@dataclass(frozen=True)
class AnnotatedSentence:
    """A sentence with its entities and all relations between them.

    spans      (start, end) of each word in characters of `text`
    entities   (start, end, label) of each entity, in characters too
    relations  (number of the head entity, number of the tail entity, label)
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    entities: tuple[tuple[int, int, str], ...]
    relations: tuple[tuple[int, int, str], ...] = ()
