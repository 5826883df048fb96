"""The Triton kernels in the interpreter, against loops in float64: what is proved without a GPU."""

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="triton is not installed (it is made for Linux)")

import triton_interpreter
from fused_cases import NO_SEED, PLAIN, TOLERANCE, assert_near, draw, poison, side, truth

from minibert.kernels.attention.fused import launch, operators
from minibert.kernels.attention.fused.draws import kept_weights
from minibert.kernels.attention.fused.launch import Rules
from minibert.kernels.attention.fused.table import Blocks, find

triton_interpreter.repair()
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")  # numbers from beyond the end, mostly

LENGTHS = [5, 33, 0, 1, 70]
MEMORY = [34, 3, 4, 0, 65]
HEADS, SIZE = 2, 13
SMALL = Blocks(rows=32, columns=16, warps=4, stages=1)
SEEN = [(-1, False), (-1, True), (0, False), (8, False), (8, True), (40, False), (1000, True)]


def places(*lengths: list[int]) -> list[Tensor]:
    """Return what an operator has to know of both sides: their borders, then their tiles."""
    sides = [side(counts, find("forward", SIZE, torch.float32, "sm_90").rows) for counts in lengths]
    return [*(one.borders for one in sides), *(one.tiles for one in sides)]


def run(inputs: list[Tensor], lengths, memory, rules: Rules, blocks: Blocks = SMALL) -> list[Tensor]:
    """Return output, dq, dk, dv; every number that a kernel should write is NaN before."""
    q, k, v, grad = inputs
    both = (side(lengths, blocks.rows), side(memory, blocks.rows))
    output, lse = launch.forward(q, k, v, both, seed=NO_SEED, rules=rules, blocks=blocks)
    into = tuple(torch.full_like(x, torch.nan) for x in (q, k, v))
    launch.backward(
        grad, (q, k, v), (output, lse), both, seed=NO_SEED, into=into, rules=rules, blocks=(blocks, blocks)
    )
    return [output, *into]


@pytest.fixture(autouse=True)
def poisoned_memory(monkeypatch):
    poison(monkeypatch)


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize(("window", "causal"), SEEN)
def test_values_and_gradients_are_those_of_the_loops(window, causal, dtype):
    rules = Rules(window, causal, 0.0)
    inputs = draw(LENGTHS, LENGTHS, dtype, HEADS, SIZE)
    found = run(inputs, LENGTHS, LENGTHS, rules)
    assert_near(found, truth(inputs, LENGTHS, None, rules), TOLERANCE[dtype])


@pytest.mark.parametrize("window", [-1, 8])
def test_cross_attention_is_that_of_the_loops_and_an_empty_memory_says_nothing(window):
    rules = Rules(window, False, 0.0)
    inputs = draw(LENGTHS, MEMORY, torch.float32, HEADS, SIZE)
    found = run(inputs, LENGTHS, MEMORY, rules)
    assert_near(found, truth(inputs, LENGTHS, MEMORY, rules), 2e-6)
    assert (found[0][38] == 0).all()  # the sequence of one token, whose memory is empty


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("size", [16, 64, 96, 128])
def test_every_head_size_in_its_own_blocks(size, dtype):
    lengths = [65, 3]
    inputs = draw(lengths, lengths, dtype, HEADS, size)
    rules = PLAIN
    found = run(inputs, lengths, lengths, rules, find("forward", size, dtype, "sm_90"))
    assert_near(found, truth(inputs, lengths, None, rules), TOLERANCE[dtype])


@pytest.mark.parametrize("blocks", [Blocks(16, 64, 4, 1), Blocks(64, 16, 4, 1), Blocks(16, 16, 4, 2)])
@pytest.mark.parametrize(("window", "causal"), [(-1, False), (8, True)])
def test_the_blocks_do_not_change_the_result(blocks, window, causal):
    rules = Rules(window, causal, 0.0)
    inputs = draw(LENGTHS, LENGTHS, torch.float32, HEADS, SIZE)
    assert_near(run(inputs, LENGTHS, LENGTHS, rules, blocks), truth(inputs, LENGTHS, None, rules), 2e-6)


def test_scores_far_below_zero_overflow_nowhere():
    q, k, v, grad = draw([33], [33], torch.float32, HEADS, SIZE)
    inputs = [q.abs() * 40, k.abs() * -40, v, grad]  # every score is some thousands below zero
    rules = PLAIN
    with np.errstate(all="ignore"):  # the weights of keys beyond the end overflow, and must not be felt
        found = run(inputs, [33], [33], rules)
    assert_near(found, truth(inputs, [33], None, rules), 1e-3)


def test_lse_is_the_logarithm_of_the_sum_to_the_base_two():
    q, k, v, _ = draw([7], [7], torch.float32, HEADS, SIZE)
    both = (side([7], SMALL.rows),) * 2
    _, lse = launch.forward(q, k, v, both, seed=NO_SEED, rules=PLAIN, blocks=SMALL)
    scores = torch.einsum("qhk,shk->hqs", q.double(), k.double()) / SIZE**0.5
    torch.testing.assert_close(lse.double(), scores.logsumexp(-1) / np.log(2), rtol=1e-5, atol=1e-5)


def test_dropout_is_the_mask_that_torch_computes_forward_and_backward():
    dropout, lengths, seed = 0.4, [5, 33], torch.tensor([2**40 + 77])
    q, k, v, grad = (x.requires_grad_() for x in draw(lengths, lengths, torch.float64, HEADS, SIZE))
    outputs = []
    for start, stop in zip(*[np.cumsum([0, *lengths])[i:][:2] for i in (0, 1)], strict=True):
        rows, columns = torch.arange(start, stop), torch.arange(stop - start)
        keep = torch.stack([kept_weights(int(seed), head, rows, columns, dropout) for head in range(HEADS)])
        scores = torch.einsum("qhk,shk->hqs", q[start:stop], k[start:stop]) / SIZE**0.5
        outputs.append(torch.einsum("hqs,shk->qhk", scores.softmax(-1) * keep / (1 - dropout), v[start:stop]))
    wanted = torch.cat(outputs)
    wanted_gradients = torch.autograd.grad(wanted, (q, k, v), grad)
    leaves = [x.detach().float().requires_grad_() for x in (q, k, v)]
    found, _ = operators.attention(*leaves, *places(lengths, lengths), seed, -1, False, dropout)
    gradients = torch.autograd.grad(found, leaves, grad.detach().float())
    assert_near([found, *gradients], [wanted, *wanted_gradients], 3e-6)


def test_dropout_keeps_its_share_and_depends_on_everything_it_should():
    rows, columns = torch.arange(1000), torch.arange(500)
    keep = kept_weights(5, 1, rows, columns, 0.3)
    error = (0.3 * 0.7 / keep.numel()) ** 0.5
    assert abs(keep.double().mean() - 0.7) < 5 * error
    for by_row in (keep, keep.T):  # no row and no column is favoured
        shares = by_row.double().mean(1)
        assert (shares - 0.7).abs().max() < 6 * (0.21 / by_row.shape[1]) ** 0.5
    for other in (kept_weights(6, 1, rows, columns, 0.3), kept_weights(5, 2, rows, columns, 0.3)):
        agree = (other == keep).double().mean()
        assert abs(agree - (0.49 + 0.09)) < 0.01
    neighbours = (keep[1:] == keep[:-1]).double().mean()
    assert abs(neighbours - 0.58) < 0.01


def test_the_packed_operator_is_the_other_one_without_copies():
    lengths = [5, 33, 0, 1]
    q, k, v, grad = draw(lengths, lengths, torch.float32, HEADS, SIZE)
    qkv = torch.stack([q, k, v], 1).requires_grad_()
    packed, *_ = operators.packed_attention(qkv, *places(lengths), NO_SEED, None, None, 0, -1, False, 0.0)
    (gradient,) = torch.autograd.grad(packed, qkv, grad)
    wanted = truth([q, k, v, grad], lengths, None, PLAIN)
    assert_near([packed, *gradient.unbind(1)], wanted, 3e-6)
