"""What the answers of every task claim, by hand."""

import math

import numpy as np
import pytest
from fakes import FakeTokenizer
from small_models import SHAPE, VOCABULARY, classifier

from minibert.data.examples import (
    ChoiceExample,
    GoldAnswer,
    IntentExample,
    MultiLabelExample,
    QuestionExample,
    RelationExample,
    TaggedExample,
    TextExample,
)
from minibert.evaluation.claims import Claim, calibration_of, claims_of
from minibert.evaluation.mistakes import surest_mistakes
from minibert.tasks.answer_spans import Scored, choose
from minibert.tasks.classification import Classified
from minibert.tasks.metrics import calibration_error, confidence_error
from minibert.tasks.multi_label import MultiLabelled
from minibert.tasks.multiple_choice import Chosen
from minibert.tasks.relations import Related
from minibert.tasks.requests import Understood
from minibert.tasks.tagging import Tagged, Tagging
from minibert.tasks.tags import entities_of

TASK = classifier().task  # where the answer alone says what is claimed, any task will do
WORDS = ((0, 3), (4, 8), (9, 13), (14, 18))
TEXT = "Ada Byrd sees Rome"


def tagging(*tags: str) -> Tagging:
    return Tagging.build(FakeTokenizer(VOCABULARY), SHAPE, [TaggedExample(TEXT, WORDS, tags)], {})


def tagged(tags: tuple[str, ...], shares: tuple[float, ...], *, marks: bool) -> Tagged:
    entities = entities_of(TEXT, WORDS, tags, shares) if marks else ()
    return Tagged(WORDS, tags, entities, shares)


@pytest.mark.parametrize(
    ("answer", "example", "claim"),
    [
        (Classified("a", {"a": 0.7, "b": 0.3}), TextExample("t", label="a"), Claim("a", "a", 0.7, True)),
        (
            Related("R(e1,e2)", {"R(e1,e2)": 0.9, "R(e2,e1)": 0.1}),
            RelationExample(TEXT, (0, 3), (14, 18), "R(e2,e1)"),
            Claim("R(e1,e2)", "R(e2,e1)", 0.9, False),
        ),
        (
            Understood("go", {"go": 0.6, "stay": 0.4}, WORDS, ("O",) * 4, ()),
            IntentExample(TEXT, WORDS, ("O",) * 4, "go"),
            Claim("go", "go", 0.6, True),
        ),
        (
            Chosen(1, "rain", (0.2, 0.8)),
            ChoiceExample("sky", ("sun", "rain"), 0),
            Claim("rain", "sun", 0.8, False),
        ),
    ],
)
def test_one_claim_for_a_text(answer, example, claim):
    assert claims_of(TASK, answer, example) == [claim]


def test_each_label_that_is_given_or_held_back_wrongly():
    answer = MultiLabelled(("war", "love"), {"love": 0.6, "war": 0.9, "sea": 0.2})
    found = claims_of(TASK, answer, MultiLabelExample("t", labels=("war", "sea")))
    assert [(one.probability, one.right) for one in found] == [(0.6, False), (0.8, False)]
    assert {(one.predicted, one.gold) for one in found} == {("war, love", "sea, war")}
    assert claims_of(TASK, answer, MultiLabelExample("t", labels=("love", "war"))) == []


def test_a_rejection_has_no_probability_and_is_no_claim():
    assert claims_of(TASK, Classified("oos", {"a": 0.5, "b": 0.5}), TextExample("t", label="a")) == []


def test_an_entity_is_claimed_with_both_ends_and_its_label():
    task = tagging("B-PER", "I-PER", "O", "B-LOC")
    answer = tagged(("B-PER", "O", "B-LOC", "B-LOC"), (0.9, 0.5, 0.4, 0.8), marks=True)
    gold = TaggedExample(TEXT, WORDS, ("B-PER", "I-PER", "O", "B-LOC"))
    assert claims_of(task, answer, gold) == [
        Claim("PER 'Ada'", "PER 'Ada Byrd'", 0.9, False),
        Claim("LOC 'sees'", "no entity", 0.4, False),
        Claim("LOC 'Rome'", "LOC 'Rome'", 0.8, True),
    ]


def test_gold_tags_of_another_scheme_are_compared_as_spans():
    task = tagging("B-PER", "E-PER", "O", "S-LOC")
    answer = tagged(("B-PER", "I-PER", "O", "O"), (0.9, 0.7, 0.4, 0.8), marks=True)
    gold = TaggedExample(TEXT, WORDS, ("B-PER", "E-PER", "O", "S-LOC"))
    (claim,) = claims_of(task, answer, gold)
    assert claim.right and claim.probability == pytest.approx(0.8)


def test_of_plain_tags_each_word_that_was_asked_is_a_claim():
    task = tagging("NOUN", "NAME", "VERB", "NOUN")
    answer = tagged(("NOUN", "NOUN", "VERB", "NAME"), (0.9, 0.5, 0.4, 0.0), marks=False)
    found = claims_of(task, answer, TaggedExample(TEXT, WORDS, ("NOUN", "NAME", "VERB", "NOUN")))
    assert [(one.predicted, one.gold, one.right) for one in found] == [
        ("NOUN 'Ada'", "NOUN", True),
        ("NOUN 'Byrd'", "NAME", False),
        ("VERB 'sees'", "VERB", True),
    ]


@pytest.mark.parametrize(
    ("nothing", "answers", "claim"),
    [
        (0.0, (GoldAnswer("Ada Byrd", 0),), ("Ada", "Ada Byrd", False)),
        (0.0, (GoldAnswer("Byrd", 4), GoldAnswer("ada.", 0)), ("Ada", "Byrd", True)),
        (2.0, (), ("no answer", "no answer", True)),
        (2.0, (GoldAnswer("Ada", 0),), ("no answer", "Ada", False)),
    ],
)
def test_an_answer_or_that_there_is_none(nothing, answers, claim):
    answer = choose(TEXT, [Scored(0, 3, 1.0)], nothing, threshold=0.0)
    (found,) = claims_of(TASK, answer, QuestionExample("who?", TEXT, answers))
    assert (found.predicted, found.gold, found.right) == claim
    assert found.probability == pytest.approx(1 / (1 + math.exp(-abs(1 - nothing))))


def test_a_vector_claims_nothing():
    assert claims_of(TASK, np.zeros(3), TextExample("t")) == []
    assert calibration_of([]) is None
    assert calibration_of([Claim("a", "a", math.nan, True)]) is None


def test_the_calibration_error_of_claims_is_that_of_the_likeliest_class():
    draw = np.random.default_rng(0)
    shares, gold = draw.dirichlet(np.ones(4), 200), draw.integers(0, 4, 200)
    best = shares.argmax(1)
    claims = [
        Claim("", "", float(share[place]), bool(place == right))
        for share, place, right in zip(shares, best, gold, strict=True)
    ]
    assert calibration_of(claims) == pytest.approx(calibration_error(shares, gold), abs=1e-12)
    assert confidence_error(np.array([0.8, 0.6]), np.array([True, True])) == pytest.approx(0.3)


def test_of_an_example_the_surest_mistake_alone_is_shown():
    claims = [
        [Claim("a", "b", 0.6, False), Claim("c", "d", 0.7, False), Claim("e", "e", 1.0, True)],
        [Claim("f", "f", 0.9, True)],
        [Claim("g", "h", 0.65, False)],
    ]
    examples = [TextExample("one", "two"), TextExample("three"), QuestionExample("who?", "p" * 300, ())]
    first, second = surest_mistakes(claims, examples, 5)
    assert (first.text, first.predicted, first.probability) == ("one / two", "c", 0.7)
    assert second.text.startswith("who? / ppp") and len(second.text) == 200
    assert surest_mistakes(claims, examples, 1) == [first]
