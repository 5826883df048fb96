"""Rows filled up to round numbers: few shapes occur, and nobody's numbers change."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minibert.kernels.cross_entropy import linear_cross_entropy
from minibert.kernels.round_rows import SIZES, filled, missing
from minibert.model.linear import Linear


@given(st.integers(0, 10**6))
def test_little_is_added_and_few_numbers_occur(rows):
    assert 0 <= missing(rows) <= rows // SIZES
    assert missing(rows + missing(rows)) == 0


def test_sixteen_numbers_an_octave_occur():
    assert {rows + missing(rows) for rows in range(512, 1024)} == set(range(512, 1025, 32))


@pytest.mark.parametrize(
    "x",
    [
        torch.ones(33, 3),
        torch.ones(32, 3).bfloat16(),
        torch.ones(3, 11, 5).bfloat16(),
        torch.ones(0, 3).bfloat16(),
    ],
)
def test_other_dtypes_round_numbers_and_other_tensors_stay(x):
    assert filled(x) is x


def test_zeros_are_put_behind():
    x = torch.randn(33, 3).bfloat16()
    assert filled(x).shape == (34, 3)
    assert torch.equal(filled(x)[:33], x)
    assert not filled(x)[33:].any()


def products_of(work):
    """Return the shapes of the left matrices that are multiplied in a piece of work."""
    with torch.profiler.profile(record_shapes=True) as profile:
        work()
    names = ("aten::addmm", "aten::mm", "aten::addmm_")
    return {str(event.input_shapes) for event in profile.events() if event.name in names}


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_says_the_same_and_multiplies_round_matrices(bias):
    layer = Linear(8, 5, bias=bias)
    for rows in (33, 34):
        x = torch.randn(rows, 8, requires_grad=True)
        y = layer(x.bfloat16())
        assert y.shape == (rows, 5)
        torch.testing.assert_close(y.float(), layer(x), rtol=2e-2, atol=2e-2)
        upper = torch.randn(rows, 5)
        mine, theirs = (
            torch.autograd.grad((out.float() * upper).sum(), [x, *layer.parameters()])
            for out in (y, layer(x))
        )
        for got, wanted in zip(mine, theirs, strict=True):
            torch.testing.assert_close(got, wanted, rtol=5e-2, atol=5e-2)

    def step(rows):
        layer(torch.randn(rows, 8, requires_grad=True).bfloat16()).float().sum().backward()

    assert products_of(lambda: step(33)) == products_of(lambda: step(34))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("rows", [33, 67, 100])
def test_filled_rows_add_nothing_to_a_loss(monkeypatch, rows, smoothing):
    monkeypatch.setattr("minibert.kernels.cross_entropy.CHUNK_BYTES", 4 * 11 * 37)  # 37 rows at once
    hidden, weight, bias = torch.randn(rows, 8), torch.randn(11, 8), torch.randn(11)
    labels = torch.randint(11, (rows,))
    inputs = [hidden.bfloat16(), weight.bfloat16().float(), bias.bfloat16().float()]

    def gradients(*values):
        values = [value.detach().requires_grad_() for value in values]
        loss = linear_cross_entropy(*values, labels, smoothing=smoothing)
        return loss, torch.autograd.grad(loss, values)

    loss, mine = gradients(*inputs)
    exact, theirs = gradients(*(value.double() for value in inputs))
    assert loss.item() == pytest.approx(exact.item(), rel=1e-2)
    for got, wanted in zip(mine, theirs, strict=True):
        assert got.shape == wanted.shape
        torch.testing.assert_close(got.double(), wanted, rtol=5e-2, atol=5e-2)
    with torch.no_grad():
        again = linear_cross_entropy(*inputs, labels, smoothing=smoothing)
    assert again.item() == pytest.approx(exact.item(), rel=1e-2)


def test_a_loss_multiplies_round_matrices():
    weight, bias = torch.randn(11, 8, requires_grad=True), torch.zeros(11, requires_grad=True)

    def step(rows):
        hidden = torch.randn(rows, 8).bfloat16().requires_grad_()
        linear_cross_entropy(hidden, weight, bias, torch.zeros(rows, dtype=torch.int64)).backward()

    assert products_of(lambda: step(33)) == products_of(lambda: step(34))
