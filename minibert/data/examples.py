"""What one row of a data set is, before any tokenizer has seen it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TextExample:
    """A text, or a pair of texts, and the label that belongs to it (None where it is to be predicted)."""

    text: str
    pair: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class ParallelExample:
    """A text, and the text that is to be made of it: translation, summary, reply (None where unknown)."""

    source: str
    target: str | None = None


@dataclass(frozen=True)
class TaggedExample:
    """A text whose words carry tags.

    spans  (start, end) of each word in characters of `text`; text[start:end] is the word
    tags   one tag for each span, or None where they are to be predicted
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    tags: tuple[str, ...] | None = None
