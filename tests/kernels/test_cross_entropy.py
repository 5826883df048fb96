"""The fused linear layer and loss against torch's own, in float64: value, gradients, chunks."""

from functools import partial

import pytest
import torch
from torch import Tensor

from minibert.kernels import cross_entropy
from minibert.kernels.cross_entropy import linear_cross_entropy, linear_log_p

M, D, V = 23, 7, 31


def draw(rows: int = M) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    hidden = torch.randn(rows, D, dtype=torch.float64)
    return hidden, torch.randn(V, D, dtype=torch.float64), torch.randn(V).double(), torch.randint(V, (rows,))


def plain(hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(hidden @ weight.T + bias, labels, reduction="sum")


def value_and_gradients(function, tensors, upstream: float = 1.0) -> list[Tensor]:
    *floats, labels = tensors
    leaves = [x.detach().clone().requires_grad_() for x in floats]
    loss = function(*leaves, labels)
    return [loss.detach(), *torch.autograd.grad(loss * upstream, leaves)]


@pytest.mark.parametrize("chunk", [1, 2, 5, M, 1000])
def test_value_and_gradients_are_torchs_whatever_the_chunk(monkeypatch, chunk):
    monkeypatch.setattr(cross_entropy, "CHUNK_BYTES", chunk * 4 * V)
    tensors = draw()
    for mine, theirs in zip(
        value_and_gradients(linear_cross_entropy, tensors), value_and_gradients(plain, tensors), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_a_chunk_holds_no_more_logits_than_it_may(monkeypatch):
    rows = []
    original = torch.addmm

    def spy(bias: Tensor, left: Tensor, right: Tensor) -> Tensor:
        rows.append(len(left))
        return original(bias, left, right)

    monkeypatch.setattr(cross_entropy, "CHUNK_BYTES", 5 * 4 * V)
    monkeypatch.setattr(torch, "addmm", spy)
    value_and_gradients(linear_cross_entropy, draw())
    assert rows == [5, 5, 5, 5, 3]


@pytest.mark.parametrize("upstream", [0.0, -3.0, 0.017])
def test_the_upstream_gradient_scales_all_gradients(upstream):
    tensors = draw()
    once = value_and_gradients(linear_cross_entropy, tensors)
    scaled = value_and_gradients(linear_cross_entropy, tensors, upstream)
    for plainly, mine in zip(once[1:], scaled[1:], strict=True):
        torch.testing.assert_close(mine, plainly * upstream)


def test_no_rows_give_no_loss_and_no_gradient():
    loss, *gradients = value_and_gradients(linear_cross_entropy, draw(0))
    assert loss == 0
    assert [tuple(x.shape) for x in gradients] == [(0, D), (V, D), (V,)]
    assert all((x == 0).all() for x in gradients)
    with torch.no_grad():
        assert linear_cross_entropy(*draw(0)) == 0


@pytest.mark.parametrize("chunk", [3, 1000])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_without_gradients_the_value_is_the_same(monkeypatch, dtype, chunk):
    monkeypatch.setattr(cross_entropy, "CHUNK_BYTES", chunk * 4 * V)
    hidden, weight, bias, labels = draw()
    tensors = hidden.to(dtype), weight.float(), bias.float(), labels
    if dtype == torch.float64:
        tensors = hidden, weight, bias, labels
    with torch.no_grad():
        quiet = linear_cross_entropy(*tensors)
    loud, *_ = value_and_gradients(linear_cross_entropy, tensors)
    assert quiet.dtype == loud.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(quiet, loud, rtol=1e-2 if dtype == torch.bfloat16 else 1e-5, atol=0)


def test_bfloat16_states_with_float32_weights_are_at_most_twice_as_far_off_as_plain_pytorch():
    hidden, weight, bias, labels = draw(499)
    hidden = hidden.bfloat16()
    truth = value_and_gradients(
        plain, (hidden.double(), weight.float().double(), bias.float().double(), labels)
    )
    tensors = hidden, weight.float(), bias.float(), labels

    def plain_bfloat16(h: Tensor, w: Tensor, b: Tensor, y: Tensor) -> Tensor:
        return plain(h, w.bfloat16(), b.bfloat16(), y)

    mine = value_and_gradients(linear_cross_entropy, tensors)
    theirs = value_and_gradients(plain_bfloat16, tensors)
    assert [x.dtype for x in mine] == [torch.float32, torch.bfloat16, torch.float32, torch.float32]
    for a, b, wanted in zip(mine, theirs, truth, strict=True):
        assert (a.double() - wanted).norm() <= 2 * (b.double() - wanted).norm() + 1e-6 * wanted.norm()


def test_huge_logits_do_not_overflow():
    hidden, weight, bias, labels = draw()
    loss, *gradients = value_and_gradients(linear_cross_entropy, (hidden * 1e4, weight, bias, labels))
    torch.testing.assert_close(loss, plain(hidden * 1e4, weight, bias, labels))
    assert all(x.isfinite().all() for x in gradients)


@pytest.mark.parametrize("chunk", [2, 1000])
@pytest.mark.parametrize("smoothing", [0.1, 0.7])
def test_label_smoothing_is_torchs_with_and_without_gradients(monkeypatch, smoothing, chunk):
    monkeypatch.setattr(cross_entropy, "CHUNK_BYTES", chunk * 4 * V)
    mine = partial(linear_cross_entropy, smoothing=smoothing)

    def theirs(hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
        logits = hidden @ weight.T + bias
        return torch.nn.functional.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)

    tensors = draw()
    pairs = zip(value_and_gradients(mine, tensors), value_and_gradients(theirs, tensors), strict=True)
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(mine(*tensors), theirs(*tensors), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_log_p_of_each_row_and_its_mean_are_torchs_with_gradients(monkeypatch, chunk):
    monkeypatch.setattr(cross_entropy, "CHUNK_BYTES", chunk * 4 * V)
    weights = torch.linspace(-1, 2, M).double()

    def mine(hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
        of_labels_M, mean_M = linear_log_p(hidden, weight, bias, labels)
        return (weights * of_labels_M.exp()).sum() + (weights.square() * mean_M).sum()

    def theirs(hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
        log_p_MV = (hidden @ weight.T + bias).log_softmax(1)
        of_labels_M = log_p_MV[torch.arange(M), labels]
        return (weights * of_labels_M.exp()).sum() + (weights.square() * log_p_MV.mean(1)).sum()

    tensors = draw()
    for one, other in zip(
        value_and_gradients(mine, tensors), value_and_gradients(theirs, tensors), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_log_p_keeps_no_logits_for_the_way_back(monkeypatch):
    """What is saved for the backward pass has no dimension of the vocabulary but the table and the bias."""
    monkeypatch.setattr(cross_entropy, "CHUNK_BYTES", 5 * 4 * V)
    hidden, weight, bias, labels = draw()
    leaves = [x.requires_grad_() for x in (hidden, weight, bias)]
    kept: list[tuple[int, ...]] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(tuple(x.shape)) or x, lambda x: x):
        of_labels_M, mean_M = linear_log_p(*leaves, labels)
    assert not [shape for shape in kept if len(shape) == 2 and shape[0] < V and shape[1] == V]
    (of_labels_M.sum() + mean_M.sum()).backward()
    assert torch.isfinite(hidden.grad).all()
