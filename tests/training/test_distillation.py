"""What is learnt from a teacher: divergences against a float64 oracle, and layers in their places."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import FakeTokenizer
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, log_softmax
from small_models import SHAPE, VOCABULARY, classifier, language_model, texts

from minibert.data.examples import RelationExample
from minibert.errors import InputError
from minibert.kernels.round_rows import missing
from minibert.model.encoder import Encoder
from minibert.tasks.model import Model
from minibert.tasks.relations import Relations
from minibert.training.distillation import (
    distance_of,
    heard,
    hidden_too,
    soft_labels,
    soft_targets,
    squares,
    taught,
)

SEEDS = st.integers(0, 2**31 - 1)
HEAT = st.floats(0.5, 8.0)


def logits(seed):
    return np.random.default_rng(seed).normal(size=(2, 7, 5), scale=3)


def batch_of(model, count=5):
    windows = [window for example in texts(count) for window in model.task.encode(example)]
    return model.task.collate(windows, 0, 0, 0.0)


@given(SEEDS, HEAT)
def test_soft_targets_are_hintons_equation(seed, heat):
    student, teacher = logits(seed)
    log_p, log_q = log_softmax(teacher / heat, axis=1), log_softmax(student / heat, axis=1)
    wanted = heat**2 * (np.exp(log_p) * (log_p - log_q)).sum(1)
    found = soft_targets(torch.tensor(student), torch.tensor(teacher), heat)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-9)


@given(SEEDS, HEAT)
def test_soft_labels_are_the_mean_divergence_of_yes_and_no(seed, heat):
    student, teacher = logits(seed)
    p, q = expit(teacher / heat), expit(student / heat)
    wanted = heat**2 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean(1)
    found = soft_labels(torch.tensor(student), torch.tensor(teacher), heat)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-8)


@pytest.mark.parametrize("distance", [soft_targets, soft_labels, squares])
def test_equal_answers_are_no_distance_apart_and_pull_nowhere(distance):
    teacher = torch.randn(7, 5, dtype=torch.float64)
    student = teacher.clone().requires_grad_()
    apart = distance(student, teacher, 2.0)
    apart.sum().backward()
    torch.testing.assert_close(apart, torch.zeros_like(apart))
    torch.testing.assert_close(student.grad, torch.zeros_like(teacher))


def test_labels_and_teacher_are_weighed():
    student, teacher = classifier(1).eval(), classifier(2)
    batch, targets = batch_of(student)
    own, said = student(batch, targets), teacher.eval()(batch, targets)
    apart = soft_targets(own.logits["loss"], said.logits["loss"], 3.0).sum()
    found = taught(student, teacher, temperature=3.0, weight=0.25, label_weight=0.75)(batch, targets)
    torch.testing.assert_close(found.sums["loss"], 0.75 * own.sums["loss"] + 0.25 * apart)
    assert found.counts == targets.counts


def test_a_pair_without_a_relation_is_learnt_from_what_the_teacher_says_alone():
    rows = [RelationExample("w5 w6 w7", (0, 2), (3 * at, 3 * at + 2), "abc"[at]) for at in (1, 2)] * 2
    models = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        task = Relations.build(FakeTokenizer(VOCABULARY), SHAPE, rows, {"classifier_dropout": 0.0})
        models.append(Model(Encoder(SHAPE), task).eval())
    student, teacher = models
    windows = [window for row in rows for window in student.task.encode(replace(row, label=None))]
    batch, targets = student.task.collate(windows, 0, 0, 0.0)
    found = taught(student, teacher, temperature=2.0, weight=1.0, label_weight=0.0)(batch, targets)
    own, said = student(batch, targets), teacher(batch, targets)
    apart_M = soft_targets(own.logits["loss"], said.logits["loss"], 2.0)
    torch.testing.assert_close(found.sums["loss"], apart_M.sum())
    assert found.sums["loss"] > 0 and own.sums["loss"] == 0


def test_the_teacher_gets_no_gradient_and_unheard_columns_none_either():
    student, teacher = classifier(1).eval(), classifier(2)
    batch, targets = batch_of(student)
    found = taught(student, teacher, temperature=2.0, weight=1.0, label_weight=0.0, known=1)
    # one column has all the probability, whatever its logit: nothing is left to learn
    assert found(batch, targets).mean().item() == pytest.approx(0.0, abs=1e-6)
    assert all(weight.grad is None for weight in teacher.parameters())


def test_hidden_states_are_compared_pair_by_pair_as_shares_of_the_teachers():
    student, teacher = classifier(1).eval(), classifier(2)
    batch, targets = batch_of(student)
    with heard(student.encoder.blocks) as own:
        student(batch, targets)
    with heard(teacher.encoder.blocks) as said:
        teacher.eval()(batch, targets)
    pairs = [(own[0], said[1]), (own[1], said[2])]
    wanted = np.mean([((b - a) ** 2).sum().item() / (b**2).sum().item() for a, b in pairs])
    asked = taught(student, teacher, temperature=1.0, weight=0.0, label_weight=0.0)
    found = hidden_too(asked, student, teacher, layers=[1, 2], weight=2.0)(batch, targets)
    assert found.mean().item() == pytest.approx(2 * wanted, rel=1e-5)
    assert not student.encoder.blocks[0]._forward_hooks


def test_rows_that_fill_a_batch_up_are_not_compared():
    student, teacher = classifier(1).eval(), classifier(2).eval()
    for model in (student, teacher):
        model.encoder.dtype = torch.bfloat16
        for name, weight in model.encoder.named_parameters():  # else zeros stay zeros
            torch.nn.init.normal_(weight, std=1.0 if name.endswith("bias") else 0.3)
    batch, targets = batch_of(student)
    tokens = batch.layout.tokens
    with heard(student.encoder.blocks) as own, heard(teacher.encoder.blocks) as said:
        student(batch, targets)
        with torch.no_grad():  # as `taught` asks it: another kernel, which rounds otherwise
            teacher(batch, targets)
    assert len(own[0]) == len(said[1]) == tokens + missing(tokens) > tokens
    whole, wanted = (
        ((said[1] - own[0])[:rows].float().square().sum() / said[1][:rows].float().square().sum()).item()
        for rows in (None, tokens)
    )
    assert whole != pytest.approx(wanted, rel=1e-4)
    asked = taught(student, teacher, temperature=1.0, weight=0.0, label_weight=0.0)
    found = hidden_too(asked, student, teacher, layers=[1], weight=1.0)(batch, targets)
    assert found.mean().item() == pytest.approx(wanted, rel=1e-5)


def test_a_task_without_logits_is_refused_by_name():
    with pytest.raises(InputError, match="the loss of masked_lm tells no logits"):
        distance_of(language_model().task)
