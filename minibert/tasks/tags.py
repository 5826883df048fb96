"""Words and their tags: what every task that tags words shares.

A task knows its tags by number; people see them as they were written. In between stand the words of a bare
text, the list of tags that a training set makes necessary, and the way back from scores to entities.

Letters: M words, C tags.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from minibert.data.entities import word_spans
from minibert.data.examples import TaggedExample
from minibert.errors import InputError
from minibert.tasks.crf import LinearChainCRF
from minibert.tasks.spans import Scheme, allowed_transitions, detect_scheme, spans_of, to_bio
from minibert.tasks.task import Targets, Window

SPELLED = re.compile("[BIESMLUW]-.+")  # a tag of some scheme
UNDERSCORED = re.compile("[BIESMLUW]_.+")
LISTED = 5  # tags in one error
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
    return TaggedExample(text, tuple(word_spans(text)))


def tag_labels(sequences: Iterable[Sequence[str]]) -> tuple[list[str], Scheme | None]:
    """Return all tags that a model of these needs, sorted, and the scheme that they came in.

    Where they mark spans, the tags are BIO, with "O" and both letters of every type. Raises InputError where
    most of them mark spans and a few do not: for those few, spans would be given up altogether.

    >>> tag_labels([["S-LOC", "O"], ["B-PER", "E-PER"]])
    (['B-LOC', 'B-PER', 'I-LOC', 'I-PER', 'O'], 'BIOES')
    """
    sequences = list(sequences)
    scheme = detect_scheme(sequences)
    if scheme is None:
        _refuse_nearly_spans(sequences)
    labels = {tag for tags in sequences for tag in (to_bio(tags, scheme) if scheme else tags)}
    if scheme:
        labels |= {"O"} | {f"{letter}{tag[1:]}" for tag in labels if tag != "O" for letter in "BI"}
    return sorted(labels), scheme


def _refuse_nearly_spans(sequences: Sequence[Sequence[str]]) -> None:
    counts = Counter(tag for tags in sequences for tag in tags if tag != "O")
    if any(tag[0] == "B" for tag in counts) and all(UNDERSCORED.fullmatch(tag) for tag in counts):
        tag = next(iter(counts))
        raise InputError(f"tags such as {tag!r} mark spans with a dash: write {tag.replace('_', '-', 1)!r}")
    odd = [tag for tag in counts if not SPELLED.fullmatch(tag)]
    if 2 * sum(counts[tag] for tag in odd) >= counts.total():
        return  # plain tags
    first = next(tag for tag in counts if tag not in odd)
    if odd:
        number = next(n for n, tags in enumerate(sequences, 1) if odd[0] in tags)
        listed = ", ".join(map(repr, odd[:LISTED])) + (", ..." if len(odd) > LISTED else "")
        raise InputError(
            f"sentence {number}: tag {odd[0]!r} marks no span, and most tags do, such as {first!r}; mend "
            f"{listed}"
        )
    letters = ", ".join(sorted({tag[0] for tag in counts}))
    raise InputError(
        f"tags such as {first!r}, with the letters {letters}: no scheme has all of these (BIO; BIOES or "
        "BILU; BMES or BMEW); write all tags in one"
    )


def tag_loss(
    emissions_MC: Tensor, targets: Targets, *, crf: LinearChainCRF | None, smoothing: float
) -> Tensor:
    """Return the summed loss of all words' tags: of whole texts under a random field, else word by word."""
    if crf is not None:
        return -crf.log_likelihood(emissions_MC, targets.labels, targets.lengths).sum()
    return nn.functional.cross_entropy(
        emissions_MC, targets.labels, label_smoothing=smoothing, reduction="sum"
    )


def likeliest(
    emissions_MC: Tensor,
    lengths: Sequence[int],
    *,
    crf: LinearChainCRF | None = None,
    spans: Sequence[str] = (),
) -> list[TagsOfWindow]:
    """Return the tags of the words of each window, and the probability of each.

    emissions_MC  (M, C) scores of all windows' words; lengths says how many words each window has
    spans         the tags' names if they mark spans: a random field then lets no I follow what it cannot
    With a CRF they are its best path, and the probability of a tag is that of all paths through it.

    >>> [(numbers, shares)] = likeliest(torch.tensor([[0.0, 0.0, 2.0]]), [1])
    >>> numbers.tolist(), round(float(shares[0]), 3)
    ([2], 0.787)
    """
    if crf is None:
        share_MC, number_M = emissions_MC.softmax(-1), emissions_MC.argmax(-1)
    else:
        share_MC = crf.marginals(emissions_MC, lengths)
        # A window may begin within a span, so that any tag may come first.
        allowed_CC = torch.from_numpy(allowed_transitions(spans)[0]).to(share_MC.device) if spans else None
        decoded = crf.decode(emissions_MC, lengths, allowed_CC=allowed_CC)
        paths = [number for path in decoded for number in path]
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
