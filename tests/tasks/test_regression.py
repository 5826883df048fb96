"""A number for a text: the promises of every task, units that do not matter, and ordered levels."""

import json
import math

import numpy as np
import pytest
import torch
from check_task import check_long_texts, check_task, shape
from hypothesis import given
from hypothesis import strategies as st

from minibert.data.examples import NumberExample
from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.tasks.model import Model
from minibert.tasks.ordinal import Levels
from minibert.tasks.regression import Estimate, Regression

STARS = [
    NumberExample("value", label=5.0),
    NumberExample("error", label=1.0),
    NumberExample("the value", label=5.0),
    NumberExample("the error", label=1.0),
    NumberExample("a list", "a class", 3.0),
]


@pytest.mark.parametrize(("pooling", "loss"), [("first", "mse"), ("mean", "mse"), ("mean", "ordinal")])
def test_numbers_keep_every_promise(english, tmp_path, pooling, loss):
    rows = STARS if loss == "mse" else STARS[:4]  # 60 steps are too few for the thresholds of three levels
    options = {"pooling": pooling, "classifier_dropout": 0.0, "regression_loss": loss}
    model = check_task(Regression, rows, english, tmp_path, options=options)
    values = [answer.value for answer in model.predict(rows)]
    np.testing.assert_allclose(values, [row.label for row in rows], atol=0.5)


@pytest.mark.parametrize("on_long", ["truncate", "head_tail", "split", "error"])
def test_long_texts_of_regression(english, on_long):
    text = "The statement raises an error if the list is empty. " * 7
    check_long_texts(Regression, NumberExample(text.strip(), label=2.0), STARS, english, on_long=on_long)


def model_of(english, examples, options=None):
    torch.manual_seed(0)
    config = shape("bert", english.vocab_size)
    return Model(Encoder(config), Regression.build(english, config, examples, options or {})).eval()


def test_the_loss_is_the_squared_error_in_standard_deviations(english):
    model = model_of(english, STARS)
    task = model.task
    assert (task.centre, task.spread) == (3.0, pytest.approx(math.sqrt(16 / 5)))
    batch, targets = task.collate([task.encode(row)[0] for row in STARS], 0, 0, 0.0)
    with torch.no_grad():
        loss = model(batch, targets)
    values = [answer.value for answer in model.predict(STARS)]
    wanted = sum((value - row.label) ** 2 for value, row in zip(values, STARS, strict=True)) / (16 / 5)
    assert loss.sums["loss"].item() == pytest.approx(wanted, rel=1e-5)


def test_the_unit_of_the_numbers_changes_nothing_but_the_unit_of_the_answers(english):
    dollars = [NumberExample(row.text, row.pair, 1e6 * row.label - 7e8) for row in STARS]
    ours, theirs = model_of(english, STARS), model_of(english, dollars)
    windows = [ours.task.encode(STARS[0])[0], theirs.task.encode(dollars[0])[0]]
    losses = [
        model(*model.task.collate([window], 0, 0, 0.0)).mean().item()
        for model, window in zip((ours, theirs), windows, strict=True)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    answers = [model.predict(STARS)[0].value for model in (ours, theirs)]
    assert answers[1] == pytest.approx(1e6 * answers[0] - 7e8, rel=1e-9)


def test_scores_by_hand(english):
    task = model_of(english, STARS).task
    rows = [NumberExample("a", label=number) for number in (1.0, 2.0, 3.0, 4.0)]
    scores = task.score([Estimate(value) for value in (1.5, 2.0, 9.0, 3.0)], rows)
    assert scores["spearman"] == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert scores["mean_squared_error"] == pytest.approx((0.25 + 36 + 1) / 4)
    assert scores["mean_absolute_error"] == pytest.approx((0.5 + 6 + 1) / 4)
    assert "accuracy" not in scores


def test_the_folded_head_gives_the_same_numbers(english):
    model = model_of(english, STARS)
    before = [answer.value for answer in model.predict(STARS)]
    weights = model.task.plain_head()
    model.task.load_state_dict(weights)
    model.task.centre, model.task.spread = 0.0, 1.0
    after = [answer.value for answer in model.predict(STARS)]
    np.testing.assert_allclose(after, before, rtol=1e-5)


def test_levels_start_with_the_shares_of_the_training_numbers(english):
    rows = [NumberExample("a", label=number) for number in (1, 1, 2, 2, 2, 2, 5, 5)]
    levels = model_of(english, rows, {"regression_loss": "ordinal"}).task.levels
    shares = levels.log_probabilities(torch.zeros(1)).exp()[0].tolist()
    assert shares == pytest.approx([2 / 8, 4 / 8, 2 / 8], abs=1e-6)


@given(
    score=st.floats(-30, 30),
    first=st.floats(-5, 5),
    steps=st.lists(st.floats(-3, 5), min_size=0, max_size=6),
)
def test_levels_are_the_differences_of_sigmoids_and_their_thresholds_rise(score, first, steps):
    levels = Levels(range(len(steps) + 2)).double()
    with torch.no_grad():
        levels.first.fill_(first)
        levels.steps.copy_(torch.tensor(steps, dtype=torch.float64))
    thresholds = levels.thresholds().tolist()
    assert all(low < high for low, high in zip(thresholds, thresholds[1:], strict=False))
    above = [1.0, *(1 / (1 + math.exp(threshold - score)) for threshold in thresholds), 0.0]
    wanted = [high - low for high, low in zip(above, above[1:], strict=False)]
    found = levels.log_probabilities(torch.tensor([score], dtype=torch.float64)).exp()[0].tolist()
    assert found == pytest.approx(wanted, abs=1e-12)
    expected = sum(level * share for level, share in enumerate(wanted))
    assert levels.expected(torch.tensor([score], dtype=torch.float64)).item() == pytest.approx(expected)


@pytest.mark.parametrize("score", [-200.0, 0.0, 200.0])
def test_levels_far_out_have_finite_losses_and_gradients(score):
    levels = Levels([1, 2, 3, 4])
    scores = torch.tensor([score, score], requires_grad=True)
    loss = levels.loss(scores, torch.tensor([1.0, 4.0]))
    loss.backward()
    assert loss.isfinite() and scores.grad.isfinite().all()
    assert levels.first.grad.isfinite().all() and levels.steps.grad.isfinite().all()


def test_levels_that_float32_cannot_tell_apart_come_back_as_they_are():
    levels = Levels([20240101, 20240102])
    assert levels.expected(torch.tensor([-1e3, 1e3])).tolist() == [20240101, 20240102]


def test_ordered_levels_also_tell_how_often_the_nearest_level_is_right(english):
    task = model_of(english, STARS, {"regression_loss": "ordinal"}).task
    scores = task.score([Estimate(4.1), Estimate(2.2), Estimate(3.9)], STARS[:3])
    between = [NumberExample("a value", label=1.5), STARS[1]]  # a number that is no level is never met
    assert task.score([Estimate(1.4), Estimate(1.4)], between)["accuracy"] == 0.5
    assert scores["accuracy"] == pytest.approx(1 / 3)  # levels are 1, 3, 5: nearest are 5, 3 and 3


@pytest.mark.parametrize(
    ("examples", "options", "message"),
    [
        ([NumberExample("a", label=3.0)], {}, r"two different numbers.*\[3.0\]"),
        ([NumberExample("a", label=3.0), NumberExample("seven")], {}, "example 2 .*seven"),
        ([NumberExample("a", label=3.0), NumberExample("b", label=math.nan)], {}, "nan of 'b'"),
        ([NumberExample("a", label=3.0), NumberExample("b", label=math.inf)], {}, "inf of 'b'"),
        (
            [NumberExample("a", label=float(n)) for n in range(51)],
            {"regression_loss": "ordinal"},
            "51 different numbers, 0..50; use mse",
        ),
        (STARS, {"regression_loss": "huber"}, "huber"),
    ],
)
def test_unusable_numbers_are_refused(english, examples, options, message):
    with pytest.raises(InputError, match=message):
        Regression.build(english, shape("bert", english.vocab_size), examples, options)


def test_what_is_shown_is_plain_json(english):
    task = model_of(english, STARS).task
    shown = json.loads(json.dumps(task.show(STARS[4], Estimate(2.25))))
    assert shown == {"text": "a list", "pair": "a class", "value": 2.25}
    assert task.show("a", Estimate(1.0)) == {"text": "a", "value": 1.0}
