"""The scores of relations: SemEval's official ones by hand, and against a plain count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.errors import InputError
from minibert.tasks.relation_scores import negative_of, relation_of, relation_scores


def test_the_third_way_of_the_official_scorer_by_hand():
    gold = ["CE(e1,e2)"] * 4 + ["CE(e2,e1)"] * 2 + ["CW(e1,e2)"] * 3 + ["Other"] * 3
    predicted = [
        *("CE(e1,e2)", "CE(e1,e2)", "CE(e2,e1)", "Other"),  # two right, one the wrong way round, one missed
        *("CE(e2,e1)", "CW(e1,e2)"),
        *("CW(e1,e2)", "CW(e2,e1)", "CE(e1,e2)"),
        *("Other", "CW(e1,e2)", "Other"),
    ]
    scores = relation_scores(gold, predicted, negative="Other")
    # CE: 3 right of 5 answered and 6 wanted; CW: 1 right of 4 answered and 3 wanted
    assert scores["per_relation"]["CE"]["f1"] == pytest.approx(2 * 3 / (5 + 6))
    assert scores["per_relation"]["CW"]["f1"] == pytest.approx(2 * 1 / (4 + 3))
    assert scores["macro_f1"] == pytest.approx((6 / 11 + 2 / 7) / 2)
    assert scores["micro_f1"] == pytest.approx(2 * 4 / (9 + 9))
    assert scores["accuracy"] == 6 / 12
    assert next(iter(scores)) == "macro_f1"


LABELS = ["a(e1,e2)", "a(e2,e1)", "b(e1,e2)", "c", "none at all"]


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=30))
def test_every_relation_is_counted_over_both_directions(pairs):
    gold, predicted = [truth for truth, _ in pairs], [answer for _, answer in pairs]
    scores = relation_scores(gold, predicted, negative="none at all")
    f1 = []
    for name in "abc":
        right = sum(truth == answer and truth[0] == name for truth, answer in pairs)
        wanted = sum(truth[0] == name for truth in gold)
        answered = sum(answer[0] == name for answer in predicted)
        if wanted:
            f1.append(2 * right / (wanted + answered))
            assert scores["per_relation"][name]["f1"] == pytest.approx(f1[-1])
        elif not answered:
            assert name not in scores["per_relation"]
    assert "none at all" not in scores["per_relation"]
    assert scores["macro_f1"] == pytest.approx(sum(f1) / len(f1) if f1 else 0.0)
    assert scores["accuracy"] == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))


def test_the_main_measure_follows_from_the_labels():
    for gold, negative, main in [
        (["x", "no_relation"], "no_relation", "micro_f1"),
        (["x(e2,e1)", "Other"], "Other", "macro_f1"),
        (["x", "y"], None, "accuracy"),
    ]:
        assert next(iter(relation_scores(gold, gold, negative=negative))) == main


@pytest.mark.parametrize(
    ("labels", "chosen", "negative"),
    [
        (["Other", "x"], "auto", "Other"),
        (["unknown", "夫妻"], "auto", "unknown"),
        (["夫妻", "未知"], "auto", "未知"),
        (["unknown", "no_relation"], "auto", "no_relation"),
        (["x", "y"], "auto", None),
        (["Other", "x"], "none", None),
        (["nil", "x"], "nil", "nil"),
    ],
)
def test_the_label_of_no_relation_is_found_or_chosen(labels, chosen, negative):
    assert negative_of(labels, chosen) == negative


@pytest.mark.parametrize(
    ("label", "parts"),
    [
        ("Cause-Effect(e1,e2)", ("Cause-Effect", False)),
        ("Cause-Effect(e2,e1)", ("Cause-Effect", True)),
        ("USED-FOR", ("USED-FOR", False)),
        ("odd(e3,e1)", ("odd(e3,e1)", False)),
    ],
)
def test_a_label_is_a_relation_and_perhaps_a_direction(label, parts):
    assert relation_of(label) == parts


@pytest.mark.parametrize(("gold", "predicted"), [([], []), (["x"], [])])
def test_scores_want_as_many_answers_as_there_are_pairs(gold, predicted):
    with pytest.raises(InputError, match=f"{len(gold)} gold relations and 0 predicted"):
        relation_scores(gold, predicted, negative=None)
