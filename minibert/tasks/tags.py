"""Words and their tags: what every task that tags words shares.

A task knows its tags by number; people see them as they were written. In between stand the words of a bare
text, the list of tags that a training set makes necessary, and the way back from numbers to entities.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from minibert.data.entities import WORD
from minibert.data.examples import TaggedExample
from minibert.tasks.spans import Scheme, detect_scheme, spans_of, to_bio
from minibert.tasks.task import Window


@dataclass(frozen=True)
class Entity:
    """A tagged stretch: text[start:end] of the original text."""

    start: int
    end: int
    label: str
    text: str


def words_of(text: str) -> TaggedExample:
    """Cut a bare text into words: runs of letters and digits, ideographs, single other characters.

    >>> words_of("Anna, 19").spans
    ((0, 4), (4, 5), (6, 8))
    """
    return TaggedExample(text, tuple(match.span() for match in WORD.finditer(text)))


def tag_labels(sequences: Iterable[Sequence[str]]) -> tuple[list[str], Scheme | None]:
    """Return all tags that a model of these needs, sorted, and the scheme that they came in.

    Where they mark spans, the tags are BIO, with "O" and both letters of every type.

    >>> tag_labels([["S-LOC", "O"], ["B-PER", "E-PER"]])
    (['B-LOC', 'B-PER', 'I-LOC', 'I-PER', 'O'], 'BIOES')
    """
    sequences = list(sequences)
    scheme = detect_scheme(sequences)
    labels = {tag for tags in sequences for tag in (to_bio(tags, scheme) if scheme else tags)}
    if scheme:
        labels |= {"O"} | {f"{letter}{tag[1:]}" for tag in labels if tag != "O" for letter in "BI"}
    return sorted(labels), scheme


def spell_tags(
    words: int, windows: Sequence[Window], numbers: Sequence[np.ndarray], *, labels: Sequence[str]
) -> list[str]:
    """Return the tag of each of an example's words, whose numbers were predicted window by window.

    A word that no window asked for, because the text was cut off, is outside.
    """
    tags = ["O" if "O" in labels else labels[0]] * words
    for window, predicted in zip(windows, numbers, strict=True):
        for word, number in zip(window.units, predicted, strict=True):
            tags[word] = labels[int(number)]
    return tags


def entities_of(text: str, spans: Sequence[tuple[int, int]], tags: Sequence[str]) -> tuple[Entity, ...]:
    """Return the entities that the BIO tags of a text's words mark.

    >>> entities_of("Anna lives", [(0, 4), (5, 10)], ["B-PER", "O"])
    (Entity(start=0, end=4, label='PER', text='Anna'),)
    """
    found = []
    for span in spans_of(tags):
        start, end = spans[span.start][0], spans[span.end - 1][1]
        found.append(Entity(start, end, span.label, text[start:end]))
    return tuple(found)
