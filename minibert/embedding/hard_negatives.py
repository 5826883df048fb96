"""Hard negatives: passages that the model of today takes for an answer, and that are none.

Wrong answers drawn by chance are soon told apart; those that stand high in the model's own ranking teach it
more (L. Xiong et al., 2021, *Approximate Nearest Neighbor Negative Contrastive Learning*). But the best of
them may be right, only nobody said so. A margin leaves out what is as similar as the right passage: a
negative must score below  score of the right passage - margin  (G. Moreira et al., 2024, *NV-Retriever*).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from minibert.data.examples import SearchExample
from minibert.embedding.index import best_of
from minibert.embedding.text_encoder import TextEncoder
from minibert.errors import InputError

QUERIES = 1024  # queries that are scored at once


def mine_hard_negatives(
    encoder: TextEncoder,
    examples: Sequence[SearchExample],
    *,
    passages: Sequence[str] | None = None,
    negatives: int = 4,
    margin: float = 0.05,
    depth: int = 100,
) -> list[SearchExample]:
    """Give each example the wrong passages that stand highest in its query's ranking.

    passages   where they are looked for; by default the passages of the examples themselves
    negatives  at most so many for each example, in place of those it had; none where none is left
    margin     how much less similar (cosine) than the right passage a negative must be
    depth      how much of the ranking is looked at
    What answers the same query in another example is never taken; examples without a passage are left out.

    >>> from minibert.embedding.loading import load_encoder
    >>> searches = [SearchExample("a dull film", "dull"), SearchExample("a warm film", "warm")]
    >>> mine_hard_negatives(load_encoder("runs/clf"), searches, margin=-2.0)[0].negatives
    ('warm',)
    """
    if negatives < 1 or depth < 1:
        raise InputError(f"negatives {negatives}, depth {depth}; positive numbers are wanted")
    asked = [example for example in examples if example.positive is not None]
    answers = [str(example.positive) for example in asked]
    pool = list(dict.fromkeys(passages if passages is not None else answers))
    right: defaultdict[str, set[str | None]] = defaultdict(set)
    for example in asked:
        right[example.text].add(example.positive)
    rows_ND = encoder.embed(pool, progress=False)
    queries_QD = encoder.embed([example.text for example in asked], progress=False)
    limits_Q = (queries_QD * encoder.embed(answers, progress=False)).sum(1) - margin
    found: list[SearchExample] = []
    for example, scores, best in zip(asked, *_best(queries_QD, rows_ND, depth), strict=True):
        limit, known = limits_Q[len(found)], right[example.text]
        wrong = (pool[n] for score, n in zip(scores, best, strict=True) if score < limit)
        kept = islice((passage for passage in wrong if passage not in known), negatives)
        found.append(replace(example, negatives=tuple(kept)))
    return found


def _best(queries_QD: np.ndarray, rows_ND: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and numbers, both (Q, K), of the most similar rows, some queries at a time."""
    parts = []
    for start in range(0, len(queries_QD), QUERIES):
        scores_QN = queries_QD[start : start + QUERIES] @ rows_ND.T
        parts.append(best_of(scores_QN, np.broadcast_to(np.arange(len(rows_ND)), scores_QN.shape), depth))
    scores, numbers = zip(*parts, strict=True) if parts else ((np.zeros((0, 0)),), (np.zeros((0, 0)),))
    return np.concatenate(scores), np.concatenate(numbers)
