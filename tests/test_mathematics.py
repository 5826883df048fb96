"""The lines of docs/the-mathematics.md compute what PyTorch's derivatives and optimisers compute.

The functions are taken out of the page itself. Everything is in float64, over random numbers, and each
dimension has a prime of its own.
"""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

PAGE = Path(__file__).resolve().parent.parent / "docs" / "the-mathematics.md"
EQUATION = re.compile(r"^\((\d+)\)  ", re.MULTILINE)


@pytest.fixture(scope="module")
def page() -> dict:
    """Return what the Python of the page defines."""
    names: dict = {}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    return names


def numbers(seed: int, *shape: int, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(shape, generator=generator, dtype=torch.float64)


def slope(function, *tensors: torch.Tensor) -> list[np.ndarray]:
    """Return the derivative of the sum of a function in each of its arguments."""
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    function(*leaves).sum().backward()
    return [leaf.grad.numpy() for leaf in leaves]


def test_every_equation_has_a_number_and_a_test():
    found = [int(number) for number in EQUATION.findall(PAGE.read_text("utf-8"))]
    assert found == list(range(1, 17))
    tested = re.findall(r"^def test_[a-z_]*?((?:_\d+)+)\b", Path(__file__).read_text("utf-8"), re.MULTILINE)
    assert {int(number) for group in tested for number in group.strip("_").split("_")} == set(found)


def test_the_mean_over_all_batches_is_the_whole_gradient_1_2():
    x, y, w = numbers(0, 7, 3), numbers(1, 7), numbers(2, 3)

    def risk(rows):
        (gradient,) = slope(lambda w: ((x[rows] @ w - y[rows]) ** 2).mean(), w)
        return gradient

    each = np.mean([risk([row]) for row in range(7)], axis=0)
    batches = np.mean([risk(list(rows)) for rows in itertools.combinations(range(7), 3)], axis=0)
    assert risk(list(range(7))) == pytest.approx(each, abs=1e-12)
    assert batches == pytest.approx(each, abs=1e-12)


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_binary_cross_entropy_is_the_likelihood_of_a_coin_3_4_5(page, scale):
    z = numbers(3, 31, scale=scale)
    y = (numbers(4, 31) > 0).double()
    loss = functional.binary_cross_entropy_with_logits
    assert page["binary_cross_entropy"](z.numpy(), y.numpy()) == pytest.approx(
        loss(z, y, reduction="none").numpy()
    )
    (wanted,) = slope(lambda z: loss(z, y, reduction="none"), z)
    assert page["binary_cross_entropy_slope"](z.numpy(), y.numpy()) == pytest.approx(wanted, abs=1e-12)
    assert page["sigmoid"](z.numpy()) == pytest.approx(torch.sigmoid(z).numpy(), abs=1e-15)
    p = page["sigmoid"](z.numpy())
    (rise,) = slope(torch.sigmoid, z)
    assert p * (1 - p) == pytest.approx(rise, abs=1e-12)
    if scale == 1.0:
        likelihood = p ** y.numpy() * (1 - p) ** (1 - y.numpy())
        assert page["binary_cross_entropy"](z.numpy(), y.numpy()) == pytest.approx(-np.log(likelihood))
        in_two_steps = (-y.numpy() / p + (1 - y.numpy()) / (1 - p)) * p * (1 - p)
        assert in_two_steps == pytest.approx(wanted)


def test_the_way_over_the_probability_breaks_where_the_logits_do_not_5(page):
    with np.errstate(divide="ignore"):
        assert np.isinf(1 / (1 - page["sigmoid"](np.array(40.0))))
    assert page["binary_cross_entropy_slope"](np.array(40.0), 0.0) == 1.0
    assert page["binary_cross_entropy"](np.array(-800.0), 1.0) == 800.0


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_softmax_and_its_cross_entropy_6_7_8(page, scale):
    z, y = numbers(5, 11, 5, scale=scale), torch.arange(11) % 5
    assert page["softmax"](z.numpy()) == pytest.approx(z.softmax(-1).numpy(), abs=1e-14)
    loss = functional.cross_entropy(z, y, reduction="none").numpy()
    assert page["cross_entropy"](z.numpy(), y.numpy()) == pytest.approx(loss)
    (wanted,) = slope(lambda z: functional.cross_entropy(z, y, reduction="none"), z)
    assert page["cross_entropy_slope"](z.numpy(), y.numpy()) == pytest.approx(wanted, abs=1e-12)
    jacobian = torch.autograd.functional.jacobian(lambda row: row.softmax(-1), z[0]).numpy()
    p = page["softmax"](z[0].numpy())
    assert p[:, None] * (np.eye(5) - p[None, :]) == pytest.approx(jacobian, abs=1e-12)
    assert page["softmax"](z.numpy() + 1e3) == pytest.approx(page["softmax"](z.numpy()), abs=1e-9)


def test_sgd_with_decay_descends_on_the_loss_and_a_penalty_9(page):
    w = numbers(6, 13).requires_grad_()
    optimizer = torch.optim.SGD([w], lr=0.1, weight_decay=0.3)
    ours = w.detach().numpy().copy()
    for step in range(5):
        penalized = w.detach().clone().requires_grad_()
        (torch.sin(penalized).sum() + 0.3 / 2 * (penalized**2).sum()).backward()
        descended = (penalized - 0.1 * penalized.grad).detach().numpy()
        ours = page["sgd"](ours, np.cos(ours), 0.1, 0.3)
        optimizer.zero_grad()
        torch.sin(w).sum().backward()
        optimizer.step()
        assert ours == pytest.approx(w.detach().numpy(), abs=1e-12), step
        assert ours == pytest.approx(descended, abs=1e-12), step


def test_adamw_with_its_correction_10(page):
    w = numbers(7, 17).requires_grad_()
    optimizer = torch.optim.AdamW([w], lr=0.05, weight_decay=0.2, betas=(0.9, 0.999), eps=1e-8)
    ours, m, v = w.detach().numpy().copy(), np.zeros(17), np.zeros(17)
    for t in range(1, 31):
        gradient = np.cos(ours * t)
        ours, m, v = page["adamw"](ours, gradient, m, v, t, 0.05, 0.2)
        w.grad = torch.cos(w.detach() * t)
        optimizer.step()
        assert ours == pytest.approx(w.detach().numpy(), abs=1e-10), t


def test_running_means_fall_short_by_the_geometric_sum_11():
    random = np.random.default_rng(8)
    b1, steps = 0.9, 6
    g = random.standard_normal(steps)
    m = 0.0
    for value in g:
        m = b1 * m + (1 - b1) * value
    unrolled = (1 - b1) * sum(b1 ** (steps - k) * g[k - 1] for k in range(1, steps + 1))
    assert m == pytest.approx(unrolled)
    constant = (1 - b1) * sum(b1 ** (steps - k) * 3.0 for k in range(1, steps + 1))
    assert constant == pytest.approx(3.0 * (1 - b1**steps))
    many = random.normal(3.0, 1.0, (200_000, steps))
    mean = (many @ [(1 - b1) * b1 ** (steps - k) for k in range(1, steps + 1)]).mean()
    assert mean / (1 - b1**steps) == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize("longest", [0.5, 100.0])
def test_a_clipped_gradient_keeps_its_direction_12(page, longest):
    w = numbers(9, 19).requires_grad_()
    w.grad = numbers(10, 19)
    before = w.grad.numpy().copy()
    nn.utils.clip_grad_norm_([w], longest)
    assert page["clip"](before, longest) == pytest.approx(w.grad.numpy(), rel=1e-5)


def test_layer_norm_forwards_and_backwards_13_14(page):
    x, a, b, to_y = numbers(11, 3, 23), numbers(12, 23), numbers(13, 23), numbers(14, 3, 23)

    def norm(x):
        return functional.layer_norm(x, (23,), a, b, eps=1e-12)

    assert page["layer_norm"](*(t.numpy() for t in (x, a, b))) == pytest.approx(norm(x).numpy())
    (wanted,) = slope(lambda x: norm(x) * to_y, x)
    ours = page["layer_norm_slope"](x.numpy(), a.numpy(), to_y.numpy())
    assert ours == pytest.approx(wanted, abs=1e-12)
    centred = x.numpy() - x.numpy().mean(-1, keepdims=True)
    assert ours.sum(-1) == pytest.approx(0, abs=1e-12)
    assert (ours * centred).sum(-1) == pytest.approx(0, abs=1e-9)


def test_attention_forwards_and_backwards_15_16(page):
    q, k, v, to_o = numbers(15, 7, 5), numbers(16, 7, 5), numbers(17, 7, 5), numbers(18, 7, 5)

    def attend(q, k, v):
        return functional.scaled_dot_product_attention(q[None, None], k[None, None], v[None, None])[0, 0]

    arrays = [tensor.numpy() for tensor in (q, k, v)]
    assert page["attend"](*arrays) == pytest.approx(attend(q, k, v).numpy())
    wanted = slope(lambda *parts: attend(*parts) * to_o, q, k, v)
    for ours, theirs in zip(page["attend_slopes"](*arrays, to_o.numpy()), wanted, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-12)
