"""Bad batches: what is one, and that nothing is learnt from it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, strategies
from small_models import language_model, masked_batches

from minibert.training.config import TrainingConfig
from minibert.training.loop import NotFinite, Run
from minibert.training.spikes import FEWEST, MOST_IN_A_ROW, SPREADS, WINDOW, Watch

CONFIG = TrainingConfig(precision="fp32", max_steps=40, lr_scheduler_type="constant", skip_bad_batches=True)


def watch_of(losses, *, skips=True):
    watch = Watch(skips=skips)
    for loss in losses:
        watch.note(float(loss))
    return watch


@given(
    strategies.integers(FEWEST, 3 * WINDOW), strategies.floats(0.1, 20.0), strategies.integers(0, 2**32 - 1)
)
def test_a_spike_lies_above_the_mean_by_six_spreads_of_the_last_hundred(count, mean, seed):
    losses = mean * (1 + 0.2 * np.random.default_rng(seed).standard_normal(count))
    last = losses[-WINDOW:]
    border = last.mean() + SPREADS * max(last.std(ddof=1), 0.01 * abs(last.mean()))
    watch = watch_of(losses)
    assert watch.trouble(border - 1e-6 * mean, 1.0) == ""
    assert "spike" in watch.trouble(border + 1e-6 * mean, 1.0)


@given(strategies.lists(strategies.floats(0.0, 10.0), max_size=FEWEST - 1), strategies.floats(0.0, 1e30))
def test_nothing_is_a_spike_before_twenty_losses_are_known(losses, loss):
    assert watch_of(losses).trouble(loss, 1.0) == ""


@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize(
    ("loss", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, math.inf)]
)
def test_what_is_not_finite_is_trouble_always(skips, loss, norm):
    assert watch_of([1.0] * 50, skips=skips).trouble(loss, norm) == f"loss {loss}, gradient norm {norm}"
    assert watch_of([1.0] * 50, skips=False).trouble(1e9, 1.0) == ""


def test_batches_are_skipped_ten_times_in_a_row_and_no_more():
    watch = watch_of([])
    assert [watch.may_skip() for _ in range(MOST_IN_A_ROW + 1)] == [True] * MOST_IN_A_ROW + [False]
    watch.note(1.0)
    assert watch.may_skip()
    assert not Watch(skips=False).may_skip()


class Poisoned:
    """Batches of which some are bad: their loss is multiplied by `factor`."""

    def __init__(self, model, bad, factor):
        self.batches, self.bad, self.factor = masked_batches(model), bad, factor
        self.now = -1
        loss = model.task.loss

        def poisoned(encoder, batch, targets):
            value = loss(encoder, batch, targets)
            return replace(
                value, sums={k: v * (factor if self.now in bad else 1) for k, v in value.sums.items()}
            )

        model.task.loss = poisoned

    @property
    def steps_per_epoch(self):
        return self.batches.steps_per_epoch

    def at(self, step, progress):
        self.now = step
        return self.batches.at(step, progress)


def weights(model):
    return torch.cat([weight.detach().flatten() for weight in model.parameters()]).clone()


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), 100.0])
def test_a_skipped_batch_leaves_the_weights_and_the_moments_alone(factor):
    model = language_model()
    run = Run(model, Poisoned(model, {30}, factor), CONFIG)
    before, skipped = weights(model), {}
    for step in run:
        if step.skipped:
            skipped[step.index] = step.skipped
            assert torch.equal(weights(model), before)
            assert all(weight.grad is None for weight in model.parameters())
        before = weights(model)
    assert list(skipped) == [31]
    assert ("spike" in skipped[31]) == (factor == 100.0)
    assert run.done == 40
    assert before.isfinite().all()


def test_without_the_flag_a_spike_is_learnt_from():
    model = language_model()
    run = Run(model, Poisoned(model, {30}, 100.0), replace(CONFIG, skip_bad_batches=False))
    assert not any(step.skipped for step in run)


def test_a_model_that_is_broken_is_not_skipped_for_ever():
    model = language_model()
    run = Run(model, Poisoned(model, set(range(5, 100)), float("nan")), CONFIG)
    with pytest.raises(NotFinite, match="step 16 "):
        list(run)
    assert run.done == 15


def test_a_resumed_run_remembers_the_losses_that_a_spike_is_held_against():
    whole, first, second = language_model(), language_model(), language_model()
    expected = [(s.index, s.loss, s.skipped) for s in Run(whole, Poisoned(whole, {25, 26}, 100.0), CONFIG)]
    run = Run(first, Poisoned(first, {25, 26}, 100.0), CONFIG)
    for step in run:
        if step.index == 26:
            run.stop()
    second.load_state_dict(first.state_dict())
    resumed = Run(second, Poisoned(second, {25, 26}, 100.0), CONFIG)
    resumed.load_state_dict(run.state_dict())
    assert [(s.index, s.loss, s.skipped) for s in resumed] == expected[26:]
    assert [index for index, _, skipped in expected if skipped] == [26, 27]
