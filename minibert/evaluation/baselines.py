"""What a model has to beat: simple methods without a neural network.

For texts: the most frequent class; multinomial naive Bayes; logistic regression on tf-idf weights. Both see
words and pairs of neighbouring words. `strongest` tries several strengths of smoothing and picks on
validation rows, so that the comparison is with a bag of words at its best. For tags: the most frequent tag of
each word.

Source: McCallum and Nigam (1998), A Comparison of Event Models for Naive Bayes Text Classification.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from minibert.data.examples import TaggedExample, TextExample
from minibert.errors import InputError
from minibert.evaluation.sparse import SparseRows, count_rows
from minibert.text.scripts import HAN

STEPS = 100  # of gradient descent
WORD = re.compile(f"[{HAN}]|[^\\W{HAN}]+")  # Chinese has no spaces: a character is a word


class TextBaseline(Protocol):
    """What can be fitted to labelled texts and asked for labels."""

    def fit(self, examples: Sequence[TextExample]) -> None: ...

    def predict(self, examples: Sequence[TextExample]) -> list[str]: ...


@dataclass(frozen=True)
class Chosen:
    """The baseline that did best on validation rows, what it is called, and its accuracy there."""

    name: str
    baseline: TextBaseline
    validation_accuracy: float


class Majority:
    """Answers the most frequent class."""

    def fit(self, examples: Sequence[TextExample]) -> None:
        """Count the classes."""
        labels, rows = label_rows(examples)
        self.label = labels[int(np.bincount(rows).argmax())]

    def predict(self, examples: Sequence[TextExample]) -> list[str]:
        """Answer the same for every text."""
        return [self.label for _ in examples]


class NaiveBayes:
    """Multinomial naive Bayes; `alpha` is added to every count."""

    def __init__(self, alpha: float = 0.3) -> None:
        self.alpha = alpha

    def fit(self, examples: Sequence[TextExample]) -> None:
        """Count the terms of each class."""
        self.labels, rows = label_rows(examples)
        terms = [text_terms(example) for example in examples]
        self.columns = number_terms(terms, fewest=1)
        counts = np.full((len(self.columns), len(self.labels)), self.alpha)
        counts += count_rows(terms, self.columns).transposed_times(np.eye(len(self.labels))[rows])
        self.weights = np.log(counts / counts.sum(axis=0))
        self.prior = np.log(np.bincount(rows, minlength=len(self.labels)) / len(rows))

    def predict(self, examples: Sequence[TextExample]) -> list[str]:
        """Answer the most probable class."""
        rows = count_rows([text_terms(example) for example in examples], self.columns)
        return [self.labels[best] for best in (rows.times(self.weights) + self.prior).argmax(axis=1)]


class LogisticRegression:
    """Softmax regression on tf-idf weights of length one; `penalty` weighs the squared weights in the sum."""

    def __init__(self, penalty: float = 0.1) -> None:
        self.penalty = penalty

    def fit(self, examples: Sequence[TextExample]) -> None:
        """Minimise cross-entropy plus penalty: Nesterov's accelerated gradient, a fixed number of steps."""
        self.labels, rows = label_rows(examples)
        terms = [text_terms(example) for example in examples]
        self.columns = number_terms(terms, fewest=2)
        documents = Counter(term for row in terms for term in set(row))
        frequency = np.array([documents[term] for term in self.columns], dtype=float)
        self.idf = np.log((1 + len(terms)) / (1 + frequency)) + 1
        features, wanted = self.features(terms), np.eye(len(self.labels))[rows]
        weights = np.zeros((len(self.columns), len(self.labels)))
        ahead, momentum = weights, 1.0
        step = 1 / (0.5 * features.largest_singular_value() ** 2 + self.penalty)
        for _ in range(STEPS):
            slope = features.transposed_times(softmax(features.times(ahead)) - wanted) + self.penalty * ahead
            following = ahead - step * slope
            next_momentum = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead = following + (momentum - 1) / next_momentum * (following - weights)
            weights, momentum = following, next_momentum
        self.weights = weights

    def predict(self, examples: Sequence[TextExample]) -> list[str]:
        """Answer the most probable class."""
        features = self.features([text_terms(example) for example in examples])
        return [self.labels[best] for best in features.times(self.weights).argmax(axis=1)]

    def features(self, terms: list[list[str]]) -> SparseRows:
        """Weight the terms of each row."""
        return count_rows(terms, self.columns).weighted(self.idf)


class MostFrequentTag:
    """Answers the tag that a word has most often, and for an unseen word the most frequent tag of all."""

    def fit(self, examples: Sequence[TaggedExample]) -> None:
        """Count the tags of each word."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        total: Counter[str] = Counter()
        for example in examples:
            for (start, end), tag in zip(example.spans, example.tags or (), strict=example.tags is not None):
                counts[example.text[start:end]][tag] += 1
                total[tag] += 1
        if not total:
            raise InputError("no tagged word among the examples; give examples with tags")
        self.tags = {word: most_frequent(tags) for word, tags in counts.items()}
        self.otherwise = most_frequent(total)

    def predict(self, examples: Sequence[TaggedExample]) -> list[tuple[str, ...]]:
        """Answer one tag for each span."""
        return [
            tuple(self.tags.get(example.text[start:end], self.otherwise) for start, end in example.spans)
            for example in examples
        ]


def strongest(train: Sequence[TextExample], validation: Sequence[TextExample]) -> Chosen:
    """Fit both kinds of model at several strengths and return what is most accurate on validation."""
    candidates: list[tuple[str, TextBaseline]] = [
        *((f"naive Bayes, alpha {alpha}", NaiveBayes(alpha)) for alpha in (0.03, 0.1, 0.3, 1.0)),
        *((f"logistic regression, penalty {penalty}", LogisticRegression(penalty)) for penalty in (0.1, 1.0)),
    ]
    best: Chosen | None = None
    for name, baseline in candidates:
        baseline.fit(train)
        answers = baseline.predict(validation)
        right = sum(answer == str(row.label) for answer, row in zip(answers, validation, strict=True))
        accuracy = right / max(1, len(answers))
        if best is None or accuracy > best.validation_accuracy:
            best = Chosen(name, baseline, accuracy)
    assert best is not None
    return best


def text_terms(example: TextExample) -> list[str]:
    """Split a text, and its pair if there is one, into lower-case words and pairs of neighbours."""
    terms: list[str] = []
    for text in (example.text, example.pair):
        words = WORD.findall(text.lower()) if text is not None else []
        terms += words + [f"{first} {second}" for first, second in zip(words, words[1:], strict=False)]
    return terms


def number_terms(terms: list[list[str]], *, fewest: int) -> dict[str, int]:
    """Number the terms that stand in at least `fewest` rows, in order of the alphabet."""
    rows = Counter(term for row in terms for term in set(row))
    return {
        term: column
        for column, term in enumerate(sorted(term for term, count in rows.items() if count >= fewest))
    }


def label_rows(examples: Sequence[TextExample]) -> tuple[list[str], np.ndarray]:
    """List the classes, sorted, and number that of every example; one without is an InputError."""
    for number, example in enumerate(examples):
        if example.label is None:
            raise InputError(f"example {number} has no label; a baseline is fitted to labelled examples")
    labels = sorted({str(example.label) for example in examples})
    if not labels:
        raise InputError("no examples; a baseline is fitted to at least one labelled example")
    numbers = {label: number for number, label in enumerate(labels)}
    return labels, np.array([numbers[str(example.label)] for example in examples])


def most_frequent(counts: Counter[str]) -> str:
    """Return what is counted most often; among equals the first of the alphabet."""
    return min(counts, key=lambda name: (-counts[name], name))


def softmax(scores: np.ndarray) -> np.ndarray:
    """Turn rows of scores into probabilities."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
