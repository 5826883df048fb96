"""Numbers that no training could use are refused when they are given."""

import math

import pytest
from small_models import classifier, texts

from minibert.config import from_dict
from minibert.errors import InputError
from minibert.finetune import batches_of
from minibert.training.config import NOT_NEGATIVE, SEEDS, TrainingConfig
from minibert.training.loop import Run

FLOATS = [name for name, value in vars(TrainingConfig()).items() if isinstance(value, float)]


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_refused(name, value):
    assert len(FLOATS) > 10
    with pytest.raises(InputError, match=f"train: {name} is {value}, expected a finite number"):
        from_dict(TrainingConfig, {name: value}, where="train")
    with pytest.raises(InputError, match=f"{name} {value} must be a finite number"):
        TrainingConfig(**{name: value})


def test_a_whole_number_too_large_for_a_float_is_refused():
    with pytest.raises(InputError, match=r"weight_decay is 1000.*, expected a finite number"):
        from_dict(TrainingConfig, {"weight_decay": 10**400}, where="train")


@pytest.mark.parametrize("name", NOT_NEGATIVE)
def test_what_counts_or_weighs_is_not_negative(name):
    with pytest.raises(InputError, match=f"{name} -3 must not be negative"):
        TrainingConfig(**{name: -3})
    assert vars(TrainingConfig(**{name: 0}))[name] == 0


def test_fewer_steps_than_none_are_refused():
    assert TrainingConfig(max_steps=-1).max_steps == -1
    with pytest.raises(InputError, match="max_steps -2 must be -1"):
        TrainingConfig(max_steps=-2)


@pytest.mark.parametrize("seed", [-1, SEEDS, 2**63, 99999999999999999999999])
def test_a_seed_that_a_generator_does_not_take_is_refused(seed):
    with pytest.raises(InputError, match=rf"seed {seed} must be from 0 to 4294967295"):
        TrainingConfig(seed=seed)


def test_the_largest_seed_trains():
    model, config = classifier(), TrainingConfig(seed=SEEDS - 1, precision="fp32", max_steps=2)
    assert len([*Run(model, batches_of(model.task, texts(8), config), config)]) == 2
