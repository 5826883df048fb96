"""Exact match and F1 are those of the scripts of SQuAD and CMRC, checked by hand."""

import random

import numpy as np
import pytest

from minibert.errors import InputError
from minibert.tasks.answer_scores import Compared, Match, best_threshold, longest_shared_run, match, report
from minibert.tasks.answer_spans import Scored, choose


@pytest.mark.parametrize(
    ("answer", "golds", "exact", "f1"),
    [
        ("Denver Broncos", ["Denver Broncos", "The Denver Broncos"], 1, 1),
        ("the denver  broncos.", ["Denver Broncos"], 1, 1),
        ("Broncos", ["Denver Broncos"], 0, 2 / 3),  # 1 of 1 and 1 of 2 words
        ("in the city of Paris", ["Paris, France"], 0, 2 / 6),  # 1 of 4 and 1 of 2
        ("a b b", ["b b b"], 0, 4 / 5),  # "a" is an article: 2 of 2 and 2 of 3
        ("U.S. Army", ["us army"], 1, 1),
        ("U.S. Army", ["u s army"], 0, 2 / 5),
        ("anthem", ["an them"], 0, 0),  # articles are whole words
        ("The", ["a"], 1, 1),  # nothing is left of either
        ("The", ["cat"], 0, 0),
        ("cat", ["dog", "the cat"], 1, 1),
        ("", [], 1, 1),
        ("cat", [], 0, 0),
        ("", ["cat"], 0, 0),
    ],
)
def test_english_answers_are_compared_as_squads_script_does(answer, golds, exact, f1):
    assert match(answer, golds) == Match(exact, pytest.approx(f1))


@pytest.mark.parametrize(
    ("answer", "golds", "exact", "f1"),
    [
        ("北京市。", ["北京市"], 1, 1),
        ("在北京", ["北京"], 0, 4 / 5),  # 2 of 3 and 2 of 2
        ("北京和上海", ["上海和北京"], 0, 4 / 10),  # the longest run, no bag: 北京 or 上海
        ("2010年5月", ["2010年"], 0, 4 / 6),  # 2010 年 | 5 月: 2 of 4 and 2 of 2
        ("BBC News 电视台", ["bbc news电视台"], 0, 1),  # spaces count for exact match alone
        ("《红楼梦》", ["红楼梦"], 1, 1),
        ("南京", ["北平"], 0, 0),
        ("一", [], 0, 0),
        ("1,000元", ["2,000元"], 0, 2 / 4),  # a number is one unit: 元 alone is shared
    ],
)
def test_chinese_answers_are_compared_as_cmrcs_script_does(answer, golds, exact, f1):
    assert match(answer, golds) == Match(exact, pytest.approx(f1))


def test_the_script_of_question_and_gold_decides_how_to_compare():
    assert match("the 1998", ["1998"]).exact == 1
    assert match("1998年", ["1998"]).f1 == 0
    assert match("1998年", ["1998"], question="哪一年？").f1 == pytest.approx(2 / 3)
    assert match("。", ["，"], question="哪一年？") == Match(1, 1)


def test_one_foreign_answer_does_not_change_the_script_of_an_english_question():
    golds = ["Yuán Cháo", "元朝"]
    question = "What is the Chinese name for the Yuan dynasty?"
    assert match("the Yuán Cháo", golds, question=question) == Match(1, 1)
    assert match("Shoushi Li.", ["Shoushi Li", "授時暦"]) == Match(1, 1)


def test_the_longest_shared_run_is_that_of_all_pairs_of_runs():
    draw = random.Random(0)
    for _ in range(200):
        left, right = ("".join(draw.choices("abc", k=draw.randint(0, 9))) for _ in range(2))
        runs = {left[a:b] for a in range(len(left)) for b in range(a, len(left) + 1)} or {""}
        assert longest_shared_run(left, right) == max(len(run) for run in runs if run in right)


def test_the_threshold_is_the_best_of_all():
    draw = np.random.default_rng(0)
    for _ in range(200):
        size = draw.integers(1, 9)
        margins = draw.integers(-3, 4, size).astype(float)  # with equal ones
        refused = draw.integers(0, 2, size).astype(float)
        answered = (1 - refused) * draw.random(size)
        found = best_threshold(margins.tolist(), answered.tolist(), refused.tolist())

        def score(threshold, margins=margins, answered=answered, refused=refused):
            return np.where(margins > threshold, refused, answered).sum()

        tried = [score(threshold) for threshold in np.arange(-5, 6, 0.25)]
        assert score(found) == pytest.approx(max(tried))


def test_a_threshold_without_questions_is_refused():
    with pytest.raises(InputError, match="no questions"):
        best_threshold([], [], [])


def compared(answer: str, golds: list[str], margin: float) -> Compared:
    passage = "a cat sat"
    start = passage.index(answer or "cat")
    spans = [Scored(start, start + len(answer or "cat"), 0.0)]
    return Compared.of(choose(passage, spans, margin, threshold=0.0 if margin > 0 else 9.0), golds, "Who?")


def test_a_report_tells_both_kinds_of_questions_and_the_best_threshold():
    right, wrong = compared("cat", ["cat"], -4.0), compared("sat", ["cat"], -3.0)
    missed, refused = compared("cat", [], -1.0), compared("", [], 2.0)
    scores = report([right, wrong, missed, refused])
    assert list(scores)[:2] == ["f1", "exact_match"]
    assert scores["f1"] == scores["exact_match"] == 0.5
    assert scores["answerable_f1"] == scores["unanswerable_f1"] == 0.5
    assert scores["best_f1"] == 0.75
    assert scores["best_f1_threshold"] == -2.0


def test_a_report_of_answerable_questions_is_two_numbers():
    assert report([compared("cat", ["cat"], -1.0)]) == {"f1": 1.0, "exact_match": 1.0}
