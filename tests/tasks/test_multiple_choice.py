"""One of several choices: the promises of every task, the softmax by hand, and choices that stay together."""

import json
import math

import numpy as np
import pytest
import torch
from check_task import LONGEST, check_task, shape

from minibert.data.batches import ExampleBatches
from minibert.data.examples import ChoiceExample
from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.tasks.model import Model
from minibert.tasks.multiple_choice import MultipleChoice
from minibert.tasks.windows import long_ones

GAPS = [
    ChoiceExample("a list", ("empty", "a statement", "none"), 0),
    ChoiceExample("a class", ("none", "empty"), 1),
    ChoiceExample("a value", ("none", "an error", "a statement", "empty"), 3),
    ChoiceExample("the class", ("none", "empty"), 1, "is what?"),
]


@pytest.fixture
def model(english):
    config = shape("bert", english.vocab_size)
    return Model(Encoder(config), MultipleChoice.build(english, config, GAPS, {"pooling": "mean"})).eval()


@pytest.mark.parametrize("recipe", ["bert", "modernbert"])
@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_choices_keep_every_promise(english, tmp_path, pooling, recipe):
    options = {"pooling": pooling, "classifier_dropout": 0.0}
    trained = check_task(MultipleChoice, GAPS, english, tmp_path, options=options, recipe=recipe)
    assert [answer.choice for answer in trained.predict(GAPS)] == ["empty"] * 4


def test_the_softmax_goes_over_the_choices_of_one_example(model):
    task = model.task
    windows = [task.encode(row)[0] for row in GAPS]
    batch, targets = task.collate(windows, 0, 0, 0.0)
    assert targets.lengths == (3, 2, 4, 2)
    assert targets.counts == {"loss": 4}
    with torch.no_grad():
        loss = model(batch, targets).sums["loss"].item()
        alone = []
        for row in GAPS:
            (window,) = task.encode(row)
            scores = task.scores(model.encoder, task.pack([window]), [len(row.choices)])[0].double().tolist()
            alone.append([math.exp(score) for score in scores])
    wanted = -sum(math.log(p[row.label] / sum(p)) for p, row in zip(alone, GAPS, strict=True))
    assert loss == pytest.approx(wanted, rel=1e-5)
    for answer, powers in zip(model.predict(GAPS), alone, strict=True):
        assert answer.probabilities == pytest.approx([power / sum(powers) for power in powers], rel=1e-4)
        assert answer.label == int(np.argmax(answer.probabilities))


def test_each_choice_is_a_sequence_of_its_own_beside_the_text(model, english):
    (window,) = model.task.encode(GAPS[3])
    assert len(window) == sum(map(len, window.choices))
    for part, choice in zip(window.choices, GAPS[3].choices, strict=True):
        asked = english.encode(f"is what? {choice}").ids
        assert part.ids.tolist() == english.build(english.encode("the class"), english.encode(
            f"is what? {choice}")).ids.tolist()  # fmt: skip
        assert list(part.segments).count(1) == len(asked) + 1
    batch = model.task.pack([window])
    assert batch.ids[window.rows].tolist() == [english.cls_id] * 2
    assert batch.layout.lengths == tuple(map(len, window.choices))


def test_choices_are_never_parted_between_batches_nor_by_accumulation(model):
    windows = [model.task.encode(row)[0] for row in GAPS]
    batches = ExampleBatches(windows, model.task.collate, 2, accumulate=2)
    found = []
    for step in range(batches.steps_per_epoch):
        for batch, targets in batches.at(step, 0.0):
            assert sum(targets.lengths) == len(batch.layout.lengths)
            found += targets.lengths
    assert sorted(found) == [2, 2, 3, 4]


def test_a_long_text_is_cut_for_each_choice_or_refused_and_counted(english, model):
    long = ChoiceExample("The statement raises an error. " * 30, ("yes", "no", "it may"), 2)
    windows = model.task.encode(long)
    assert [len(part) for part in windows[0].choices] == [LONGEST] * 3
    assert long_ones([windows, model.task.encode(GAPS[0])], model.task) == {
        "examples": 2,
        "cut": 1,
        "whole": 1,
    }
    config = shape("bert", english.vocab_size)
    strict = MultipleChoice.build(english, config, GAPS, {"on_long": "error"})
    with pytest.raises(InputError, match="The statement raises"):
        strict.encode(long)
    with pytest.raises(InputError, match="'split' is not for multiple_choice"):
        MultipleChoice.build(english, config, GAPS, {"on_long": "split"})


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (ChoiceExample("seven", ("a",), 0), "'seven' has 1 choices; at least 2"),
        (ChoiceExample("seven", ()), "'seven' has 0 choices"),
        (ChoiceExample("seven", ("a", "b"), 2), "label 2 of 'seven'.*0 to 1"),
        (ChoiceExample("seven", ("a", "b"), -1), "label -1 of 'seven'"),
        ("seven", "choices beside the text 'seven'; give a file"),
    ],
)
def test_examples_without_a_choice_are_refused(model, example, message):
    with pytest.raises(InputError, match=message):
        model.task.encode(example)


def test_training_examples_must_say_what_is_right(english):
    with pytest.raises(InputError, match=r"example 2 .*seven"):
        MultipleChoice.build(
            english, shape("bert", english.vocab_size), [GAPS[0], ChoiceExample("seven", ("a", "b"))], {}
        )


def test_scores_tell_what_guessing_gives(model):
    scores = model.evaluate(GAPS)
    assert list(scores) == ["accuracy", "chance"]
    assert scores["chance"] == pytest.approx((1 / 3 + 1 / 2 + 1 / 4 + 1 / 2) / 4)
    with pytest.raises(InputError, match="0 examples"):
        model.task.score([], [])


def test_what_is_shown_is_plain_json(model):
    (answer,) = model.predict(GAPS[3:])
    shown = json.loads(json.dumps(model.task.show(GAPS[3], answer)))
    assert shown["question"] == "is what?"
    assert shown["choice"] == GAPS[3].choices[shown["label"]]
    assert sum(shown["probabilities"]) == pytest.approx(1.0, abs=1e-5)
