"""Intents and slots from one encoder: the promises of every task, the joint loss, and the scores by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from check_task import check_task, shape
from fakes import FakeTokenizer
from tiny_runs import sentence

from minibert.data.examples import IntentExample
from minibert.data.tagged import from_words
from minibert.errors import InputError
from minibert.further.growing import grown
from minibert.model.encoder import Encoder
from minibert.tasks.intent_slots import IntentSlots
from minibert.tasks.model import Model
from minibert.tasks.requests import Understood, request_scores
from minibert.text.sentencepiece import train_sentencepiece


def request(words: str, tags: str, intent: str | None) -> IntentExample:
    tagged = from_words(words.split(), tags.split())
    return IntentExample(tagged.text, tagged.spans, tagged.tags, intent)


REQUESTS = [
    request("The cat sees the dog of Rome", "O B-who O O B-whom I-whom I-whom", "see"),
    request("The dog sees the cat", "O B-who O O B-whom", "see"),
    request("A list moves", "O B-who O", "move"),
    request("The river moves the road", "O B-who O O B-whom", "move"),
    request("No", "O", "none"),
]
WORDS = "The cat sees the dog of Rome A list moves river road No".split()


@pytest.fixture(scope="module")
def tokenizer():
    return train_sentencepiece([sentence(number) for number in range(200)], 310)


def build(options: dict | None = None, **numbers: int) -> Model:
    """Return an untrained model over whole words."""
    config = shape("bert", 61)
    task = IntentSlots.build(FakeTokenizer(61, WORDS), config, REQUESTS, {**(options or {}), **numbers})
    return Model(Encoder(config), task)


@pytest.mark.parametrize(
    ("options", "recipe"), [({"crf": True}, "bert"), ({"pooling": "mean"}, "modernbert")]
)
def test_it_keeps_every_promise(tokenizer, tmp_path, options, recipe):
    options = {"classifier_dropout": 0.0, **options}
    model = check_task(IntentSlots, REQUESTS, tokenizer, tmp_path, options=options, recipe=recipe)
    answer = model.predict(["The cat sees the dog of Rome"])[0]
    assert answer.intent == "see"
    assert sum(answer.probabilities.values()) == pytest.approx(1.0)
    found = [(slot.label, slot.text) for slot in answer.slots]
    assert found == [("who", "cat"), ("whom", "dog of Rome")]
    shown = model.task.show(REQUESTS[1], model.predict(REQUESTS[1:2])[0])
    sure = shown["slots"][0].pop("probability")
    assert shown["slots"][0] == {"start": 4, "end": 7, "label": "who", "text": "dog"}
    assert 0.5 < sure <= 1


def test_the_loss_is_two_sums_of_cross_entropies_with_counts_of_their_own():
    model = build({"slot_loss_coef": 0.5, "classifier_dropout": 0.0}).double()
    model.encoder.dtype = torch.float64
    windows = [window for example in REQUESTS for window in model.task.encode(example)]
    batch, targets = model.task.collate(windows, 0, 0, 0.0)
    loss = model.eval()(batch, targets)
    hidden = model.encoder(batch).detach().numpy()
    task = model.task
    intents = slots = 0.0
    row = 0
    for example in REQUESTS:
        scores = hidden[row] @ task.intent_classifier.weight.detach().numpy().T
        intents -= log_softmax(scores)[task.intents.index(example.intent)]
        for word, tag in enumerate(example.tags):
            scores = hidden[row + 1 + word] @ task.slot_classifier.weight.detach().numpy().T
            slots -= log_softmax(scores)[task.labels.index(tag)]
        row += len(example.tags) + 2
    words = sum(len(example.tags) for example in REQUESTS)
    assert loss.counts == targets.counts == {"intent": len(REQUESTS), "slots": words}
    assert loss.sums["intent"].item() == pytest.approx(intents, rel=1e-6)
    assert loss.sums["slots"].item() == pytest.approx(slots, rel=1e-6)
    mean = intents / len(REQUESTS) + 0.5 * slots / words
    assert loss.mean().item() == pytest.approx(mean, rel=1e-6)


def log_softmax(scores: np.ndarray) -> np.ndarray:
    return scores - np.log(np.exp(scores).sum())


def understood(intent: str, tags: str) -> Understood:
    return Understood(intent, {}, (), tuple(tags.split()), ())


def test_the_scores_by_hand():
    gold = [
        request("a b", "B-x I-x", "p"),
        request("a b", "B-x O", "p"),
        request("a b", "O B-y", "q"),
        request("a b", "O O", "q"),
    ]
    answers = [
        understood("p", "B-x I-x"),  # all right
        understood("p", "B-x I-x"),  # a slot too long
        understood("p", "O B-y"),  # the wrong intent
        understood("q", "O B-x"),  # a slot too many
    ]
    scores = request_scores(answers, gold)
    assert scores["sentence_accuracy"] == 1 / 4
    assert scores["intent_accuracy"] == 3 / 4
    assert scores["slot_precision"] == 2 / 4
    assert scores["slot_recall"] == 2 / 3
    assert scores["slot_f1"] == pytest.approx(4 / 7)
    assert scores["per_type"]["y"]["f1"] == 1.0
    assert next(iter(scores)) == "sentence_accuracy"


def test_a_label_never_seen_cannot_be_right_and_is_told():
    model = build()
    unseen = [
        request("The cat", "O B-new", "see"),
        request("The cat", "O B-who", "fly"),
        request("The cat", "O B-who", "see"),
        request("The cat", "O O", "see"),
    ]
    answers = [understood("see", "O B-who")] * 4
    scores = model.task.score(answers, unseen)
    assert scores["unseen_share"] == 2 / 4
    assert scores["sentence_accuracy"] == 1 / 4
    assert model.evaluate(unseen)["unseen_share"] == 2 / 4
    assert model.task.choices(answers, unseen).labels == ("move", "none", "see", "fly")


def test_the_intent_of_a_split_text_is_the_mean_over_its_windows():
    model = build({"max_length": 11})
    example = request(" ".join(["cat"] * 30), " ".join(["B-who"] * 30), "see")
    windows = model.task.encode(example)
    assert len(windows) > 2
    assert sorted(unit for window in windows for unit in window.words.units) == list(range(30))
    assert {window.intent for window in windows} == {model.task.intents.index("see")}
    shares = [np.array([0.5, 0.2, 0.3]), *[np.array([0.1, 0.0, 0.9])] * (len(windows) - 1)]
    tags = [(np.zeros(len(window.rows), np.int64), np.ones(len(window.rows))) for window in windows]
    answer = model.task.merge(example, windows, list(zip(shares, tags, strict=True)))
    assert answer.probabilities["move"] == pytest.approx((0.5 + 0.1 * (len(windows) - 1)) / len(windows))
    assert answer.intent == "none" if answer.probabilities["none"] > 0.5 else "see"


@pytest.mark.parametrize("text", ["", " "])
@pytest.mark.parametrize("crf", [False, True])
def test_an_empty_text_has_an_answer(text, crf):
    (answer,) = build({"crf": crf}).predict([text])
    assert answer.intent in ("see", "move", "none")
    assert answer.tags == answer.slots == ()


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([request("a", "O", "p"), request("b", "B-x", "p")], r"two intents; the training data has \['p'\]"),
        ([request("a", "O", "p"), request("b", "O", "q")], r"slots are spans, .* the tags are \['O'\]"),
        ([request("a", "DET", "p"), request("b", "NOUN", "q")], r"slots are spans, .*\['DET', 'NOUN'\]"),
        ([request("a", "O", None), request("b", "B-x", "q")], "'a' lacks its intent or its tags"),
        ([IntentExample("a", ((0, 1),), None, "p")], "'a' lacks its intent or its tags"),
    ],
)
def test_what_cannot_be_learnt_is_refused(examples, message):
    with pytest.raises(InputError, match=message):
        IntentSlots.build(FakeTokenizer(61), shape("bert", 61), examples, {})


def test_tags_that_do_not_match_the_words_are_refused():
    example = IntentExample("The cat", ((0, 3), (4, 7)), ("O",), "see")
    with pytest.raises(InputError, match="2 words but 1 tags: 'The cat'"):
        build().task.encode(example)


def test_scores_want_the_gold():
    with pytest.raises(InputError, match="'a b' lacks its intent or its tags; scores need both"):
        request_scores([understood("p", "O O")], [request("a b", "O O", None)])


def test_an_unknown_option_is_named_beside_the_nearest():
    with pytest.raises(InputError, match=r"'slot_loss_coeff'.*'slot_loss_coef'"):
        build({"slot_loss_coeff": 2})


def test_an_intent_that_is_a_number_is_as_good_as_its_word():
    gold = [replace(request("a b", "O O", None), intent=intent) for intent in (1, 2)]
    scores = request_scores([understood("1", "O O"), understood("2", "O O")], gold)
    assert scores["sentence_accuracy"] == scores["intent_accuracy"] == 1


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (request("A list", "O O", "stop"), "example 2: intent 'stop' is new .*knows move, none, see"),
        (request("A list", "O B-land", "see"), "example 2: tag 'B-land' is new .*B-who"),
    ],
)
def test_heads_that_do_not_grow_refuse_new_labels(example, message):
    model = build()
    with pytest.raises(InputError, match=message):
        grown(model, [REQUESTS[0], example])
    assert grown(model, REQUESTS) is model
