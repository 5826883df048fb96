"""Rankings scored by hand, against other definitions of the same numbers, and in general."""

import math
import random

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from minibert.errors import InputError
from minibert.tasks.ranking_metrics import (
    average_precision,
    ndcg,
    rank,
    ranking_scores,
    recall,
    reciprocal_rank,
)

RANKING = ["d3", "d1", "d7", "d2", "d9"]
GAINS = {"d1": 3, "d2": 1, "d5": 2, "d9": 1, "d3": 0}


def test_each_measure_by_hand():
    """Relevant are ranks 2 (gain 3), 4 (1) and 5 (1); d5 (gain 2) was not found, d3 is judged irrelevant."""
    assert reciprocal_rank(RANKING, GAINS) == pytest.approx(1 / 2)
    assert reciprocal_rank(RANKING, GAINS, k=1) == 0
    assert average_precision(RANKING, GAINS) == pytest.approx((1 / 2 + 2 / 4 + 3 / 5) / 4)
    assert [recall(RANKING, GAINS, k) for k in (1, 2, 4, 5, 100)] == [0, 1 / 4, 2 / 4, 3 / 4, 3 / 4]
    best = 3 / 1 + 2 / math.log2(3) + 1 / 2 + 1 / math.log2(5)
    assert ndcg(RANKING, GAINS) == pytest.approx(
        (3 / math.log2(3) + 1 / math.log2(5) + 1 / math.log2(6)) / best
    )
    assert ndcg(RANKING, GAINS, k=2) == pytest.approx((3 / math.log2(3)) / (3 + 2 / math.log2(3)))


def test_ties_are_broken_by_id_the_larger_first_as_trec_eval_does():
    assert rank({"10": 1.0, "9": 1.0, "2": 2.0, "a": 0.0}) == ["2", "9", "10", "a"]


def test_grades_below_one_earn_nothing():
    assert ndcg(["a", "b"], {"a": -1, "b": 0}) == 0
    assert reciprocal_rank(["a", "b"], {"a": -1, "b": 2}) == 1 / 2
    assert recall(["a"], {"a": -1}, 1) == 0


def test_the_numbers_are_those_of_scikit_learn():
    draw = np.random.default_rng(0)
    for _ in range(50):
        size = int(draw.integers(2, 20))
        grades = draw.integers(0, 4, size)
        grades[draw.integers(size)] = 2
        scores = draw.permutation(size).astype(float)  # no ties
        names = [f"d{number:02}" for number in range(size)]
        ranking = rank(dict(zip(names, scores, strict=True)))
        gains = dict(zip(names, grades.tolist(), strict=True))
        for k in (3, 10):
            assert ndcg(ranking, gains, k=k) == pytest.approx(ndcg_score([grades], [scores], k=k))
        assert average_precision(ranking, gains) == pytest.approx(average_precision_score(grades > 0, scores))


def test_no_exchange_that_lifts_a_relevant_document_lowers_a_measure():
    draw = random.Random(0)
    names = [f"d{number}" for number in range(9)]
    for _ in range(200):
        ranking = draw.sample(names, 9)
        gains = {name: draw.choice([0, 0, 1]) for name in names}
        place = draw.randrange(8)
        lifted = [*ranking]
        lifted[place], lifted[place + 1] = lifted[place + 1], lifted[place]
        if gains[ranking[place + 1]] <= gains[ranking[place]]:
            continue
        for measure in (reciprocal_rank, average_precision, ndcg):
            assert measure(lifted, gains) >= measure(ranking, gains)
        assert average_precision(lifted, gains) > average_precision(ranking, gains)


def test_the_perfect_ranking_scores_one():
    best = rank(GAINS)
    perfect = ranking_scores({"q": best}, {"q": GAINS}, recalls=(4,))
    assert perfect == {"ndcg@10": 1, "mrr@10": 1, "map": 1, "recall@4": 1, "queries": 1}


def test_means_leave_out_queries_without_an_answer_and_count_missing_rankings_as_zero():
    judged = {"one": {"a": 1}, "two": {"b": 2}, "none": {"c": 0}}
    scores = ranking_scores({"one": ["a"], "none": ["c"], "unasked": ["x"]}, judged, recalls=(1,))
    assert scores == {"ndcg@10": 0.5, "mrr@10": 0.5, "map": 0.5, "recall@1": 0.5, "queries": 2}


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(InputError, match="2 queries, and none has a relevant document"):
        ranking_scores({}, {"q": {"a": 0}, "r": {}})
    with pytest.raises(InputError, match="'q' names 'b' twice"):
        ranking_scores({"q": ["a", "b", "b"]}, {"q": {"a": 1}})
