"""What is frozen stays as it is bit for bit; what thaws does so at the step that the schedule says."""

import pytest
import tiny_runs
import torch
from small_models import language_model, masked_batches

import minibert as mb
from minibert.data.examples import NumberExample, SearchExample
from minibert.errors import InputError
from minibert.training.config import TrainingConfig
from minibert.training.loop import Run
from minibert.training.optimizer import depth_of
from minibert.training.state import load_state, save_state


def run_of(model, **settings):
    given = {"precision": "fp32", "max_steps": 2, "learning_rate": 1e-2, **settings}
    return Run(model, masked_batches(model), TrainingConfig(**given))


@pytest.mark.parametrize(
    ("patterns", "frozen"),
    [
        ("embeddings", lambda name: "embeddings." in name),
        ("blocks.[01].attention, token", lambda name: ".0.attention." in name or ".1.attention." in name
         or "token" in name),
        ("*norm", lambda name: "norm." in name and name.startswith("encoder.")),
        ("encoder", lambda name: name.startswith("encoder.")),
    ],
)  # fmt: skip
def test_patterns_freeze_what_they_name_bit_for_bit(patterns, frozen):
    model = language_model()
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    list(run_of(model, freeze=patterns))
    for name, weight in model.named_parameters():
        assert torch.equal(weight, before[name]) == bool(frozen(name)), name


def test_a_pattern_that_names_nothing_tells_the_nearest():
    with pytest.raises(InputError, match=r"freeze 'embeding' names nothing here; did you mean embeddings"):
        run_of(language_model(), freeze="blocks.0,embeding")


def moved_depths(model, step):
    """Return the depths whose weights a step of the run moves."""
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    next(step)
    return {
        depth_of(name, 3)
        for name, weight in model.named_parameters()
        if not torch.equal(weight, before[name])
    }


def test_one_layer_thaws_each_epoch_from_the_top():
    model = language_model()
    run = run_of(model, max_steps=15, gradual_unfreezing=1.0, warmup_ratio=0.0)
    assert run.batches.steps_per_epoch == 3
    steps = iter(run)
    depths = [moved_depths(model, steps) for _ in range(15)]
    for step, moved in enumerate(depths):
        assert moved == {depth for depth in range(5) if depth >= 4 - step // 3}, step
    assert moved == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"max_steps": 9, "gradual_unfreezing": 1.0}, "1: within 3 epochs nothing below blocks.1 thaws; "
         "with 0.38 all would"),
        ({"max_steps": -1, "num_train_epochs": 2.0, "gradual_unfreezing": 2.0}, "below the head thaws; "
         "with 0.25 all would"),
        ({"max_steps": 9, "gradual_unfreezing": 1.0, "freeze": 2}, ""),
        ({"max_steps": 15, "gradual_unfreezing": 1.0}, ""),
        ({"max_steps": 2}, ""),
    ],
)  # fmt: skip
def test_what_never_thaws_is_told_once_at_the_first_step(capsys, settings, told):
    run = run_of(language_model(), **settings)
    assert "thaws" not in capsys.readouterr().err
    list(run)
    err = capsys.readouterr().err
    assert told in err and err.count("thaws") == bool(told)


def test_half_of_the_run_is_enough_for_what_the_hint_says(capsys):
    model = language_model()
    list(run_of(model, max_steps=12, gradual_unfreezing=4 / 8))
    assert "thaws" not in capsys.readouterr().err
    assert all(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("task", ["retrieval", "similarity"])
def test_without_a_head_the_top_layer_comes_first(task, tmp_path):
    folder = tiny_runs.make_encoder(tmp_path / "enc", layers=2)
    rows = [SearchExample("the cat", "a cat"), SearchExample("the road", "a way")]
    if task == "similarity":
        rows = [NumberExample("the cat", "a cat", 1.0), NumberExample("the road", "a cat", 0.0)]
    begun = mb.load(folder).encoder.state_dict()
    for epochs, changed in ((1, {"blocks.1"}), (2, {"blocks.1", "blocks.0"})):
        settings = {
            "train.num_train_epochs": epochs,
            "train.gradual_unfreezing": 1.0,
            "train.precision": "fp32",
        }
        made = mb.finetune(
            folder, task=task, train=rows, output_dir=tmp_path / f"{epochs}", settings=settings
        )
        state = made.encoder.state_dict()
        moved = {name[:8] for name, weight in begun.items() if not torch.equal(weight, state[name])}
        assert {name for name in moved if name.startswith("blocks")} == changed
        assert not any(name.startswith("embed") for name in moved)


def test_frozen_weights_stay_out_of_a_gradual_run():
    model = language_model()
    run = run_of(model, max_steps=9, gradual_unfreezing=0.5, freeze=1)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    list(run)
    for name, weight in model.named_parameters():
        assert torch.equal(weight, before[name]) == (depth_of(name, 3) <= 1), name


@pytest.mark.parametrize("optim", ["adamw", "muon", "sgd"])
def test_a_resumed_gradual_run_is_the_whole_run_bit_for_bit(tmp_path, optim):
    settings = {"max_steps": 12, "gradual_unfreezing": 1.0, "ema_decay": 0.5, "optim": optim}
    whole, first, second = language_model(0.1), language_model(0.1), language_model(0.1, seed=2)
    losses = [step.loss for step in run_of(whole, **settings)]
    begun, resumed = run_of(first, **settings), run_of(second, **settings)
    for step in begun:
        if step.index == 5:
            begun.stop()
    save_state(begun, tmp_path)
    second.load_state_dict(first.state_dict())
    load_state(resumed, tmp_path)
    assert [step.loss for step in resumed] == losses[5:]
    for (name, mine), theirs in zip(whole.state_dict().items(), second.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name


def test_thawing_what_is_frozen_for_good_is_refused():
    with pytest.raises(InputError, match=r"gradual_unfreezing 1 has no layer to thaw: freeze 'encoder'"):
        run_of(language_model(), freeze="encoder", gradual_unfreezing=1.0)


def test_a_negative_number_of_epochs_is_refused():
    with pytest.raises(InputError, match="gradual_unfreezing -1"):
        TrainingConfig(gradual_unfreezing=-1.0)
