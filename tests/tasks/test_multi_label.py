"""Any number of labels for a text: the promises of every task, the loss by hand, and thresholds."""

import json
import math

import numpy as np
import pytest
import torch
from check_task import check_long_texts, check_task, shape

from minibert.data.examples import MultiLabelExample
from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.tasks.model import Model, load
from minibert.tasks.multi_label import MultiLabel

FILMS = [
    MultiLabelExample("error", labels=("war",)),
    MultiLabelExample("an error value", labels=("love", "war")),
    MultiLabelExample("value", labels=("love",)),
    MultiLabelExample("a list", labels=()),
    MultiLabelExample("a list", "value", ("love",)),
]


@pytest.fixture
def task(english):
    return MultiLabel.build(english, shape("bert", english.vocab_size), FILMS, {"pooling": "mean"})


@pytest.mark.parametrize(("pooling", "kept"), [("first", [0, 2, 3]), ("mean", range(5))])
def test_several_labels_keep_every_promise(english, tmp_path, pooling, kept):
    films = [FILMS[number] for number in kept]
    options = {"pooling": pooling, "classifier_dropout": 0.0}
    model = check_task(MultiLabel, films, english, tmp_path, options=options)
    assert [set(answer.labels) for answer in model.predict(films)] == [set(film.labels) for film in films]


@pytest.mark.parametrize("on_long", ["truncate", "head_tail", "split", "error"])
def test_long_texts_of_several_labels(english, on_long):
    text = "The statement raises an error if the list is empty. " * 7
    check_long_texts(MultiLabel, MultiLabelExample(text.strip(), labels=()), FILMS, english, on_long=on_long)


def test_the_loss_is_the_binary_cross_entropy_of_each_label_averaged_over_labels(task, english):
    model = Model(Encoder(shape("bert", english.vocab_size)), task).eval()
    windows = [window for film in FILMS for window in task.encode(film)]
    batch, targets = task.collate(windows, 0, 0, 0.0)
    with torch.no_grad():
        logits, loss = task.logits(model.encoder, batch), model(batch, targets)
    wanted = 0.0
    for scores, film in zip(logits.double().tolist(), FILMS, strict=True):
        for score, label in zip(scores, ("love", "war"), strict=True):
            p = 1 / (1 + math.exp(-score))
            wanted -= math.log(p if label in film.labels else 1 - p) / 2
    assert loss.sums["loss"].item() == pytest.approx(wanted, rel=1e-5)
    assert loss.counts == {"loss": 5}


def test_labels_are_given_from_the_threshold_on_and_the_likeliest_comes_first(task):
    task.threshold = 0.5
    answer = task.merge(FILMS[0], [], [np.array([0.5, 0.9])])
    assert answer.labels == ("war", "love")
    assert answer.probabilities == {"love": 0.5, "war": 0.9}
    assert task.merge(FILMS[0], [], [np.array([0.4999, 0.2])]).labels == ()
    assert task.merge(FILMS[0], [], [np.array([0.2, 0.9]), np.array([1.0, 0.0])]).labels == ("love",)


def test_threshold_0_is_chosen_on_validation_data_and_kept_in_the_checkpoint(english, tmp_path):
    config = shape("bert", english.vocab_size)
    for threshold, kept in ((0, 0.3), (0.7, 0.7)):
        task = MultiLabel.build(english, config, FILMS, {"threshold": threshold})
        task.settle({"best_threshold": 0.3})
        Model(Encoder(config), task).save(tmp_path / "model")
        assert load(tmp_path / "model").task.threshold == kept
    task = MultiLabel.build(english, config, FILMS, {"threshold": 0})
    task.settle({})
    assert task.threshold == 0.5


def test_scores_tell_the_threshold_that_would_have_been_best(task):
    answers = [task.merge(film, [], [np.array(p)]) for film, p in zip(
        FILMS, ([0.1, 0.3], [0.3, 0.4], [0.25, 0.15], [0.2, 0.1], [0.9, 0.1]), strict=True)]  # fmt: skip
    scores = task.score(answers, FILMS)
    assert scores["best_threshold"] == pytest.approx(0.225)
    task.threshold = scores["best_threshold"]
    again = [task.merge(film, [], [np.array([*answer.probabilities.values()])])
             for film, answer in zip(FILMS, answers, strict=True)]  # fmt: skip
    assert task.score(again, FILMS)["micro_f1"] == 1.0
    assert scores["micro_f1"] == pytest.approx(2 * 1 / (1 + 5))


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([MultiLabelExample("a", labels=())], "at least one label"),
        ([MultiLabelExample("a", labels=("x",)), MultiLabelExample("seven")], r"example 2 .*seven"),
        ([], "at least one label"),
    ],
)
def test_training_data_without_labels_are_refused(english, examples, message):
    with pytest.raises(InputError, match=message):
        MultiLabel.build(english, shape("bert", english.vocab_size), examples, {})


def test_a_label_never_seen_and_a_threshold_out_of_range_are_named(english, task):
    with pytest.raises(InputError, match=r"'crime'.*love, war"):
        task.encode(MultiLabelExample("a", labels=("love", "crime")))
    with pytest.raises(InputError, match=r"threshold 1\.5"):
        MultiLabel.build(english, shape("bert", english.vocab_size), FILMS, {"threshold": 1.5})


def test_one_example_and_one_label_are_enough(english):
    one = [MultiLabelExample("a film", labels=("film",))]
    config = shape("bert", english.vocab_size)
    model = Model(Encoder(config), MultiLabel.build(english, config, one, {}))
    assert set(model.evaluate(one)) >= {"micro_f1", "macro_f1", "accuracy"}


def test_what_is_shown_is_plain_json(task):
    answer = task.merge(FILMS[1], [], [np.array([0.9, 0.8], np.float32)])
    shown = json.loads(json.dumps(task.show(FILMS[4], answer)))
    assert shown == {"text": "a list", "pair": "value", "labels": ["love", "war"],
                     "probabilities": {"love": 0.9, "war": 0.8}}  # fmt: skip
    assert MultiLabel.unanswered(FILMS[1]).labels is None
    assert MultiLabel.answered(FILMS[3]) and not MultiLabel.answered(MultiLabelExample("a"))
