"""Several processes learn what one would have learnt: the same losses, the same weights, whoever is there."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import small_models
import torch

from minibert.distributed.joining import joined
from minibert.errors import InputError
from minibert.training.config import TrainingConfig
from minibert.training.held_out import held_out_loss
from minibert.training.loop import Run
from minibert.training.state import load_state, save_state

STEPS = 20
SIZES = (2, pytest.param(4, marks=pytest.mark.slow))


def new_run(seed: int, *, double: bool, steps: int = STEPS, optim: str = "adamw") -> Run:
    """Return a run with dropout whose steps have 5, 5 and 2 micro-batches; `seed` draws its weights."""
    model = small_models.language_model(dropout=0.1, seed=seed)
    batches = small_models.masked_batches(model, batch_size=11, accumulate=5)
    config = TrainingConfig(max_steps=steps, learning_rate=3e-3, precision="fp32", optim=optim)
    run = Run(model.double() if double else model, batches, config)
    if double:
        run.model.encoder.dtype = torch.float64
    return run


def told(run: Run) -> dict[str, Any]:
    digest = hashlib.sha256()
    for tensor in run.model.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    held = small_models.masked_batches(run.model, batch_size=5, accumulate=2, seed=7)
    return {"weights": digest.hexdigest(), "held_out": held_out_loss(run.model, held, run.ranks)}


def trained(rank: int, double: bool, optim: str = "adamw") -> dict[str, Any]:
    """Train; every process begins with other weights, and only the first one's may count."""
    with joined():
        run = new_run(1 + rank, double=double, optim=optim)
        steps = [(step.loss, step.grad_norm, step.tokens) for step in run]
        return {"steps": steps, **told(run)}


def relative(one: float, other: float) -> float:
    return abs(one - other) / abs(other)


@pytest.fixture(scope="module")
def alone(together):
    [only] = together.results(1, trained, True)
    return only


@pytest.mark.parametrize("size", SIZES)
def test_several_processes_have_the_losses_of_one(together, alone, size):
    many = together.results(size, trained, True)
    assert len({one["weights"] for one in many}) == 1, "the processes have come apart"
    assert all(one["steps"] == many[0]["steps"] for one in many)
    for mine, theirs in zip(many[0]["steps"], alone["steps"], strict=True):
        assert relative(mine[0], theirs[0]) < 1e-10  # loss
        assert relative(mine[1], theirs[1]) < 1e-8  # length of the gradient
        assert mine[2] == theirs[2]  # tokens
    assert relative(many[0]["held_out"], alone["held_out"]) < 1e-10
    assert alone["steps"][0][0] != alone["steps"][-1][0]


def test_in_single_precision_the_first_step_agrees_to_six_digits_and_the_twentieth_to_four(together):
    [only] = together.results(1, trained, False)
    [first, _] = together.results(2, trained, False)
    losses = [[one["steps"][step][0] for one in (first, only)] for step in (0, -1)]
    assert relative(*losses[0]) < 1e-6 and relative(*losses[1]) < 1e-4


@pytest.mark.slow
def test_muon_and_its_matrices_agree_too(together):
    [only], [first, second] = (together.results(size, trained, True, "muon") for size in (1, 2))
    assert first["weights"] == second["weights"]
    assert relative(first["steps"][-1][0], only["steps"][-1][0]) < 1e-3  # it computes in bfloat16


def stretch(rank: int, folder: str, start: int, end: int) -> list[float]:
    """Take the steps from start to end, from a saved state and into another one."""
    with joined() as ranks:
        run = new_run(1, double=True)
        if start:
            weights = load_state(run, Path(folder) / str(start))["weights"]
            run.model.load_state_dict(weights)
        losses = []
        for step in run:
            losses.append(step.loss)
            if step.index == end:
                run.stop()
        if ranks.first:
            place = Path(folder) / str(end)
            place.mkdir()
            save_state(run, place, beside={"weights": dict(run.model.state_dict())})
        return losses


def test_a_run_goes_on_with_another_number_of_processes(together, alone, tmp_path):
    losses = []
    for size, start, end in ((2, 0, 7), (1, 7, 13), (4, 13, STEPS)):
        losses += together.results(size, stretch, str(tmp_path), start, end)[0]
    assert len(losses) == STEPS
    for loss, (expected, _, _) in zip(losses, alone["steps"], strict=True):
        assert relative(loss, expected) < 1e-10


def in_pieces(rank: int) -> dict[str, Any]:
    """Train in float64 with the model in pieces, in steps that both processes share evenly."""
    with joined() as ranks:
        model = small_models.language_model(dropout=0.1, seed=1 + rank).double()
        batches = small_models.masked_batches(model, batch_size=12, accumulate=4)
        config = TrainingConfig(max_steps=STEPS, learning_rate=3e-3, precision="fp32", fsdp=ranks.size > 1)
        run = Run(model, batches, config)
        run.model.encoder.dtype = torch.float64
        steps = [(step.loss, step.grad_norm) for step in run]
        held = small_models.masked_batches(run.model, batch_size=8, accumulate=1, seed=7)
        assert held.steps_per_epoch == 3  # two for one process, one for the other
        kept = sum(getattr(weight, "to_local", lambda w=weight: w)().numel() for weight in model.parameters())
        return {"steps": steps, "held_out": held_out_loss(model, held, run.ranks), "kept": kept}


def test_a_model_in_pieces_has_the_losses_of_a_whole_one(together):
    [only], many = together.results(1, in_pieces), together.results(2, in_pieces)
    for one in many:
        for mine, theirs in zip(one["steps"], only["steps"], strict=True):
            assert relative(mine[0], theirs[0]) < 1e-10 and relative(mine[1], theirs[1]) < 1e-8
        assert relative(one["held_out"], only["held_out"]) < 1e-10
    assert sum(one["kept"] for one in many) == only["kept"]
    assert max(one["kept"] for one in many) < 0.55 * only["kept"]


@pytest.mark.parametrize("other", [{"optim": "muon"}, {"fgm_epsilon": 0.5}, {"torch_compile": True}])
def test_what_needs_whole_weights_is_refused_beside_pieces(other):
    [(name, value)] = other.items()
    with pytest.raises(InputError, match=f"{name} {value} needs whole weights"):
        TrainingConfig(fsdp=True, **other)
