"""Re-ranking: a cross-encoder reads query and passage together and says how well they fit.

R. Nogueira, K. Cho (2019), *Passage Re-ranking with BERT*. A bi-encoder finds a hundred passages fast, for
each has its vector already; a cross-encoder sees both texts at once, so every word of the one can attend to
every word of the other, but it must run again for each pair. The usual way is both, one after the other.

A cross-encoder here is a `classification` model of pairs with two labels; its score is the probability of one
of them. Trained on `labelled_pairs`, the labels are "0" and "1".
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minibert.data.examples import SearchExample, TextExample
from minibert.errors import InputError
from minibert.tasks.classification import Classification
from minibert.tasks.model import Model

RELEVANT, OTHER = "1", "0"


def rerank(
    model: Model, query: str, passages: Sequence[str], *, relevant: str = RELEVANT, top_k: int | None = None
) -> list[tuple[int, float]]:
    """Return (number of the passage, probability that it is relevant), the likeliest first.

    relevant  the model's label for a passage that answers the query
    Equal scores keep the order in which the passages came. Raises InputError for a model of another task.

    >>> from minibert.tasks.model import load
    >>> passages = ["a moving film", "a tedious film"]
    >>> [number for number, p in rerank(load("runs/clf"), "a dull story", passages, relevant="negative")]
    [1, 0]
    """
    return rerank_all(model, [(query, passages)], relevant=relevant, top_k=top_k)[0]


def rerank_all(
    model: Model,
    searches: Iterable[tuple[str, Sequence[str]]],
    *,
    relevant: str = RELEVANT,
    top_k: int | None = None,
) -> list[list[tuple[int, float]]]:
    """Re-rank the passages of many queries at once; short pairs share a batch, whoever asks."""
    task = model.task
    if not isinstance(task, Classification):
        raise InputError(f"a {task.name} model ranks no pairs; a classification model of pairs is wanted")
    if relevant not in task.labels:
        raise InputError(f"label {relevant!r} is none of the model's: {', '.join(task.labels)}")
    asked = [(query, list(passages)) for query, passages in searches]
    pairs = [TextExample(query, passage) for query, passages in asked for passage in passages]
    scores = np.array([answer.probabilities[relevant] for answer in model.predict(pairs)])
    found, done = [], 0
    for _, passages in asked:
        mine = scores[done : done + len(passages)]
        order = np.argsort(-mine, kind="stable")[:top_k]
        found.append([(int(number), float(mine[number])) for number in order])
        done += len(passages)
    return found


def labelled_pairs(searches: Iterable[SearchExample], *, negatives: int = 4) -> list[TextExample]:
    """Turn searches into pairs for a cross-encoder: the right passage is "1", each wrong one "0".

    negatives  at most so many wrong passages for each right one, the first that are given

    >>> [pair.label for pair in labelled_pairs([SearchExample("who?", "Ada", ("a cat", "a dog"))])]
    ['1', '0', '0']
    """
    found: list[Any] = []
    for search in searches:
        if search.positive is not None:
            found.append(TextExample(search.text, search.positive, RELEVANT))
            found += [TextExample(search.text, wrong, OTHER) for wrong in search.negatives[:negatives]]
    return found
