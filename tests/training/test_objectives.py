"""R-Drop and adversarial passes: their equations by hand, exact accumulation, and what they refuse."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import FakeTokenizer
from small_models import SHAPE, VOCABULARY, Repeated, classifier, language_model, masked_batches, texts

from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.packed import Layout, Packed
from minibert.tasks.classification import Classification
from minibert.tasks.model import Model
from minibert.tasks.task import Loss
from minibert.training.config import TrainingConfig
from minibert.training.loop import Run
from minibert.training.objectives import adversarial, moved, r_drop, steepest, symmetric_divergence

PLAIN = TrainingConfig(precision="fp32", max_steps=1, lr_scheduler_type="constant", warmup_ratio=0.0)


def batch_of(model, count=7):
    windows = [window for example in texts(count) for window in model.task.encode(example)]
    return model.task.collate(windows, 0, 0, 0.0)


def divergence(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def shares(logits):
    powers = [math.exp(score) for score in logits]
    return [power / sum(powers) for power in powers]


def test_the_divergence_is_the_mean_of_both_directions():
    random = np.random.default_rng(0)
    first, second = random.normal(0, 3, (2, 11, 5))
    found = symmetric_divergence(torch.from_numpy(first), torch.from_numpy(second))
    for row in range(11):
        p, q = shares(first[row]), shares(second[row])
        assert found[row].item() == pytest.approx((divergence(p, q) + divergence(q, p)) / 2, rel=1e-10)


@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
def test_the_divergence_is_never_negative_and_finite_for_certain_answers(scale):
    first, second = scale * torch.randn(2, 97, 3, generator=torch.Generator().manual_seed(1))
    found = symmetric_divergence(first, second)
    assert found.isfinite().all()
    assert (found >= 0).all()
    assert torch.equal(symmetric_divergence(first, first), torch.zeros(97))


def test_r_drop_is_the_mean_loss_and_alpha_times_the_divergence():
    """Two answers made by hand: 1 text of 2 classes, the right one being the first."""
    logits = iter([torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3.0), 0.0]])])

    def twice(batch, targets):
        scores = next(logits)
        return Loss({"loss": -scores.log_softmax(-1)[0, 0]}, {"loss": 1}, logits={"loss": scores})

    found = r_drop(twice, alpha=0.7)(None, None)
    p, q = (0.5, 0.5), (0.75, 0.25)
    wanted = (math.log(2) + math.log(4 / 3)) / 2 + 0.7 * (divergence(p, q) + divergence(q, p)) / 2
    assert found.sums["loss"].item() == pytest.approx(wanted, rel=1e-6)
    assert found.counts == {"loss": 1}


def with_dropout(p=0.4):
    torch.manual_seed(1)
    task = Classification.build(FakeTokenizer(VOCABULARY), SHAPE, texts(4), {"classifier_dropout": p})
    return Model(Encoder(SHAPE), task)


def test_the_two_passes_drop_different_things_and_are_pulled_together():
    model = with_dropout().train()
    batch, targets = batch_of(model)
    torch.manual_seed(0)
    plain, alike = r_drop(model, 0.0)(batch, targets), r_drop(model, 5.0)(batch, targets)
    torch.manual_seed(0)
    assert r_drop(model, 5.0)(batch, targets).sums["loss"] > plain.sums["loss"]
    assert alike.counts == targets.counts


def test_without_dropout_r_drop_is_the_plain_loss():
    model = classifier()
    batch, targets = batch_of(model)
    wanted = model(batch, targets).sums["loss"]
    torch.testing.assert_close(r_drop(model, 3.0)(batch, targets).sums["loss"], wanted)


def test_whoever_asks_further_gets_logits_of_r_drop_and_of_moves():
    model = with_dropout().train()
    batch, targets = batch_of(model)
    torch.manual_seed(0)
    wanted = model(batch, targets).logits["loss"]
    for objective in (r_drop(model, 1.0), adversarial(model, model.encoder.embeddings.token, 0.1)):
        torch.manual_seed(0)
        torch.testing.assert_close(objective(batch, targets).logits["loss"], wanted)


def exact(lengths):
    """Return an encoder in float64, the objective "squares of weighted hidden states", and a batch for it."""
    torch.manual_seed(1)
    encoder = Encoder(SHAPE).double()
    encoder.dtype = torch.float64
    batch = Packed.of([torch.randint(5, VOCABULARY, (length,)).numpy() for length in lengths])
    weights_D = torch.randn(SHAPE.hidden_size, dtype=torch.float64)

    def objective(batch, targets):
        return Loss({"loss": (encoder(batch) @ weights_D).square().sum()}, {"loss": len(batch.ids)})

    return encoder, objective, batch


def test_the_second_pass_goes_where_the_definition_says():
    """The move is epsilon along the slope, which is measured here by finite differences in float64."""
    encoder, objective, batch = exact([3, 1, 2])
    table, epsilon = encoder.embeddings.token, 0.01

    def loss_at(move_TD):
        with torch.no_grad(), moved(table, move_TD):
            return objective(batch, None).sums["loss"].item()

    nowhere_TD = torch.zeros(6, SHAPE.hidden_size, dtype=torch.float64)
    slope_TD = nowhere_TD.clone()
    for place in range(6):
        for channel in range(SHAPE.hidden_size):
            step_TD = nowhere_TD.clone()
            step_TD[place, channel] = 1e-6
            slope_TD[place, channel] = (loss_at(step_TD) - loss_at(-step_TD)) / 2e-6
    move_TD = slope_TD.clone()
    for part in batch.layout.split(move_TD):
        part *= epsilon / part.norm()
    wanted = (loss_at(nowhere_TD) + loss_at(move_TD)) / 2
    found = adversarial(objective, table, epsilon)(batch, None)
    assert found.sums["loss"].item() == pytest.approx(wanted, rel=1e-6)
    assert wanted > loss_at(nowhere_TD)


def test_its_gradient_takes_the_move_as_given():
    """The gradient of the weights is that of both passes with the move held fast (Miyato et al., 2017)."""
    encoder, objective, batch = exact([5, 2, 3])
    table = encoder.embeddings.token
    adversarial(objective, table, 0.5)(batch, None).mean().backward()
    found = {name: weight.grad.clone() for name, weight in encoder.named_parameters()}
    encoder.zero_grad()
    move_TD = torch.zeros(10, SHAPE.hidden_size, dtype=torch.float64, requires_grad=True)
    with moved(table, move_TD):
        plain = objective(batch, None).mean()
    (slope_TD,) = torch.autograd.grad(plain, move_TD, retain_graph=True)
    with moved(table, 0.5 * steepest(slope_TD, batch.layout)):
        second = objective(batch, None).mean()
    ((plain + second) / 2).backward()
    for name, weight in encoder.named_parameters():
        torch.testing.assert_close(found[name], weight.grad, rtol=1e-10, atol=1e-14)


def test_a_slope_is_scaled_for_each_text_alone_and_nothing_stays_nothing():
    layout = Layout.of([3, 1, 5, 2])
    slope_TD = torch.randn(11, 7, generator=torch.Generator().manual_seed(0))
    slope_TD[4:9] *= 1e6
    slope_TD[9:] = 0.0
    parts = layout.split(steepest(slope_TD, layout))
    assert [part.norm().item() for part in parts] == pytest.approx([1.0, 1.0, 1.0, 0.0])
    torch.testing.assert_close(parts[0], slope_TD[:3] / slope_TD[:3].norm())


def test_the_table_is_as_it_was_even_after_an_error():
    model = classifier()
    table = model.encoder.embeddings.token
    before = table.weight.clone()
    with pytest.raises(RuntimeError, match="size"), moved(table, torch.zeros(2, 3)):
        table(torch.tensor([1, 2, 4]))
    assert torch.equal(table(torch.tensor([5])), before[5:6])
    batch, targets = batch_of(model)
    adversarial(model, table, 1.0)(batch, targets).mean().backward()
    assert torch.equal(table.weight, before)
    assert not table._forward_hooks


@pytest.mark.parametrize("options", [{"r_drop_alpha": 2.0}, {"fgm_epsilon": 0.8}])
@pytest.mark.parametrize("parts", [2, 4])
def test_accumulation_stays_exact(options, parts):
    """Texts cut into unequal micro-batches, words asked unequally often: the gradient of one batch."""
    whole, cut = classifier(), classifier()
    windows = [window for example in texts(23) for window in whole.task.encode(example)]
    gradients, losses = [], []
    for model, count in ((whole, 1), (cut, parts)):
        rows = np.array_split(np.arange(23), [1, 9, 20][: count - 1])
        micro = [model.task.collate([windows[i] for i in part], 0, 0, 0.0) for part in rows]
        run = Run(model, Repeated(micro), replace(PLAIN, **options))
        losses.append(run._gradients(micro)[0])
        gradients.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
    assert (gradients[0] - gradients[1]).norm() <= 2e-6 * gradients[0].norm()
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_both_at_once_learn():
    model = with_dropout(0.1)
    config = replace(PLAIN, max_steps=60, r_drop_alpha=1.0, fgm_epsilon=0.01, learning_rate=5e-3)
    steps = list(Run(model, Repeated([batch_of(model, 12)]), config))
    assert steps[-1].loss < 0.3 * steps[0].loss


def test_masked_language_models_are_trained_against_moves_too():
    model = language_model()
    config = replace(PLAIN, max_steps=3, fgm_epsilon=0.5)
    plain, moved_too = (
        [step.loss for step in Run(language_model(), masked_batches(model), chosen)]
        for chosen in (replace(PLAIN, max_steps=3), config)
    )
    assert moved_too[0] > plain[0]


def test_a_loss_without_logits_is_refused_before_anything_is_trained():
    model = language_model()
    with pytest.raises(InputError, match=r"r_drop_alpha 1\.5 .* masked_lm"):
        Run(model, masked_batches(model), replace(PLAIN, r_drop_alpha=1.5))


def test_a_compiled_model_is_refused_for_moves():
    model = language_model()
    with pytest.raises(InputError, match=r"fgm_epsilon 0\.5 .* torch_compile"):
        Run(model, masked_batches(model), replace(PLAIN, fgm_epsilon=0.5, torch_compile=True))


@pytest.mark.parametrize(
    "options, named",
    [({"r_drop_alpha": -1.0}, "r_drop_alpha -1"), ({"fgm_epsilon": -0.1}, "fgm_epsilon -0.1"),
     ({"ema_decay": 1.0}, "ema_decay 1.0"), ({"ema_decay": -0.5}, "ema_decay -0.5")],
)  # fmt: skip
def test_numbers_that_mean_nothing_are_refused(options, named):
    with pytest.raises(InputError, match=named):
        replace(PLAIN, **options)


def test_the_logits_of_a_loss_are_those_that_it_was_made_from():
    model = classifier().eval()
    batch, targets = batch_of(model)
    loss = model(batch, targets)
    assert model.task.logits_of == "classes"
    again = torch.nn.functional.cross_entropy(loss.logits["loss"], targets.labels, reduction="sum")
    torch.testing.assert_close(again, loss.sums["loss"])
    assert not (loss + loss).logits
    assert isinstance(batch, Packed)
