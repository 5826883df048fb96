"""The linear discriminant: against the textbook's, against scikit-learn, and whatever came first."""

from collections import Counter

import numpy as np
import pytest
import torch
from small_models import SHAPE, VOCABULARY, FakeTokenizer, texts

from minibert.further.discriminant import SHRINKAGE, Discriminant, mean_vectors
from minibert.model.encoder import Encoder
from minibert.tasks.classification import Classification
from minibert.tasks.model import Model
from minibert.tasks.pooling import pool


def drawn(seed=0, classes=3, each=20, size=6):
    random = np.random.default_rng(seed)
    means = random.normal(size=(classes, size)) * 3
    mixed = random.normal(size=(size, size))
    labels = [f"c{number}" for number in range(classes) for _ in range(each)]
    vectors = np.repeat(means, each, axis=0) + random.normal(size=(classes * each, size)) @ mixed
    return torch.from_numpy(vectors), labels


def test_scores_are_log_densities_of_normal_distributions_up_to_what_all_share():
    vectors, labels = drawn()
    seen = Discriminant()
    seen.add(vectors, labels)
    weight, bias = seen.solve()
    apart = vectors.numpy().reshape(3, 20, 6)
    centred = (apart - apart.mean(1, keepdims=True)).reshape(60, 6)
    within = centred.T @ centred / 60
    within = (1 - SHRINKAGE) * within + SHRINKAGE * np.trace(within) / 6 * np.eye(6)
    x = np.random.default_rng(9).normal(size=6)
    away = x - apart.mean(1)
    density = -0.5 * np.einsum("cd,de,ce->c", away, np.linalg.inv(within), away)
    scores = (weight @ torch.from_numpy(x) + bias).numpy()
    np.testing.assert_allclose(scores - scores[0], density - density[0], rtol=1e-9)


def test_scores_survive_bfloat16_where_all_vectors_have_much_in_common():
    vectors, labels = drawn(classes=8)
    vectors = vectors + 300
    seen = Discriminant()
    seen.add(vectors, labels)
    weight, bias = seen.solve()
    assert weight.mean(0).abs().max() < 1e-9 and abs(bias.mean()) < 1e-6
    exact = (vectors @ weight.T + bias).argmax(1)
    centred = vectors - 300  # bfloat16 cannot hold what is left of such vectors; it can hold the weights
    moved = bias + 300 * weight.sum(1)
    rough = (centred.bfloat16() @ weight.T.bfloat16() + moved.bfloat16()).argmax(1)
    assert (exact == rough).float().mean() > 0.97


def test_answers_are_those_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.discriminant_analysis")
    vectors, labels = drawn(seed=2, classes=5)
    seen = Discriminant()
    seen.add(vectors, labels)
    weight, bias = seen.solve()
    theirs = sklearn.LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE).fit(vectors, labels)
    asked = drawn(seed=3, classes=9, each=40)[0]
    ours = [seen.labels[place] for place in (asked @ weight.T + bias).argmax(1)]
    np.testing.assert_array_equal(ours, theirs.predict(asked))


def test_classes_may_come_one_after_the_other_and_more_of_them_later():
    vectors, labels = drawn()
    whole, parts = Discriminant(), Discriminant()
    whole.add(vectors, labels)
    for start in (0, 25, 40):
        end = {0: 25, 25: 40, 40: 60}[start]
        parts.add(vectors[start:end], labels[start:end])
    for ours, theirs in zip(parts.solve(), whole.solve(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_with_one_vector_of_each_class_the_nearest_is_chosen():
    seen = Discriminant()
    seen.add(torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 9.0]]), ["a", "b", "c"])
    weight, bias = seen.solve()
    asked = torch.tensor([[1.9, 0.0], [2.1, 0.0], [0.0, 5.0]], dtype=torch.float64)
    assert (asked @ weight.T + bias).argmax(1).tolist() == [0, 1, 2]
    assert torch.isfinite(weight.float()).all()


def test_a_vector_is_the_mean_of_the_rows_of_a_window(monkeypatch):
    options = {"classifier_dropout": 0.0, "max_length": 8, "on_long": "split"}
    task = Classification.build(FakeTokenizer(VOCABULARY), SHAPE, texts(4), options)
    model, examples = Model(Encoder(SHAPE), task).eval(), texts(70)
    monkeypatch.setattr("minibert.further.discriminant.READ_AT_ONCE", 50)
    found, owners = mean_vectors(model, examples)
    windows = model.encode(examples)
    assert Counter(owners) == {number: len(parts) for number, parts in enumerate(windows)}
    assert max(Counter(owners).values()) > 1
    assert found.dtype == torch.float64
    for number, parts in enumerate(windows):
        alone = []
        for window in parts:
            batch = model.task.pack([window])
            with torch.no_grad():
                alone.append(pool("mean", model.encoder(batch), batch.layout)[0])
        ours = found[[place for place, owner in enumerate(owners) if owner == number]].float()
        for vector in alone:
            assert (ours - vector).abs().amax(1).min() < 1e-4
