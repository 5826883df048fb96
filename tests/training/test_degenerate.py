"""What is told of a run that has learnt nothing, and that a run which has is left in peace."""

from types import SimpleNamespace

import numpy as np
import pytest
import tiny_runs

import minibert as mb
from minibert.tasks.metrics import Choices
from minibert.training.config import TrainingConfig
from minibert.training.degenerate import diagnose, flat, may_redraw, one_label, remedies
from minibert.training.finetuning import Settings

GOLD = ["yes", "no"] * 20


def choices(predicted, gold=None):
    return Choices(gold or GOLD, predicted, ("no", "yes"))


def test_one_answer_for_everything_is_told_with_the_answer():
    assert "all 40 answers are 'no', and 2 labels are right" in str(one_label(choices(["no"] * 40)))


@pytest.mark.parametrize(
    "found",
    [choices(["no"] * 39 + ["yes"]), choices(["no"] * 40, ["no"] * 40), choices(["no"] * 4, GOLD[:4]), None],
    ids=["two answers", "one right label", "too few", "no choices"],
)
def test_answers_that_may_be_right_are_not_told(found):
    assert one_label(found) is None


def test_a_loss_that_only_trembles_is_flat_and_says_its_means():
    losses = 0.69 + 0.05 * np.random.default_rng(0).normal(size=200)
    assert "0.69" in str(flat(losses.tolist()))
    assert flat((losses - np.linspace(0, 0.3, 200)).tolist()) is None


@pytest.mark.parametrize("losses", [[0.7] * 39, [0.01] * 400, [], [0.7] * 20 + [0.5] * 20])
def test_few_steps_or_nothing_to_learn_or_a_fall_is_not_flat(losses):
    assert flat(losses) is None


def test_a_loss_that_climbs_is_told():
    assert flat([0.4] * 20 + [0.9] * 20) is not None


def test_what_to_try_is_worth_trying():
    config = TrainingConfig(learning_rate=3e-3, warmup_ratio=0.0)
    assert "learning_rate 1.0e-03, warmup_ratio 0.1" in remedies(config)
    assert "warmup" not in remedies(TrainingConfig(warmup_ratio=0.1))
    assert "warmup" not in remedies(TrainingConfig(warmup_steps=50))


def test_a_diagnosis_joins_what_was_found_and_ends_with_what_to_try():
    config = TrainingConfig()
    found = diagnose([0.7] * 40, choices(["no"] * 40), config)
    assert found is not None
    assert found.startswith("all 40 answers are 'no'")
    assert "the loss has not fallen" in found
    assert found.endswith(remedies(config))
    assert diagnose([0.7] * 40, choices(GOLD), config).startswith("the loss")
    assert diagnose([0.7] * 20 + [0.1] * 20, choices(GOLD), config) is None


def test_of_a_rate_that_is_far_too_low_a_higher_one_is_told():
    low = TrainingConfig(learning_rate=1e-6, warmup_ratio=0.0)
    told = remedies(low, usual=3e-4)
    assert told.startswith("try learning_rate 3.0e-04 (1e-06 is far below")
    assert "warmup" not in told
    assert "learning_rate 3.3e-07" in remedies(low, usual=3e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"adapt.adapter": "lora"},
        {"data.reinit_layers": 1},
        {"data.from_scratch": True},
        {"train.freeze": "encoder"},
    ],
)
def test_layers_are_not_to_be_drawn_anew_where_they_cannot_or_are(settings):
    model = SimpleNamespace(adaptation=None)
    assert may_redraw(model, Settings.of({}))
    assert not may_redraw(model, Settings.of(settings))
    assert "reinit_layers" not in remedies(TrainingConfig(), redraws=False)
    assert not may_redraw(SimpleNamespace(adaptation="lora"), Settings.of({}))


def test_a_run_of_an_adapter_that_was_too_slow_is_told_what_helps(tmp_path, capsys):
    encoder, rows = tiny_runs.make_encoder(tmp_path / "enc"), tiny_runs.write_table(tmp_path / "train.csv")
    settings = {"adapt.adapter": "lora", "train.learning_rate": 1e-7, "train.max_steps": 40,
                "train.precision": "fp32", "data.progress": False}  # fmt: skip
    mb.finetune(encoder, task="classification", train=rows, output_dir=tmp_path / "out", settings=settings)
    err = capsys.readouterr().err
    assert "the loss has not fallen" in err
    assert "is far below what is usual), another seed, or more epochs" in err
