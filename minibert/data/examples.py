"""What one row of a data set is, before any tokenizer has seen it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TextExample:
    """A text, or a pair of texts, and the label that belongs to it (None where it is to be predicted)."""

    text: str
    pair: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class TaggedExample:
    """A text whose words carry tags.

    spans  (start, end) of each word in characters of `text`; text[start:end] is the word
    tags   one tag for each span, or None where they are to be predicted
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    tags: tuple[str, ...] | None = None


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


@dataclass(frozen=True)
class RelationExample:
    """Two mentions in a text, and how the first is related to the second (None where that is asked).

    head, tail  (start, end) of each mention in characters of `text`
    """

    text: str
    head: tuple[int, int]
    tail: tuple[int, int]
    label: str | None = None


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
