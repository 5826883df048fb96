"""How good the answers to questions are: exact match and F1, as the scripts of the data sets define them.

English and the like, by SQuAD's script (Rajpurkar et al., 2016): case, punctuation, articles and white space
do not count; F1 is that of the words which answer and gold share. Chinese, by CMRC 2018's script (Cui et al.,
2019): a text is its characters and its Latin words, some punctuation left out; F1 is that of the longest run
which both have. Chinese it is where there are as many ideographs as words of other scripts: in the question,
or in each answer that is right.

Of several gold answers the best counts. Where there is none, "" is right and everything else wrong.

Left out: CMRC's script cuts Latin runs with NLTK's tokenizer; here they are cut at spaces and punctuation,
but for numbers such as 3.5 and 1,000.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minibert.errors import InputError
from minibert.tasks.answer_spans import Answer
from minibert.text.scripts import IDEOGRAPH

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)
CHINESE_PUNCTUATION = set("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
CHINESE_UNITS = re.compile(  # characters, numbers, words, marks
    r"[\u4e00-\u9fa5]|\d+(?:[.,]\d+)+|[^\W\u4e00-\u9fa5]+|[^\w\s]"
)
WORD = re.compile(r"\w+(?:[.,]\d+)*")


class Match(NamedTuple):
    """How well an answer matches what is right, both 0..1."""

    exact: float
    f1: float


def match(answer: str, golds: Sequence[str], *, question: str = "") -> Match:
    """Compare an answer with those that are right; none means that "" is.

    >>> match("the big cat", ["Big cat!", "cat"])
    Match(exact=1.0, f1=1.0)
    >>> match("在北京市", ["北京"])
    Match(exact=0.0, f1=0.6666666666666666)
    """
    if not golds or not answer:
        right = float(not golds and not answer)
        return Match(right, right)
    chinese = mostly_ideographs(question) or all(map(mostly_ideographs, golds))
    compare = _match_chinese if chinese else _match_words
    matches = [compare(answer, gold) for gold in golds]
    return Match(max(found.exact for found in matches), max(found.f1 for found in matches))


def mostly_ideographs(text: str) -> bool:
    """Say whether a text has ideographs, and as many as words of other scripts.

    >>> mostly_ideographs("NBA是什么？"), mostly_ideographs("What does 元朝 mean?")
    (True, False)
    """
    count = len(IDEOGRAPH.findall(text))
    return 0 < count >= len(WORD.findall(IDEOGRAPH.sub(" ", text)))


def plain_words(text: str) -> list[str]:
    """Return the words that count: lower case, without punctuation and articles.

    >>> plain_words("The  U.S. Army, an army")
    ['us', 'army', 'army']
    """
    return ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split()


def chinese_units(text: str) -> list[str]:
    """Return the characters and Latin words that count.

    >>> chinese_units("《BBC News》在2010年。")
    ['bbc', 'news', '在', '2010', '年']
    """
    return CHINESE_UNITS.findall(_without_punctuation(text))


def _without_punctuation(text: str) -> str:
    return "".join(character for character in text.lower().strip() if character not in CHINESE_PUNCTUATION)


def _match_words(answer: str, gold: str) -> Match:
    left, right = plain_words(answer), plain_words(gold)
    exact = float(left == right)
    if not left or not right:
        return Match(exact, exact)
    return Match(exact, _f1((Counter(left) & Counter(right)).total(), len(left), len(right)))


def _match_chinese(answer: str, gold: str) -> Match:
    left, right = chinese_units(answer), chinese_units(gold)
    exact = float(_without_punctuation(answer) == _without_punctuation(gold))
    if not left or not right:
        return Match(exact, exact)
    return Match(exact, _f1(longest_shared_run(left, right), len(left), len(right)))


def _f1(shared: int, answered: int, wanted: int) -> float:
    return 2 * shared / (answered + wanted)


def longest_shared_run(left: Sequence[str], right: Sequence[str]) -> int:
    """Return the length of the longest run of units that both hold.

    >>> longest_shared_run("abcde", "xbcdy")
    3
    """
    longest, before = 0, [0] * (len(right) + 1)
    for one in left:
        row = [0]
        for place, other in enumerate(right):
            row.append(before[place] + 1 if one == other else 0)
        longest, before = max(longest, *row), row
    return longest


def best_threshold(margins: Sequence[float], answered: Sequence[float], refused: Sequence[float]) -> float:
    """Return the threshold that gives the highest score when questions with a larger margin are refused.

    margins   by how much "no answer" scores above the best span, for each question
    answered  score of each question if its best span is given
    refused   score of each question if none is given
    Of several that are best, the one that refuses least. Raises InputError where there are no questions.

    >>> best_threshold([-3.0, -1.0, 2.0], [1.0, 0.0, 0.0], [0.0, 1.0, 1.0])
    -2.0
    """
    if not margins:
        raise InputError("no questions to choose a threshold on; give validation data with some")
    order = np.argsort(margins, kind="stable")
    sorted_N = np.asarray(margins, np.float64)[order]
    gain_N = (np.asarray(answered, np.float64) - np.asarray(refused, np.float64))[order]
    total_N = np.concatenate([[0.0], np.cumsum(gain_N)])  # gain if the first n are answered
    borders_N = np.concatenate([[sorted_N[0] - 1], (sorted_N[:-1] + sorted_N[1:]) / 2, [sorted_N[-1] + 1]])
    apart_N = np.concatenate([[True], sorted_N[:-1] < sorted_N[1:], [True]])
    total_N = np.where(apart_N, total_N, -np.inf)  # equal margins cannot be parted
    best = len(total_N) - 1 - int(np.argmax(total_N[::-1] >= total_N.max() - 1e-12))
    return float(borders_N[best])


@dataclass(frozen=True)
class Compared:
    """How good an answer is, how good its best span is, and what it is worth to give none.

    answerable  whether the passage holds an answer
    margin      by how much "no answer" scored above the best span
    """

    given: Match
    span: Match
    answerable: bool
    margin: float

    @staticmethod
    def of(answer: Answer, golds: Sequence[str], question: str) -> "Compared":
        """Compare an answer with the texts that are right, none of them if there is no answer."""
        given, span = (match(text, golds, question=question) for text in (answer.text, answer.best_span))
        return Compared(given, span, bool(golds), answer.margin)


def report(compared: Sequence[Compared]) -> dict[str, Any]:
    """Return mean F1 and exact match; where some questions are unanswerable, those of both kinds as well.

    best_f1 is that of the best threshold for these very questions, best_f1_threshold: to be chosen on
    validation data.
    """

    def mean(values: Sequence[float]) -> float:
        return float(np.mean(values)) if values else 0.0

    scores = {
        "f1": mean([one.given.f1 for one in compared]),
        "exact_match": mean([one.given.exact for one in compared]),
    }
    if all(one.answerable for one in compared):
        return scores
    refused = [float(not one.answerable) for one in compared]
    spans, margins = [one.span.f1 for one in compared], [one.margin for one in compared]
    threshold = best_threshold(margins, spans, refused)
    best = [r if m > threshold else s for m, s, r in zip(margins, spans, refused, strict=True)]
    return {
        **scores,
        "answerable_f1": mean([one.given.f1 for one in compared if one.answerable]),
        "unanswerable_f1": mean([one.given.f1 for one in compared if not one.answerable]),
        "best_f1": mean(best),
        "best_f1_threshold": threshold,
    }
