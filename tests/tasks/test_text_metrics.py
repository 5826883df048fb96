"""Scores of written texts: by hand, and beside sacrebleu's own."""

import builtins

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.errors import InputError, MissingExtra
from minibert.tasks.text_metrics import bleu, check_metric, chrf, distinct, mostly_han, text_scores

TEXTS = st.lists(st.text(alphabet="abc 你好.", max_size=12), min_size=1, max_size=5)


def test_chrf_of_four_letters_by_hand():
    # Runs of 1 to 4 letters: 3 of 4, 2 of 3, 1 of 2, 0 of 1 are shared; precision and recall are alike.
    assert chrf(["abcd"], ["abce"]) == pytest.approx((3 / 4 + 2 / 3 + 1 / 2) / 4)


def test_chrf_weighs_recall_twice_by_hand():
    # "ab" for "abab": letters 2 of 2 and 2 of 4, pairs 1 of 1 and 1 of 3; longer runs only one side has.
    precision, recall = 1.0, (2 / 4 + 1 / 3) / 2
    assert chrf(["ab"], ["abab"]) == pytest.approx(5 * precision * recall / (4 * precision + recall))


def test_chrf_is_counted_over_the_corpus_and_sees_no_white_space():
    assert chrf(["a b", "c"], ["ab", "c"]) == 1.0
    assert chrf(["a", "b"], ["a", "c"]) == pytest.approx(1 / 2)
    assert chrf([""], [""]) == chrf(["a"], [""]) == chrf(["a"], ["b"]) == 0.0


@given(TEXTS, st.data())
def test_chrf_is_sacrebleus(written, data):
    sacrebleu = pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")
    wanted = data.draw(
        st.lists(st.text(alphabet="abc 你好.", max_size=12), min_size=len(written), max_size=len(written))
    )
    theirs = sacrebleu.corpus_chrf(written, [wanted]).score / 100
    assert chrf(written, wanted) == pytest.approx(theirs, abs=1e-6)


def test_bleu_is_cased_and_knows_chinese():
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")
    assert bleu(["A dog runs here."], ["A dog runs here."]) == pytest.approx(1.0)
    assert bleu(["a dog runs here ."], ["A dog runs here."]) < 0.8
    assert bleu(["狗跑得很快。"], ["狗跑得很快。"]) == pytest.approx(1.0)
    assert bleu(["猫跑得很快。"], ["狗跑得很快。"]) > 0.5  # one token, were it not cut into characters


def test_han_is_told_by_the_letters_alone():
    assert mostly_han(["用 2,000 ...", "好"])
    assert not mostly_han(["好 yes", "123"])
    assert not mostly_han(["", "?!"])


def test_distinct_counts_different_runs_of_words():
    assert distinct(["a b a", "b a"], 1) == pytest.approx(2 / 5)
    assert distinct(["a b a", "b a"], 2) == pytest.approx(2 / 3)
    assert distinct(["", "a"], 2) == 0.0


def test_the_main_score_comes_first_and_all_lie_between_0_and_1():
    for metric in ("chrf", "rougeL"):
        scores = text_scores(["a dog", "no"], ["a cat", "no"], metric=metric)
        assert next(iter(scores)) == metric
        assert all(0 <= value <= 1 for value in scores.values())
    assert scores["exact_match"] == 0.5
    assert "bleu" not in scores


def test_as_many_texts_as_references_are_asked_for():
    with pytest.raises(InputError, match="1 texts and 2 references"):
        text_scores(["a"], ["a", "b"])
    with pytest.raises(InputError, match="0 texts"):
        text_scores([], [])


def test_bleu_without_sacrebleu_names_the_extra(monkeypatch):
    original = builtins.__import__

    def without(name, *rest, **named):
        if name == "sacrebleu":
            raise ImportError(name)
        return original(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    check_metric("chrf")
    with pytest.raises(MissingExtra, match=r"minibert-encoder\[metrics\]"):
        check_metric("bleu")
