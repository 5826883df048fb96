"""ROUGE by hand, by brute force, and what always holds."""

import random
from itertools import combinations

import pytest

from minibert.errors import InputError
from minibert.tasks.rouge import (
    NAMES,
    common_places,
    rouge,
    rouge_l,
    rouge_lsum,
    rouge_n,
    rouge_scores,
    rouge_tokens,
)


def test_lins_example_of_the_longest_common_subsequence():
    """Lin (2004), section 3.1: "the cop" and "the gunman" split what bigrams cannot tell apart."""
    reference = rouge_tokens("police killed the gunman")
    assert rouge_l(rouge_tokens("police kill the gunman"), reference).f1 == pytest.approx(0.75)
    assert rouge_l(rouge_tokens("the gunman kill police"), reference).f1 == pytest.approx(0.5)
    for candidate in ("police kill the gunman", "the gunman kill police"):
        assert rouge_n(rouge_tokens(candidate), reference, 2).recall == pytest.approx(1 / 3)


def test_lins_example_of_the_union_of_subsequences():
    """Lin (2004), section 3.2: w1 w2 and w1 w3 w5 together hold four of the five words."""
    reference = [["w1", "w2", "w3", "w4", "w5"]]
    candidate = [["w1", "w2", "w6", "w7", "w8"], ["w1", "w3", "w8", "w9", "w5"]]
    assert rouge_lsum(candidate, reference).recall == pytest.approx(4 / 5)
    assert rouge_lsum(candidate, reference).precision == pytest.approx(4 / 10)


def test_counts_are_clipped_by_the_rarer_side():
    overlap = rouge_n(["the"] * 7, ["the", "cat", "the"], 1)
    assert (overlap.precision, overlap.recall) == (pytest.approx(2 / 7), pytest.approx(2 / 3))


def test_a_union_counts_no_word_of_the_candidate_twice():
    """One "a" in the candidate cannot answer for the "a" of two reference sentences."""
    assert rouge_lsum([["a"]], [["a"], ["a"]]).recall == pytest.approx(1 / 2)


def test_chinese_is_scored_by_characters():
    assert rouge_tokens("北京GDP增长3%") == ["北", "京", "gdp", "增", "长", "3"]
    assert rouge("北京很大", "北京很小")["rouge1"] == pytest.approx(3 / 4)
    assert rouge("北京很大", "北京很小")["rouge2"] == pytest.approx(2 / 3)


def test_common_places_are_as_many_as_brute_force_finds():
    draw = random.Random(0)
    for _ in range(200):
        one = [draw.choice("abc") for _ in range(draw.randrange(8))]
        other = [draw.choice("abc") for _ in range(draw.randrange(8))]
        places = common_places(one, other)
        assert places == sorted(set(places))
        assert is_subsequence([one[place] for place in places], other)
        longer = combinations(range(len(one)), len(places) + 1)
        assert not any(is_subsequence([one[place] for place in chosen], other) for chosen in longer)


def is_subsequence(part, whole):
    rest = iter(whole)
    return all(token in rest for token in part)


def test_scores_are_symmetric_shares_and_one_for_the_same_text():
    draw = random.Random(1)
    for _ in range(100):
        one, other = (
            "\n".join(" ".join(draw.choices("abcd", k=draw.randrange(1, 6))) for _ in range(3))
            for _ in range(2)
        )
        scores = rouge(one, other)
        assert all(0 <= scores[name] <= 1 for name in NAMES)
        assert scores["rougeL"] <= scores["rouge1"]
        assert rouge(one, one) == dict.fromkeys(NAMES, pytest.approx(1.0))
        for name in ("rouge1", "rouge2", "rougeL"):
            assert scores[name] == pytest.approx(rouge(other, one)[name])


def test_nothing_in_common_and_nothing_at_all_are_zero():
    for candidate in ("", "...", "x y"):
        assert rouge(candidate, "a b") == dict.fromkeys(NAMES, 0.0)
    assert rouge("a b", "") == dict.fromkeys(NAMES, 0.0)


def test_the_mean_is_over_texts_and_unequal_numbers_are_refused():
    whole = rouge_scores(["a b", "x"], ["a b", "y"])
    assert whole == dict.fromkeys(NAMES, 0.5)
    with pytest.raises(InputError, match="1 texts and 2 references"):
        rouge_scores(["a"], ["a", "b"])
    with pytest.raises(InputError, match="0 texts"):
        rouge_scores([], [])


def test_the_numbers_are_those_of_the_rouge_score_package():
    """Also where several longest subsequences would do, of which rougeLsum takes one."""
    package = pytest.importorskip("rouge_score.rouge_scorer", reason="rouge-score is not installed")
    scorer = package.RougeScorer(list(NAMES))
    draw = random.Random(2)
    for _ in range(200):
        one, other = (
            "\n".join(
                " ".join(draw.choices("abcdefg", k=draw.randrange(1, 9))) for _ in range(draw.randrange(1, 4))
            )
            for _ in range(2)
        )
        theirs = {name: score.fmeasure for name, score in scorer.score(other, one).items()}
        assert rouge(one, other) == pytest.approx(theirs)
