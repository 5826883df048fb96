"""The loop: exact accumulation, exact resume, and nothing lost when a step fails."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import Micro, Repeated, classifier, language_model, masked_batches, sequences, texts

from minibert.data.batches import ExampleBatches, shuffled
from minibert.packed import Packed
from minibert.tasks.model import Model
from minibert.tasks.task import Targets
from minibert.training.config import TrainingConfig
from minibert.training.loop import NotFinite, Run, train
from minibert.training.state import load_state, save_state

PLAIN = TrainingConfig(precision="fp32", max_steps=3, lr_scheduler_type="constant", warmup_ratio=0.0)


def parts_of(model: Model, parts: int) -> list[Micro]:
    """Return one masked batch of 32 texts of unequal lengths, cut into micro-batches."""
    texts_of = sequences(32)
    whole, targets = model.task.collate_ids(texts_of, 0, 0, 0.0)
    ids = whole.layout.split(whole.ids)
    starts = np.cumsum([0, *whole.layout.lengths])
    micro_batches = []
    for rows in np.array_split(np.arange(32), parts):
        first, last = starts[rows[0]], starts[rows[-1] + 1]
        inside = (targets.positions >= first) & (targets.positions < last)
        chosen = Targets(targets.positions[inside] - first, targets.labels[inside])
        micro_batches.append((Packed.of([ids[row] for row in rows]), chosen))
    return micro_batches


def state(model: Model) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()]).clone()


def test_four_micro_batches_of_eight_are_one_batch_of_32():
    whole, cut = language_model(), language_model()
    counts = [len(targets.labels) for _, targets in parts_of(cut, 4)]
    assert len(set(counts)) > 1
    gradients, losses = [], []
    for model, parts in ((whole, 1), (cut, 4)):
        run = Run(model, Repeated(parts_of(model, parts)), PLAIN)
        losses.append(run._gradients(parts_of(model, parts)))
        gradients.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
    assert (gradients[0] - gradients[1]).norm() <= 1e-6 * gradients[0].norm()
    assert losses[0][0] == pytest.approx(losses[1][0], rel=1e-6)
    assert losses[0][1] == losses[1][1]
    # The mean of the micro-batches' means, the usual mistake, is far away from it.
    cut.zero_grad()
    for micro in parts_of(cut, 4):
        (cut(*micro).mean() / 4).backward()
    mistaken = torch.cat([weight.grad.flatten() for weight in cut.parameters()])
    assert (gradients[0] - mistaken).norm() > 1e-3 * gradients[0].norm()


def test_accumulated_steps_leave_the_same_weights_at_the_same_rate():
    models = language_model(), language_model()
    config = replace(PLAIN, optim="sgd", learning_rate=0.1, lr_scheduler_type="linear")
    one, four = (
        list(Run(model, Repeated(parts_of(model, parts)), config))
        for model, parts in zip(models, (1, 4), strict=True)
    )
    assert [step.learning_rate for step in one] == [step.learning_rate for step in four]
    before = state(language_model())
    moved = (state(models[0]) - before).norm()
    assert moved > 0
    assert (state(models[0]) - state(models[1])).norm() <= 1e-5 * moved
    assert (state(models[0]) - state(models[1])).norm() <= 1e-6 * state(models[0]).norm()


@pytest.mark.parametrize("optim", ["adamw", "sgd", "muon"])
@pytest.mark.parametrize("on_disk", [False, True])
def test_ten_steps_and_a_reload_and_ten_more_are_twenty_bit_for_bit(tmp_path, optim, on_disk):
    config = replace(PLAIN, max_steps=20, optim=optim, lr_scheduler_type="cosine", warmup_ratio=0.2)
    whole = language_model(dropout=0.3)
    steps = list(Run(whole, masked_batches(whole, accumulate=2), config))

    first = language_model(dropout=0.3)
    run = Run(first, masked_batches(first, accumulate=2), config)
    for step in run:
        if step.index == 10:
            run.stop()
    if on_disk:
        save_state(run, tmp_path)
    kept = copy.deepcopy((run.state_dict(), first.state_dict()))

    torch.manual_seed(99)
    second = language_model(dropout=0.3, seed=7)
    second.load_state_dict(kept[1])
    resumed = Run(second, masked_batches(second, accumulate=2), config)
    if on_disk:
        load_state(resumed, tmp_path)
    else:
        resumed.load_state_dict(kept[0])
    rest = list(resumed)
    assert [step.index for step in rest] == list(range(11, 21))
    assert [step.loss for step in rest] == [step.loss for step in steps[10:]]
    assert torch.equal(state(second), state(whole))


def test_two_runs_are_alike_and_another_seed_is_another_run():
    losses = []
    for seed in (0, 0, 1):
        model = language_model(dropout=0.1)
        losses.append([s.loss for s in Run(model, masked_batches(model), replace(PLAIN, seed=seed))])
    assert losses[0] == losses[1] != losses[2]


def ids_of(micro_batches: list[Micro]) -> list[list[int]]:
    return [batch.ids.tolist() for batch, _ in micro_batches]


def test_batches_are_a_pure_function_of_seed_and_step():
    model = language_model()
    batches, same, other = (masked_batches(model, accumulate=2, seed=seed) for seed in (0, 0, 1))
    forward = [ids_of(batches.at(step, 0.0)) for step in range(9)]
    backward = [ids_of(same.at(step, 0.0)) for step in reversed(range(9))]
    assert forward == backward[::-1]
    assert forward != [ids_of(other.at(step, 0.0)) for step in range(9)]
    assert len({str(ids) for ids in forward}) == 9


@pytest.mark.parametrize("count", [1, 7, 23, 24])
def test_an_epoch_sees_every_window_once_and_the_next_in_another_order(count):
    seen: list[list[int]] = []
    batches = ExampleBatches(
        [[n] * n for n in range(count)], lambda parts, *_: [len(p) for p in parts], 5, 2, 3
    )
    for step in range(2 * batches.steps_per_epoch):
        micro_batches = batches.at(step, 0.0)
        assert all(part == sorted(part, reverse=True) for part in micro_batches)
        seen.append([n for part in micro_batches for n in part])
    half = batches.steps_per_epoch
    for epoch in (seen[:half], seen[half:]):
        assert sorted(n for step in epoch for n in step) == list(range(count))
    assert (seen[:half] == seen[half:]) == (count == 1)
    assert sorted(shuffled(count, 3, 0).tolist()) == list(range(count))


@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_the_weights(broken):
    model = language_model()
    run = Run(model, masked_batches(model), replace(PLAIN, max_steps=9))
    with pytest.raises(NotFinite) as error:
        for step in run:
            if step.index == 4:
                before = state(model)
                if broken == "loss":
                    model.encoder.register_forward_hook(lambda module, inputs, output: output * float("nan"))
                else:
                    model.task.bias.register_hook(lambda grad: grad * float("inf"))
    assert "step 5" in str(error.value)
    assert ("loss nan" in str(error.value)) == (broken == "loss")
    assert "gradient norm nan" in str(error.value) or "gradient norm inf" in str(error.value)
    assert torch.equal(state(model), before)
    assert run.done == 4
    assert run.state_dict()["done"] == 4


def test_the_learning_rate_of_every_step_follows_the_schedule():
    model = language_model()
    config = replace(PLAIN, max_steps=10, learning_rate=0.01, lr_scheduler_type="linear", warmup_steps=2)
    run = Run(model, masked_batches(model), config)
    found = [(step.learning_rate, run.optimizers.groups[0]["lr"]) for step in run]
    wanted = [0.005, 0.01, *(0.01 * (10 - step) / 8 for step in range(2, 10))]
    assert [rate for rate, _ in found] == pytest.approx(wanted)
    assert [rate for _, rate in found] == pytest.approx(wanted)


def test_gradients_are_clipped_to_the_norm_and_the_true_norm_is_told():
    gone = []
    for clip in (1e-3, 0.0, 1e6):
        model = language_model()
        before = state(model)
        config = replace(PLAIN, max_steps=1, optim="sgd", momentum=0.0, learning_rate=1.0, weight_decay=0.0)
        (step,) = Run(model, Repeated(parts_of(model, 1)), replace(config, max_grad_norm=clip))
        gone.append((float((state(model) - before).norm()), step.grad_norm))
    assert gone[0][0] == pytest.approx(1e-3, rel=1e-2)
    assert gone[1] == gone[2]
    assert gone[1][0] == pytest.approx(gone[1][1], rel=1e-4)
    assert gone[0][1] == gone[1][1] > 0.01


def test_epochs_decide_the_steps_where_no_number_is_given():
    model = language_model()
    config = replace(PLAIN, max_steps=-1, num_train_epochs=1.5)
    steps = list(Run(model, masked_batches(model, batch_size=5), config))
    assert [step.index for step in steps] == list(range(1, 9))  # 24 texts are 5 batches of 5; 7.5 steps
    assert {step.total for step in steps} == {8}


def test_stop_ends_the_run_after_the_step_in_hand():
    model = language_model()
    run = train(model, masked_batches(model), replace(PLAIN, max_steps=50))
    for step in run:
        if step.index == 3:
            run.stop()
    assert (run.done, run.total) == (3, 50)


def test_a_step_tells_its_tokens_and_seconds():
    model = language_model()
    micro_batches = parts_of(model, 4)
    (step,) = Run(model, Repeated(micro_batches), replace(PLAIN, max_steps=1))
    assert step.tokens == sum(len(ids) for ids in sequences(32))
    assert step.seconds > 0


def test_the_caller_may_evaluate_between_steps():
    model = classifier()
    windows = [window for example in texts(16) for window in model.task.encode(example)]
    batches = ExampleBatches(windows, model.task.collate, 8)
    for _ in Run(model, batches, PLAIN):
        assert model.training
        model.predict(["w5 w9"])
        assert not model.training


def test_a_batch_without_masks_is_a_step_of_loss_zero():
    model = language_model()
    empty = torch.zeros(0, dtype=torch.int64)
    (step,) = Run(
        model, Repeated([(Packed.of([[2, 9, 3]]), Targets(empty, empty))]), replace(PLAIN, max_steps=1)
    )
    assert (step.loss, step.grad_norm) == (0.0, 0.0)


def test_bfloat16_trains_float32_weights():
    model = language_model()
    steps = list(
        Run(
            model,
            masked_batches(model, batch_size=24),
            replace(PLAIN, precision="bf16", max_steps=30, learning_rate=3e-3),
        )
    )
    assert model.encoder.dtype == torch.bfloat16
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert steps[-1].loss < steps[0].loss


def test_a_model_that_was_placed_stays_there_and_a_named_device_wins():
    batches = Repeated(parts_of(language_model(), 1))
    placed = language_model().to("meta")
    assert Run(placed, batches, replace(PLAIN, optim="sgd")).device.type == "meta"
    assert {weight.device.type for weight in placed.parameters()} == {"meta"}
    assert Run(language_model(), batches, replace(PLAIN, device="cpu")).device.type == "cpu"
    moved = language_model()
    assert Run(moved, batches, replace(PLAIN, device="meta")).device.type == "meta"
    assert {weight.device.type for weight in moved.parameters()} == {"meta"}
