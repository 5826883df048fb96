"""How good a ranking is: what a person wants should stand high in the list.

For one query, a ranking is a list of document ids, the best first, and `gains` says how much each relevant
document is worth (1 where there are no grades; what is not listed, or has gain 0, is not relevant)::

    reciprocal rank     1 / rank of the first relevant document (Voorhees, 1999)
    average precision   mean, over the relevant documents, of the precision at the rank of each
    recall@k            share of the relevant documents among the first k
    ndcg@k              sum of gain / log2(rank + 1) over the first k, as a share of the best that can be
                        (Jarvelin and Kekalainen, 2002; gains as they are, not 2^gain - 1)

The conventions are those of trec_eval: documents of equal score are ordered by id, the larger string first,
so that nobody gains by returning ties; a relevant document that was not found counts as missed, and the best
possible sum is that of all relevant documents. A query without a relevant document is left out of the means.
"""

import math
from collections.abc import Mapping, Sequence

from minibert.errors import InputError

Gains = Mapping[str, float]


def rank(scores: Mapping[str, float]) -> list[str]:
    """Order documents by score, the highest first; of equal scores the larger id comes first.

    >>> rank({"a": 0.5, "b": 0.9, "c": 0.5})
    ['b', 'c', 'a']
    """
    return sorted(scores, key=lambda document: (scores[document], document), reverse=True)


def reciprocal_rank(ranking: Sequence[str], gains: Gains, *, k: int | None = None) -> float:
    """Return 1 / rank of the first relevant document among the first k; 0 where there is none.

    >>> reciprocal_rank(["x", "b", "a"], {"a": 1, "b": 1})
    0.5
    """
    for place, document in enumerate(ranking[:k], 1):
        if gains.get(document, 0) > 0:
            return 1 / place
    return 0.0


def average_precision(ranking: Sequence[str], gains: Gains) -> float:
    """Return the mean precision at each relevant document; what is not in the ranking counts as 0.

    >>> round(average_precision(["a", "x", "b"], {"a": 1, "b": 1}), 4)  # (1/1 + 2/3) / 2
    0.8333
    """
    found, total = 0, 0.0
    for place, document in enumerate(ranking, 1):
        if gains.get(document, 0) > 0:
            found += 1
            total += found / place
    return total / _count(gains)


def recall(ranking: Sequence[str], gains: Gains, k: int) -> float:
    """Return the share of the relevant documents that stand among the first k.

    >>> recall(["a", "x", "b"], {"a": 1, "b": 1}, 2)
    0.5
    """
    return sum(gains.get(document, 0) > 0 for document in ranking[:k]) / _count(gains)


def ndcg(ranking: Sequence[str], gains: Gains, *, k: int = 10) -> float:
    """Return the discounted gain of the first k documents, as a share of the best there can be.

    >>> round(ndcg(["b", "a"], {"a": 3, "b": 1}), 4)  # (1 + 3 / log2(3)) / (3 + 1 / log2(3))
    0.7967
    """
    best = _discounted(sorted((gain for gain in gains.values() if gain > 0), reverse=True)[:k])
    return _discounted([max(0.0, gains.get(document, 0)) for document in ranking[:k]]) / best if best else 0.0


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(place + 1) for place, gain in enumerate(gains, 1))


def _count(gains: Gains) -> int:
    return max(1, sum(gain > 0 for gain in gains.values()))


def ranking_scores(
    rankings: Mapping[str, Sequence[str]],
    judged: Mapping[str, Gains],
    *,
    k: int = 10,
    recalls: Sequence[int] = (1, 10, 100),
) -> dict[str, float]:
    """Return the means over all queries that have a relevant document: nDCG, MRR, MAP and recall.

    rankings  query -> documents, the best first; a query that is missing counts as an empty ranking
    judged    query -> document -> gain
    Raises InputError where no query has a relevant document, or a ranking names a document twice.

    >>> ranking_scores({"q": ["x", "a"]}, {"q": {"a": 1}}, recalls=(1,))
    {'ndcg@10': 0.6309297535714575, 'mrr@10': 0.5, 'map': 0.5, 'recall@1': 0.0, 'queries': 1}
    """
    asked = [query for query, gains in judged.items() if any(gain > 0 for gain in gains.values())]
    if not asked:
        raise InputError(f"{len(judged)} queries, and none has a relevant document; nothing can be scored")
    for query, ranking in rankings.items():
        if len(set(ranking)) < len(ranking):
            twice = next(document for document in ranking if list(ranking).count(document) > 1)
            raise InputError(f"the ranking of query {query!r} names {twice!r} twice; leave one out")
    pairs = [(rankings.get(query, ()), judged[query]) for query in asked]
    rows = {
        f"ndcg@{k}": [ndcg(ranking, gains, k=k) for ranking, gains in pairs],
        f"mrr@{k}": [reciprocal_rank(ranking, gains, k=k) for ranking, gains in pairs],
        "map": [average_precision(ranking, gains) for ranking, gains in pairs],
        **{f"recall@{n}": [recall(ranking, gains, n) for ranking, gains in pairs] for n in recalls},
    }
    return {**{name: sum(values) / len(values) for name, values in rows.items()}, "queries": len(asked)}
