"""Hybrid search: by words and by vectors, two rankings made one.

G. Cormack, C. Clarke, S. Buettcher (2009), *Reciprocal Rank Fusion Outperforms Condorcet and Individual Rank
Learning Methods*. A document scores, summed over the rankings that hold it::

    score(d) = sum of 1 / (60 + rank of d),      ranks from 1

Ranks alone count: a cosine and a BM25 score have no common scale. Words find names and numbers that a vector
blurs, vectors find what is said in other words.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minibert.embedding.bm25 import BM25
from minibert.embedding.index import Hit, Index

CONSTANT = 60  # theirs; the larger, the less the first places count
CANDIDATES = 100  # documents that each ranking hands in


def fuse(rankings: Sequence[Sequence[Any]], constant: int = CONSTANT) -> list[tuple[Any, float]]:
    """Join rankings, each the best first, into one of (document, score); of equal ones the lesser is first.

    >>> [(name, round(score, 4)) for name, score in fuse([["a", "b", "c"], ["b", "d"]])]
    [('b', 0.0325), ('a', 0.0164), ('d', 0.0161), ('c', 0.0159)]
    """
    scores: dict[Any, float] = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, 1):
            scores[document] = scores.get(document, 0.0) + 1 / (constant + place)
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


def hybrid_search(
    index: Index, words: BM25, queries: Sequence[str], vectors_QD: np.ndarray, *, top_k: int = 10
) -> list[list[Hit]]:
    """Return the best documents of each query by its words and its vector together, the best first.

    words       of the texts of the index in their order: BM25(index.texts())
    vectors_QD  (Q, D) float32, as `Index.search` has them

    >>> from minibert.embedding.loading import load_encoder
    >>> from minibert.embedding.index import build_index
    >>> encoder = load_encoder("runs/clf")
    >>> index = build_index(encoder, ["a warm film", "a dull plot"], "idx2")
    >>> query = ["a dull plot"]
    >>> [hits] = hybrid_search(index, BM25(index.texts()), query, encoder.embed(query), top_k=1)
    >>> hits[0].text
    'a dull plot'
    """
    depth = max(top_k, CANDIDATES)
    _, near_QK = index.nearest(vectors_QD, depth)
    found = []
    for query, near in zip(queries, near_QK.tolist(), strict=True):
        by_words = [row for row, _ in words.search(query, depth)]
        best = fuse([near, by_words])[:top_k]
        found.append([Hit(row, *index.document(row), score) for row, score in best])
    return found
