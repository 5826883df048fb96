"""Averaged weights: the closed form, swapping in and out, and resuming bit for bit."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import language_model, masked_batches

from minibert.errors import InputError
from minibert.training.averaging import Average
from minibert.training.config import TrainingConfig
from minibert.training.loop import Run
from minibert.training.state import load_state, save_state

CONFIG = TrainingConfig(
    precision="fp32", max_steps=12, lr_scheduler_type="constant", warmup_ratio=0.0, ema_decay=0.8
)


def walk(decay, steps, seed=0):
    """Move a weight about at random; return the average, and all the values that the weight had."""
    values = np.random.default_rng(seed).normal(size=(steps, 5))
    weight = torch.nn.Parameter(torch.zeros(5, dtype=torch.float64))
    average = Average([weight], decay)
    for step, value in enumerate(values, 1):
        weight.data[:] = torch.from_numpy(value)
        average.update(step)
    return average, weight, values


@pytest.mark.parametrize("decay", [0.01, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("steps", [1, 2, 7, 300])
def test_the_mean_is_the_closed_form(decay, steps):
    average, weight, values = walk(decay, steps)
    shares = decay ** np.arange(steps - 1, -1, -1.0)
    wanted = (shares[:, None] * values).sum(0) / shares.sum()
    with average.applied():
        np.testing.assert_allclose(weight.detach().numpy(), wanted, rtol=1e-9, atol=1e-12)


def test_a_decay_close_to_one_is_the_plain_mean():
    average, weight, values = walk(1 - 1e-9, 50)
    average.settle()
    np.testing.assert_allclose(weight.detach().numpy(), values.mean(0), rtol=1e-6)


def test_the_weights_come_back_even_after_an_error():
    average, weight, values = walk(0.5, 3)
    with pytest.raises(KeyError), average.applied():
        assert not np.array_equal(weight.detach().numpy(), values[-1])
        raise KeyError
    np.testing.assert_array_equal(weight.detach().numpy(), values[-1])


def test_without_a_decay_or_a_step_nothing_is_changed():
    for average, weight, values in (walk(0.0, 3), walk(0.5, 0)):
        before = weight.detach().clone()
        with average.applied():
            assert torch.equal(weight, before)
        average.settle()
        assert torch.equal(weight, before)
        assert average.state() == []
        assert len(values) in (0, 3)


def state(model):
    return torch.cat([weight.detach().flatten() for weight in model.parameters()]).clone()


def test_a_run_keeps_the_mean_of_its_steps_and_trains_as_without():
    plain, averaged = language_model(), language_model()
    seen = [state(plain) for _ in Run(plain, masked_batches(plain), replace(CONFIG, ema_decay=0.0))]
    run = Run(averaged, masked_batches(averaged), CONFIG)
    for step in run:
        assert torch.equal(state(averaged), seen[step.index - 1])
    shares = 0.8 ** torch.arange(11, -1, -1.0, dtype=torch.float64)
    wanted = (shares[:, None] * torch.stack(seen).double()).sum(0) / shares.sum()
    with run.average.applied():
        torch.testing.assert_close(state(averaged).double(), wanted, rtol=1e-4, atol=1e-7)
    assert torch.equal(state(averaged), seen[-1])


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_resumed_run_goes_on_with_its_mean_bit_for_bit(tmp_path, on_disk):
    whole = language_model(dropout=0.2)
    straight = Run(whole, masked_batches(whole), CONFIG)
    list(straight)

    first = language_model(dropout=0.2)
    run = Run(first, masked_batches(first), CONFIG)
    for step in run:
        if step.index == 5:
            run.stop()
    if on_disk:
        save_state(run, tmp_path)
    kept = copy.deepcopy((run.state_dict(), first.state_dict()))

    second = language_model(dropout=0.2, seed=7)
    second.load_state_dict(kept[1])
    resumed = Run(second, masked_batches(second), CONFIG)
    if on_disk:
        load_state(resumed, tmp_path)
    else:
        resumed.load_state_dict(kept[0])
    list(resumed)
    straight.average.settle()
    resumed.average.settle()
    assert torch.equal(state(whole), state(second))


@pytest.mark.parametrize("before, after", [(0.0, 0.8), (0.8, 0.0)])
def test_a_run_that_kept_no_mean_is_not_resumed_by_one_that_does_and_the_reverse(before, after):
    model = language_model()
    run = Run(model, masked_batches(model), replace(CONFIG, ema_decay=before, max_steps=2))
    list(run)
    resumed = Run(model, masked_batches(model), replace(CONFIG, ema_decay=after))
    with pytest.raises(InputError, match="ema_decay"):
        resumed.load_state_dict(run.state_dict())
