"""BM25: search by words, the bar that every search by vectors has to clear.

S. Robertson, H. Zaragoza (2009), *The Probabilistic Relevance Framework: BM25 and Beyond*. A document scores,
summed over the words w of the query that it holds::

    idf(w) * tf (k1 + 1) / (tf + k1 (1 - b + b length / mean length))
    idf(w) = ln(1 + (N - n + 0.5) / (n + 0.5))

tf is how often w stands in the document, n in how many of the N documents it stands (idf as in Lucene: never
negative). Words are runs of letters and digits in lower case, half and full width alike. Han characters are
taken in pairs, and one that a query holds alone is found wherever it stands. No stemming and no stop words.
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np

from minibert.errors import InputError
from minibert.tasks.rouge import HAN

HAN_RUN = re.compile(rf"[{HAN}]")
RUN = re.compile(rf"[{HAN}]+|[^\W_{HAN}]+")


class BM25:
    """An index of words over texts, in memory.

    >>> index = BM25(["the cat sat", "the dog ran", "a cat and a dog"])
    >>> [number for number, score in index.search("cats or a cat", top_k=2)]
    [2, 0]
    """

    def __init__(self, texts: Iterable[str], k1: float = 1.2, *, b: float = 0.75) -> None:
        postings: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        lengths = []
        for number, text in enumerate(texts):
            counts = Counter(words(text))
            lengths.append(counts.total())
            counts.update(inside_runs(text))
            for word, count in counts.items():
                postings[word].append((number, count))
        if not lengths:
            raise InputError("no texts to search in; give at least one")
        self.count = len(lengths)
        share = np.array(lengths) / max(1e-9, float(np.mean(lengths)))
        self.postings: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for word, found in postings.items():
            numbers, counts_of = np.array(found).T
            idf = math.log(1 + (self.count - len(found) + 0.5) / (len(found) + 0.5))
            damped = counts_of + k1 * (1 - b + b * share[numbers])
            self.postings[word] = numbers, idf * counts_of * (k1 + 1) / damped

    def scores(self, query: str) -> np.ndarray:
        """Return the score of every text, (N,) float64."""
        total = np.zeros(self.count)
        for word, times in Counter(words(query)).items():
            if word in self.postings:
                numbers, scores = self.postings[word]
                total[numbers] += times * scores
        return total

    def search(self, query: str, top_k: int = 10) -> list[tuple[int, float]]:
        """Return (number of the text, score) of the best that share a word with the query, the best first."""
        scores = self.scores(query)
        order = np.argsort(-scores, kind="stable")[:top_k]
        return [(int(number), float(scores[number])) for number in order if scores[number] > 0]


def words(text: str) -> list[str]:
    """Cut a text into words; a run of Han characters gives its pairs, a lone one itself.

    >>> words("BM25: 信息检索, 无 doubt")
    ['bm25', '信息', '息检', '检索', '无', 'doubt']
    """
    found: list[str] = []
    for run in runs(text):
        pairs = [run[place : place + 2] for place in range(len(run) - 1)] if HAN_RUN.match(run) else []
        found += pairs or [run]
    return found


def inside_runs(text: str) -> list[str]:
    """Return each Han character that stands beside another, which `words` gives in pairs only.

    >>> inside_runs("小猫 a 无")
    ['小', '猫']
    """
    return [letter for run in runs(text) if len(run) > 1 and HAN_RUN.match(run) for letter in run]


def runs(text: str) -> list[str]:
    """Return the runs of Han characters, and those of other letters and digits."""
    return RUN.findall(unicodedata.normalize("NFKC", text).lower())
