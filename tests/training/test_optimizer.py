"""Who gets which rate, which decay and which rule."""

import pytest
import torch
from small_models import language_model, masked_batches

from minibert.errors import InputError
from minibert.training.config import TrainingConfig
from minibert.training.loop import Run
from minibert.training.optimizer import depth_of, make_optimizers

LAYERS = 3


def rates(model, config: TrainingConfig) -> dict[str, tuple[float, float, str]]:
    """Return the peak rate, decay and rule of every weight that is trained."""
    names = {id(weight): name for name, weight in model.named_parameters()}
    optimizers = make_optimizers(model, LAYERS, config)
    return {
        names[id(weight)]: (group["lr"], group["weight_decay"], type(part).__name__)
        for part in optimizers.parts
        for group in part.param_groups
        for weight in group["params"]
    }


@pytest.mark.parametrize("optim", ["adamw", "sgd", "muon"])
def test_every_weight_has_exactly_one_rule_and_vectors_do_not_decay(optim):
    model = language_model()
    found = rates(model, TrainingConfig(optim=optim, weight_decay=0.1))
    assert set(found) == {name for name, _ in model.named_parameters()}
    total = sum(len(g["params"]) for g in make_optimizers(model, LAYERS, TrainingConfig(optim=optim)).groups)
    assert total == len(found)
    for name, weight in model.named_parameters():
        assert found[name][1] == (0.1 if weight.ndim > 1 else 0.0), name


def test_layer_wise_rates_are_the_hand_computed_ones():
    found = rates(language_model(), TrainingConfig(learning_rate=1.0, layerwise_lr_decay=0.5))
    assert found["task.dense.weight"][0] == 1.0
    assert found["task.bias"][0] == 1.0
    assert found["encoder.blocks.2.attention.qkv.weight"][0] == 0.5
    assert found["encoder.blocks.1.attention_norm.bias"][0] == 0.25
    assert found["encoder.blocks.0.feed_forward.output.weight"][0] == 0.125
    assert found["encoder.embeddings.token.weight"][0] == 0.0625
    assert found["encoder.embeddings.norm.weight"][0] == 0.0625


def test_depths_go_from_the_embeddings_to_what_is_above():
    names = [
        "encoder.embeddings.norm.bias",
        "encoder.blocks.0.x",
        "encoder.blocks.11.x",
        "encoder.norm.weight",
    ]
    assert [depth_of(name, 12) for name in names] == [0, 1, 12, 13]


def test_muon_gets_the_matrices_of_the_blocks_alone():
    found = rates(language_model(), TrainingConfig(optim="muon", learning_rate=1e-3, muon_learning_rate=0.5))
    for name, (rate, _, rule) in found.items():
        hidden_matrix = ".blocks." in name and name.endswith("weight") and "norm" not in name
        assert (rule, rate) == (("Muon", 0.5) if hidden_matrix else ("AdamW", 1e-3)), name


@pytest.mark.parametrize(("freeze", "deepest"), [(0, -1), (1, 1), (2, 2), (3, 3)])
def test_the_lowest_layers_are_frozen_bit_for_bit_and_the_rest_moves(freeze, deepest):
    model = language_model()
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    list(Run(model, masked_batches(model), TrainingConfig(precision="fp32", max_steps=2, freeze=freeze)))
    for name, weight in model.named_parameters():
        assert torch.equal(weight, before[name]) == (depth_of(name, LAYERS) <= deepest), name


def test_freezing_the_encoder_trains_the_head_alone():
    model = language_model()
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    run = Run(model, masked_batches(model), TrainingConfig(precision="fp32", max_steps=2, freeze="encoder"))
    list(run)
    for name, weight in model.named_parameters():
        assert torch.equal(weight, before[name]) == name.startswith("encoder."), name
    assert sum(weight.numel() for weight in run.optimizers.weights) == sum(
        weight.numel() for weight in model.task.parameters()
    )


def test_a_later_run_thaws_what_an_earlier_one_froze():
    model = language_model()
    Run(model, masked_batches(model), TrainingConfig(precision="fp32", freeze="encoder"))
    Run(model, masked_batches(model), TrainingConfig(precision="fp32"))
    assert all(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("freeze", [4, -1])
def test_freezing_layers_that_are_not_there_is_named(freeze):
    model = language_model()
    with pytest.raises(InputError, match=rf"freeze {freeze}.*3 layers"):
        Run(model, masked_batches(model), TrainingConfig(precision="fp32", freeze=freeze))


@pytest.mark.parametrize(("optim", "rate"), [("adamw", 3e-3), ("sgd", 3e-2), ("muon", 3e-3)])
def test_every_rule_decreases_the_loss(optim, rate):
    model = language_model()
    config = TrainingConfig(
        precision="fp32", max_steps=40, optim=optim, learning_rate=rate, lr_scheduler_type="constant"
    )
    losses = [step.loss for step in Run(model, masked_batches(model, batch_size=24), config)]
    assert sum(losses[-5:]) / 5 < 0.97 * losses[0]


def test_a_step_of_adamw_is_the_hand_computed_one():
    model = language_model()
    config = TrainingConfig(learning_rate=0.1, weight_decay=0.3, adam_epsilon=1e-6)
    optimizers = make_optimizers(model, LAYERS, config)
    matrix, vector = model.task.dense.weight, model.task.dense.bias
    start = matrix.detach().clone(), vector.detach().clone()
    for weight in model.parameters():
        weight.grad = torch.full_like(weight, -2.0)
    optimizers.set_rate(0.5)
    optimizers.step()
    # In the first step m / sqrt(v) is the gradient's sign.
    torch.testing.assert_close(matrix, start[0] * (1 - 0.05 * 0.3) + 0.05, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(vector, start[1] + 0.05, rtol=1e-5, atol=1e-6)
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize(
    "values",
    [
        {"learning_rate": 0.0},
        {"train_batch_size": 0},
        {"warmup_ratio": 1.5},
        {"layerwise_lr_decay": 0.0},
        {"adam_beta2": -0.5},
        {"max_grad_norm": -1.0},
        {"weight_decay": -0.1},
    ],
)
def test_numbers_outside_their_range_are_named(values):
    ((name, value),) = values.items()
    with pytest.raises(InputError, match=f"{name} {value}"):
        TrainingConfig(**values)


@pytest.mark.parametrize("optim", ["adamw", "sgd"])
def test_the_state_of_another_rule_is_refused(optim):
    model, other = language_model(), {"adamw": "sgd", "sgd": "adamw"}[optim]
    kept = make_optimizers(model, LAYERS, TrainingConfig(optim=other)).state_dict()
    with pytest.raises(InputError, match="of another optimizer"):
        make_optimizers(model, LAYERS, TrainingConfig(optim=optim)).load_state_dict(kept)
