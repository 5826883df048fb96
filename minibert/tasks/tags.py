"""Words and their tags: what every task that tags words shares.

A task knows its tags by number; people see them as they were written. In between stand the words of a bare
text, the list of tags that a training set makes necessary, and the way back from scores to entities.

Letters: M words, C tags.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minibert.data.entities import WORD
from minibert.data.examples import TaggedExample
from minibert.tasks.crf import LinearChainCRF
from minibert.tasks.spans import Scheme, detect_scheme, spans_of, to_bio
from minibert.tasks.task import Window

TagsOfWindow = tuple[np.ndarray, np.ndarray]  # (m,) the number of each word's tag; (m,) its probability


@dataclass(frozen=True)
class Entity:
    """A tagged stretch: text[start:end] of the original text.

    probability  how sure the model is, in 0..1: the mean over the words of that of each one's tag. What a
                 person marked has 1. Two entities are equal whatever their probabilities
    """

    start: int
    end: int
    label: str
    text: str
    probability: float = field(default=1.0, compare=False)

    def plain(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {**vars(self), "probability": round(self.probability, 6)}


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


def likeliest(
    emissions_MC: Tensor, lengths: Sequence[int], *, crf: LinearChainCRF | None = None
) -> list[TagsOfWindow]:
    """Return the tags of the words of each window, and the probability of each.

    emissions_MC  (M, C) scores of all windows' words; lengths says how many words each window has
    With a CRF they are its best path, and the probability of a tag is that of all paths through it.

    >>> [(numbers, shares)] = likeliest(torch.tensor([[0.0, 0.0, 2.0]]), [1])
    >>> numbers.tolist(), round(float(shares[0]), 3)
    ([2], 0.787)
    """
    if crf is None:
        share_MC, number_M = emissions_MC.softmax(-1), emissions_MC.argmax(-1)
    else:
        share_MC = crf.marginals(emissions_MC, lengths)
        paths = [number for path in crf.decode(emissions_MC, lengths) for number in path]
        number_M = torch.tensor(paths, dtype=torch.int64, device=share_MC.device)
    share_M = share_MC.gather(1, number_M[:, None])[:, 0]
    parts = zip(number_M.cpu().split(list(lengths)), share_M.cpu().split(list(lengths)), strict=True)
    return [(numbers.numpy(), shares.numpy()) for numbers, shares in parts]


def spell_tags(
    words: int, windows: Sequence[Window], predicted: Sequence[TagsOfWindow], *, labels: Sequence[str]
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return the tag of each of an example's words and its probability, as predicted window by window.

    A word that no window asked for, because the text was cut off, is outside, with probability 0.
    """
    tags, shares = ["O" if "O" in labels else labels[0]] * words, [0.0] * words
    for window, (numbers, sure) in zip(windows, predicted, strict=True):
        for word, number, share in zip(window.units, numbers, sure, strict=True):
            tags[word], shares[word] = labels[int(number)], float(share)
    return tuple(tags), tuple(shares)


def entities_of(
    text: str, spans: Sequence[tuple[int, int]], tags: Sequence[str], shares: Sequence[float]
) -> tuple[Entity, ...]:
    """Return the entities that the BIO tags of a text's words mark; shares are the tags' probabilities.

    >>> entities_of("Anna Berg lives", [(0, 4), (5, 9), (10, 15)], ["B-PER", "I-PER", "O"], [1.0, 0.5, 0.9])
    (Entity(start=0, end=9, label='PER', text='Anna Berg', probability=0.75),)
    """
    found = []
    for span in spans_of(tags):
        start, end = spans[span.start][0], spans[span.end - 1][1]
        sure = float(np.mean(shares[span.start : span.end]))
        found.append(Entity(start, end, span.label, text[start:end], sure))
    return tuple(found)
