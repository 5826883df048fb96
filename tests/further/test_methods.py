"""The ways of not forgetting, each against what can be computed by hand."""

from collections import Counter

import numpy as np
import pytest
import torch
from small_models import classifier, texts
from torch import nn

from minibert.data.batches import ExampleBatches
from minibert.errors import InputError
from minibert.further.elastic import Springs, fisher, held_back
from minibert.further.growing import grown
from minibert.further.methods import Beside, LearnOptions, method_of
from minibert.further.reservoir import Reservoir
from minibert.tasks.pooling import pool, project
from minibert.tasks.task import Loss
from minibert.training.config import TrainingConfig
from minibert.training.finetuning import Settings
from minibert.training.loop import Run

CONFIG = TrainingConfig(precision="fp32", max_steps=2)
SETTINGS = Settings.of({"train.precision": "fp32", "train.max_steps": 2})


def windows_of(model, count):
    return [window for example in texts(count) for window in model.task.encode(example)]


def batches_of(model, count=8, **options):
    return ExampleBatches(windows_of(model, count), model.task.collate, batch_size=4, **options)


def test_a_reservoir_keeps_each_row_of_a_stream_equally_often():
    kept = Counter()
    for seed in range(2000):
        sample = Reservoir(3, seed)
        sample.add(range(5))
        sample.add(range(5, 12))
        assert len(set(sample.rows)) == 3
        kept.update(sample.rows)
    # 2000 draws of 3 from 12: 500 each, the standard deviation of a count is 19
    assert all(abs(kept[row] - 500) < 80 for row in range(12))


def test_a_reservoir_of_nothing_is_refused():
    with pytest.raises(InputError, match="buffer_size 0 must be at least 1"):
        Reservoir(0, 0)


def test_the_fisher_of_the_head_is_the_mean_square_of_drawn_minus_expected():
    model = classifier().eval()
    with torch.no_grad():
        model.task.classifier.weight.mul_(40)
    windows = windows_of(model, 9)
    found = fisher(model, windows, seed=3).stiffness
    generator = torch.Generator().manual_seed(3)
    wanted_b, wanted_w = np.zeros(2), np.zeros((2, 20))
    for window in windows:
        batch, _ = model.task.collate([window], 0, 0, 0.0)
        with torch.no_grad():
            x = project("tanh", model.task.dense, pool("first", model.encoder(batch), batch.layout))
            p = model.task.classifier(x).softmax(-1)
        drawn = torch.multinomial(p, 1, generator=generator).item()
        slope = p[0].double().numpy() - np.eye(2)[drawn]
        wanted_b += slope**2 / 9
        wanted_w += np.outer(slope, x[0].double().numpy()) ** 2 / 9
    np.testing.assert_allclose(found["task.classifier.bias"].numpy(), wanted_b, rtol=1e-4)
    np.testing.assert_allclose(found["task.classifier.weight"].numpy(), wanted_w, rtol=1e-3, atol=1e-9)
    assert found.keys() == dict(model.named_parameters()).keys()


def test_springs_pull_by_their_stiffness_times_the_way():
    line = nn.Linear(2, 1)
    springs = Springs(
        {"weight": torch.tensor([[1.0, -2.0]]), "bias": torch.tensor([0.5])},
        {"weight": torch.tensor([[3.0, 5.0]]), "bias": torch.tensor([7.0])},
    )
    line.weight.data, line.bias.data = torch.tensor([[2.0, 1.0]]), torch.tensor([0.0])
    energy = springs.energy(line)
    energy.backward()
    assert energy.item() == pytest.approx((3 * 1 + 5 * 9 + 7 * 0.25) / 2)
    assert line.weight.grad.tolist() == [[3.0, 15.0]]
    assert line.bias.grad.tolist() == [-3.5]


def test_a_row_that_grew_has_no_spring():
    model = classifier()
    springs = Springs(
        dict(model.state_dict()), {k: torch.ones_like(v) for k, v in model.state_dict().items()}
    )
    wide = grown(model, [type(texts(1)[0])("x", label="new")])
    assert springs.energy(wide).item() == 0
    wide.task.classifier.bias.data[2] = 100.0
    assert springs.energy(wide).item() == 0
    wide.task.classifier.bias.data[1] += 3.0
    assert springs.energy(wide).item() == pytest.approx(4.5)


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_the_penalty_of_a_step_does_not_depend_on_how_it_is_cut_up(accumulate):
    model = classifier().eval()
    springs = Springs(
        {"task.classifier.bias": torch.ones(2)}, {"task.classifier.bias": torch.full((2,), 4.0)}
    )
    parts = batches_of(model, accumulate=accumulate).at(0, 0.0)
    objective = held_back(model, model, [springs, springs], 10.0)
    losses, plain = [objective(*part) for part in parts], [model(*part) for part in parts]
    gained = sum(losses[1:], losses[0]).mean() - sum(plain[1:], plain[0]).mean()
    assert gained.item() == pytest.approx(10 * 2 * (4 * 1 + 4 * 1) / 2, rel=1e-5)


def test_held_weights_settle_where_force_and_spring_are_even_and_half_is_not_forgotten():
    # What was learnt first fixes a, by (a - 1)^2 / 2. What comes then asks for a + b = 3: either may move.
    def learn(strength):
        both = nn.ParameterDict({"a": torch.tensor([1.0]), "b": torch.tensor([0.0])})
        springs = Springs(
            {"a": torch.tensor([1.0]), "b": torch.tensor([0.0])}, {"a": torch.ones(1), "b": torch.zeros(1)}
        )

        def own(batch, targets):
            return Loss({"loss": (both["a"] + both["b"] - 3).square().sum() / 2}, {"loss": 1})

        objective = held_back(own, both, [springs], strength)
        optimizer = torch.optim.SGD(both.parameters(), lr=0.1)
        for _ in range(600):
            optimizer.zero_grad()
            objective(None, None).mean().backward()
            optimizer.step()
        return both["a"].item(), both["b"].item()

    plain, held = learn(0.0), learn(1.0)
    assert plain == pytest.approx((2.0, 1.0))  # both moved alike: what was learnt first is lost
    assert held == pytest.approx((1.0, 2.0), abs=1e-3)
    assert (held[0] - 1) ** 2 < 0.5 * (plain[0] - 1) ** 2


def test_replay_puts_as_many_remembered_rows_beside_the_new_ones():
    model = classifier()
    method = method_of(LearnOptions(method="replay", buffer_size=6), SETTINGS, model, learnt=False)
    new = batches_of(model)
    assert method.batches(new, model) is new
    method.keep(model, texts(30))
    both = method.batches(new, model)
    assert isinstance(both, Beside)
    assert both.steps_per_epoch == new.steps_per_epoch
    assert len(both.at(0, 0.0)) == 2
    assert torch.equal(both.at(1, 0.0)[0][0].ids, new.at(1, 0.0)[0][0].ids)
    assert both.at(0, 0.0)[1][1].labels.shape == (6,)
    assert next(iter(Run(model, both, CONFIG))).tokens == sum(b.layout.tokens for b, _ in both.at(0, 0.0))


def test_the_old_self_is_heard_on_old_classes_alone_and_only_once_it_has_learnt():
    model = classifier()
    method = method_of(LearnOptions(method="distill"), SETTINGS, model, learnt=False)
    assert method.objective(model, model, 0) is model
    method.keep(model, [])
    wide = grown(model, [type(texts(1)[0])("x", label="new")]).eval()
    batch, targets = batches_of(wide).at(0, 0.0)[0]
    objective = method.objective(wide, wide, 2)
    torch.testing.assert_close(objective(batch, targets).mean(), wide(batch, targets).mean())
    with torch.no_grad():
        wide.task.classifier.bias[2] += 5.0  # the new class may say what it likes
    torch.testing.assert_close(objective(batch, targets).mean(), wide(batch, targets).mean())
    with torch.no_grad():
        wide.task.classifier.bias[0] += 1.0
    assert objective(batch, targets).mean() > wide(batch, targets).mean() + 0.05


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"buffer_size": 0}, "buffer_size 0"),
        ({"ewc_lambda": -1.0}, "ewc_lambda -1.0"),
        ({"temperature": 0.0}, "temperature 0.0"),
    ],
)
def test_unusable_options_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        LearnOptions(**values)
