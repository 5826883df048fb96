"""ROUGE: how much of a reference summary comes back in a written one.

C.-Y. Lin (2004), *ROUGE: A Package for Automatic Evaluation of Summaries*. A score is the F1 of what both
have:

    rouge1, rouge2   runs of one and of two tokens, each counted at most as often as the rarer side has it
    rougeL           the longest common subsequence of all tokens
    rougeLsum        line by line: a reference line's hits are the union of its common subsequences with all
                     lines of the candidate, no token counted more often than either text has it

A token is a run of letters and digits in lower case; a Han character is a token by itself, so Chinese is
scored by characters. Left out: stemming, stop words, several references (take the best one's score).
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from minibert.errors import InputError
from minibert.text.scripts import HAN

TOKEN = re.compile(rf"[{HAN}]|[^\W_{HAN}]+")
NAMES = ("rouge1", "rouge2", "rougeL", "rougeLsum")


@dataclass(frozen=True)
class Overlap:
    """What a candidate and a reference share, against the size of each; all in 0..1."""

    precision: float
    recall: float
    f1: float

    @staticmethod
    def of(shared: int, candidate: int, reference: int) -> "Overlap":
        """Turn three counts into shares; 0 where a side is empty.

        >>> Overlap.of(2, 4, 2)
        Overlap(precision=0.5, recall=1.0, f1=0.6666666666666666)
        """
        if not shared:
            return Overlap(0.0, 0.0, 0.0)
        return Overlap(shared / candidate, shared / reference, 2 * shared / (candidate + reference))


def rouge_tokens(text: str) -> list[str]:
    """Cut a text into the tokens that are compared.

    >>> rouge_tokens("The U.S. won 3-1。北京 wins")
    ['the', 'u', 's', 'won', '3', '1', '北', '京', 'wins']
    """
    return TOKEN.findall(text.lower())


def rouge_n(candidate: Sequence[str], reference: Sequence[str], n: int) -> Overlap:
    """Compare the runs of n tokens of two lists of tokens.

    >>> rouge_n(["the", "cat", "sat"], ["the", "cat", "ran"], 2).f1
    0.5
    """
    one, other = runs(candidate, n), runs(reference, n)
    return Overlap.of((one & other).total(), one.total(), other.total())


def runs(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """Count the runs of n tokens."""
    return Counter(zip(*(tokens[start:] for start in range(n)), strict=False))


def rouge_l(candidate: Sequence[str], reference: Sequence[str]) -> Overlap:
    """Compare two lists of tokens by their longest common subsequence.

    >>> rouge_l(["the", "cat", "sat"], ["the", "sat", "cat"]).f1
    0.6666666666666666
    """
    return Overlap.of(len(common_places(reference, candidate)), len(candidate), len(reference))


def rouge_lsum(candidate: Sequence[Sequence[str]], reference: Sequence[Sequence[str]]) -> Overlap:
    """Compare two summaries, each a list of sentences of tokens, by the union of common subsequences."""
    mine = Counter(token for sentence in candidate for token in sentence)
    theirs = Counter(token for sentence in reference for token in sentence)
    left, right, shared = mine.copy(), theirs.copy(), 0
    for sentence in reference:
        places = sorted({place for other in candidate for place in common_places(sentence, other)})
        for place in places:
            token = sentence[place]
            if left[token] and right[token]:
                left[token] -= 1
                right[token] -= 1
                shared += 1
    return Overlap.of(shared, mine.total(), theirs.total())


def common_places(one: Sequence[str], other: Sequence[str]) -> list[int]:
    """Return the places in `one` of a longest subsequence that both lists have.

    >>> common_places(["a", "b", "c", "d"], ["b", "x", "d"])
    [1, 3]
    """
    lengths = [[0] * (len(other) + 1)]
    for token in one:
        above, row = lengths[-1], [0]
        for place, compared in enumerate(other):
            row.append(above[place] + 1 if token == compared else max(above[place + 1], row[place]))
        lengths.append(row)
    places, i, j = [], len(one), len(other)
    while i and j:
        if one[i - 1] == other[j - 1]:
            i, j = i - 1, j - 1
            places.append(i)
        elif lengths[i][j - 1] > lengths[i - 1][j]:
            j -= 1
        else:
            i -= 1
    return places[::-1]


def rouge(candidate: str, reference: str) -> dict[str, float]:
    """Return the four F1 scores of one text; sentences for rougeLsum stand on lines of their own.

    >>> rouge("The cat sat.", "The cat ran.")["rouge2"]
    0.5
    """
    one, other = rouge_tokens(candidate), rouge_tokens(reference)
    lines = [[rouge_tokens(line) for line in text.splitlines()] for text in (candidate, reference)]
    scores = (rouge_n(one, other, 1), rouge_n(one, other, 2), rouge_l(one, other), rouge_lsum(*lines))
    return {name: overlap.f1 for name, overlap in zip(NAMES, scores, strict=True)}


def rouge_scores(candidates: Iterable[str], references: Iterable[str]) -> dict[str, float]:
    """Return the mean of each F1 over many texts; raises InputError where their numbers differ, or none came.

    >>> round(rouge_scores(["The cat sat.", "A dog"], ["The cat ran.", "A dog"])["rouge1"], 4)
    0.8333
    """
    written, wanted = list(candidates), list(references)
    if len(written) != len(wanted) or not written:
        raise InputError(f"{len(written)} texts and {len(wanted)} references; as many of each are wanted")
    rows = [rouge(*pair) for pair in zip(written, wanted, strict=True)]
    return {name: sum(row[name] for row in rows) / len(rows) for name in NAMES}
