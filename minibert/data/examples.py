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
class SearchExample:
    """A query, a passage that answers it (None where it is to be found), and passages known not to."""

    text: str
    positive: str | None = None
    negatives: tuple[str, ...] = ()


@dataclass(frozen=True)
class SummaryExample:
    """A document, and a summary of it (None where it is to be written)."""

    text: str
    summary: str | None = None
