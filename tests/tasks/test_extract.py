"""From running text to triples, with models that say what they are told; and the scores by hand."""

import pytest
from check_task import shape
from fakes import FakeTokenizer

from minibert.data.examples import AnnotatedSentence, RelationExample, TextExample
from minibert.data.tagged import from_words
from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.tasks.classification import Classification
from minibert.tasks.extract import Extracted, Triple, extract, relate, triple_scores
from minibert.tasks.model import Model
from minibert.tasks.relations import Related, Relations
from minibert.tasks.tagging import Tagged, Tagging
from minibert.tasks.tags import Entity

SHAPE = shape("bert", 61)
NAMES = {"Ada": "PER", "Bob": "PER", "Rome": "LOC"}


def model_of(task, examples) -> Model:
    return Model(Encoder(SHAPE), task.build(FakeTokenizer(61), SHAPE, examples, {}))


@pytest.fixture
def tagger(monkeypatch) -> Model:
    """Return a tagger that finds the three names wherever they stand."""
    model = model_of(Tagging, [from_words(["Ada", "sees", "Rome"], ["B-PER", "O", "B-LOC"])])

    def predict(texts):
        answers = []
        for text in texts:
            found = [(text.find(name), name) for name in NAMES if name in text]
            entities = [Entity(at, at + len(name), NAMES[name], name) for at, name in sorted(found)]
            answers.append(Tagged((), (), tuple(entities), ()))
        return answers

    monkeypatch.setattr(model, "predict", predict, raising=False)
    return model


def relater_of(labels, answer, asked) -> Model:
    """Return a relation model that knows these labels and answers with `answer(head, tail)`."""
    model = model_of(Relations, [RelationExample("a b", (0, 1), (2, 3), label) for label in labels])

    def predict(pairs):
        mentions = [(pair.text[slice(*pair.head)], pair.text[slice(*pair.tail)]) for pair in pairs]
        asked.extend(mentions)
        return [Related(answer(*pair), dict.fromkeys(labels, 0.5)) for pair in mentions]

    model.predict = predict
    return model


TEXT = "Ada saw Rome. Bob\nwaits. In Rome, Bob met Ada."


def test_triples_point_into_the_text_and_stay_within_a_sentence(tagger):
    asked = []
    answer = lambda head, tail: "in" if tail == "Rome" else "no_relation"  # noqa: E731
    [found] = extract([TEXT], tagger, relater_of(["in", "no_relation"], answer, asked))
    told = [(triple.head.text, triple.relation, triple.tail.text) for triple in found.triples]
    assert told == [("Ada", "in", "Rome"), ("Bob", "in", "Rome"), ("Ada", "in", "Rome")]
    for entity in [*found.entities, *(e for t in found.triples for e in (t.head, t.tail))]:
        assert TEXT[entity.start : entity.end] == entity.text
    assert found.triples[2].head.start == TEXT.rindex("Ada")
    assert [entity.text for entity in found.entities] == ["Ada", "Rome", "Bob", "Rome", "Bob", "Ada"]
    assert sorted(asked[:2]) == [("Ada", "Rome"), ("Rome", "Ada")]
    assert len(asked) == 2 + 0 + 6
    assert found.triples[0].probability == 0.5
    [first, *_] = found.plain()["relations"]
    assert first == {
        "head": {"start": 0, "end": 3, "label": "PER", "text": "Ada", "probability": 1.0},
        "relation": "in",
        "tail": {"start": 8, "end": 12, "label": "LOC", "text": "Rome", "probability": 1.0},
        "probability": 0.5,
    }


def test_labels_with_a_direction_are_asked_once_and_turned_round(tagger):
    asked = []
    relater = relater_of(["in(e1,e2)", "in(e2,e1)", "Other"], lambda head, tail: "in(e2,e1)", asked)
    [found] = extract(["Rome has Ada."], tagger, relater)
    assert asked == [("Rome", "Ada")]
    assert [(t.head.text, t.relation, t.tail.text) for t in found.triples] == [("Ada", "in", "Rome")]


def test_texts_without_entities_and_without_words_have_no_triples(tagger):
    relater = relater_of(["in", "no_relation"], lambda head, tail: "in", [])
    assert [found.triples for found in extract(["Nobody.", "", "Ada."], tagger, relater)] == [(), (), ()]


def test_models_of_other_tasks_are_refused(tagger):
    classifier = model_of(Classification, [TextExample("a", label="x"), TextExample("b", label="y")])
    plain = model_of(Tagging, [from_words(["a", "b"], ["DET", "NOUN"])])
    relater = relater_of(["in", "no_relation"], lambda head, tail: "in", [])
    for wrong, name in ((classifier, "classification"), (plain, "tagging")):
        with pytest.raises(InputError, match=f"the tagger is a model of {name}; tagging of spans"):
            extract(["a"], wrong, relater)
    with pytest.raises(InputError, match="'Ada met Bob' came where a list is wanted"):
        extract("Ada met Bob", tagger, relater)
    with pytest.raises(InputError, match="the relater is a model of tagging; relations is wanted"):
        extract(["a"], tagger, tagger)


GOLD = AnnotatedSentence(
    "Ada and Bob in Rome",
    ((0, 3), (4, 7), (8, 11), (12, 14), (15, 19)),
    ((0, 3, "PER"), (8, 11, "PER"), (15, 19, "LOC")),
    ((0, 2, "in"), (1, 2, "in"), (0, 1, "knows")),
)


def test_the_scores_of_triples_by_hand():
    ada, bob = Entity(0, 3, "PER", "Ada"), Entity(8, 11, "PER", "Bob")
    rome = Entity(15, 19, "ORG", "Rome")  # the right place, the wrong label
    triples = (
        Triple(ada, "in", rome, 0.9),  # right, but not strictly
        Triple(ada, "knows", bob, 0.9),  # right
        Triple(bob, "knows", ada, 0.9),  # the wrong way round
        Triple(bob, "sees", rome, 0.9),  # the wrong relation
    )
    scores = triple_scores([Extracted(GOLD.text, (ada, bob, rome), triples)], [GOLD])
    assert scores["entity_f1"] == pytest.approx(2 / 3)
    assert (scores["relation_precision"], scores["relation_recall"]) == (2 / 4, 2 / 3)
    assert scores["relation_f1"] == pytest.approx(2 * 2 / 7)
    assert scores["strict_relation_f1"] == pytest.approx(2 * 1 / 7)
    assert next(iter(scores)) == "relation_f1"


def test_with_the_right_entities_and_answers_everything_is_right():
    truth = {("Ada", "Rome"): "in", ("Bob", "Rome"): "in", ("Ada", "Bob"): "knows"}
    relater = relater_of(
        ["in", "knows", "no_relation"], lambda head, tail: truth.get((head, tail), "no_relation"), []
    )
    entities = [Entity(a, b, label, GOLD.text[a:b]) for a, b, label in GOLD.entities]
    found = relate([GOLD.text], [entities], relater)
    assert set(triple_scores(found, [GOLD]).values()) == {1.0}


def test_scores_want_an_answer_for_each_sentence():
    with pytest.raises(InputError, match="0 sentences were answered, 1 are annotated"):
        triple_scores([], [GOLD])
