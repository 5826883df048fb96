"""The one-tile kernels and rotary positions in the interpreter, against loops in float64."""

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="triton is not installed (it is made for Linux)")

import triton_interpreter
from fused_cases import (
    NO_SEED,
    PLAIN,
    TOLERANCE,
    assert_near,
    borders,
    draw,
    poison,
    side,
    truth,
    turned_truth,
)

from minibert.kernels.attention import attend_packed
from minibert.kernels.attention.fused import launch, operators
from minibert.kernels.attention.fused.launch import Rules
from minibert.kernels.attention.fused.table import Blocks, find
from minibert.kernels.attention.triton import triton_packed_attention
from minibert.kernels.rotary import rotary_angles
from minibert.packed import Layout

triton_interpreter.repair()
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

LENGTHS = [5, 33, 0, 1, 61]
HEADS, SIZE = 2, 14
SMALL = Blocks(rows=64, columns=32, warps=4, stages=1)
SEEN = [(-1, False), (-1, True), (0, False), (8, False), (40, True)]


@pytest.fixture(autouse=True)
def poisoned_memory(monkeypatch):
    poison(monkeypatch)


def turns(lengths: list[int]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return the angles (T, K/2), and their cosine and sine as the model makes them."""
    places = Layout.of(lengths).positions
    channels = torch.arange(SIZE // 2, dtype=torch.float64)
    return places[:, None] * 10.0 ** (-2 * channels / SIZE), rotary_angles(places, SIZE, 10.0)


def run(inputs: list[Tensor], lengths: list[int], rules: Rules, angles=None, blocks: Blocks = SMALL):
    """Return output, dq, dk, dv."""
    q, k, v, grad = inputs
    qkv, settings = torch.stack([q, k, v], 1), {"seed": NO_SEED, "rules": rules, "blocks": blocks}
    result = launch.whole_forward(qkv, borders(lengths), angles, **settings)
    gradient = launch.whole_backward(grad, qkv, result, borders(lengths), angles, **settings)
    return [result[0], *gradient.unbind(1)]


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize(("window", "causal"), SEEN)
def test_values_and_gradients_are_those_of_the_loops(window, causal, dtype):
    rules = Rules(window, causal, 0.0)
    inputs = draw(LENGTHS, LENGTHS, dtype, HEADS, SIZE)
    assert_near(run(inputs, LENGTHS, rules), truth(inputs, LENGTHS, None, rules), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("window", [-1, 8])
def test_queries_and_keys_are_turned_by_their_places_and_gradients_turned_back(window, dtype):
    rules = Rules(window, False, 0.0)
    inputs = draw(LENGTHS, LENGTHS, dtype, HEADS, SIZE)
    true_angles, angles = turns(LENGTHS)
    found = run(inputs, LENGTHS, rules, angles)
    assert_near(found, turned_truth(inputs, LENGTHS, rules, true_angles), TOLERANCE[dtype])


def test_lse_is_that_of_the_general_kernel():
    q, k, v, _ = draw(LENGTHS, LENGTHS, torch.float32, HEADS, SIZE)
    general = launch.forward(q, k, v, (side(LENGTHS, 64),) * 2, seed=NO_SEED, rules=PLAIN, blocks=SMALL)
    qkv = torch.stack([q, k, v], 1)
    whole = launch.whole_forward(qkv, borders(LENGTHS), None, seed=NO_SEED, rules=PLAIN, blocks=SMALL)
    torch.testing.assert_close(whole, general, rtol=1e-5, atol=1e-6)


def test_scores_far_below_zero_overflow_nowhere():
    q, k, v, grad = draw([33], [33], torch.float32, HEADS, SIZE)
    inputs = [q.abs() * 40, k.abs() * -40, v, grad]
    assert_near(run(inputs, [33], PLAIN), truth(inputs, [33], None, PLAIN), 1e-3)


def test_dropout_drops_the_same_weights_as_in_the_general_kernels():
    rules, seed = Rules(-1, False, 0.4), torch.tensor([2**40 + 77])
    q, k, v, grad = draw(LENGTHS, LENGTHS, torch.float32, HEADS, SIZE)
    qkv, cu = torch.stack([q, k, v], 1), borders(LENGTHS)
    result = launch.whole_forward(qkv, cu, None, seed=seed, rules=rules, blocks=SMALL)
    mine = launch.whole_backward(grad, qkv, result, cu, None, seed=seed, rules=rules, blocks=SMALL)
    leaf = qkv.clone().requires_grad_()
    tiles = side(LENGTHS, find("forward", SIZE, torch.float32, "sm_90").rows).tiles
    output, *_ = operators.packed_attention(leaf, cu, tiles, seed, None, None, 0, -1, False, 0.4)
    (wanted,) = torch.autograd.grad(output, leaf, grad)
    torch.testing.assert_close([result[0], mine], [output.detach(), wanted], rtol=1e-4, atol=1e-6)
    assert not torch.allclose(result[0], run([q, k, v, grad], LENGTHS, PLAIN)[0])


@pytest.mark.parametrize("with_angles", [False, True])
@pytest.mark.parametrize(
    ("dtype", "lengths"),
    [
        (torch.bfloat16, [3, 61, 0, 1]),  # one tile of 64
        (torch.bfloat16, [70, 3]),  # of 128
        (torch.float16, [131, 2]),  # of 256 forward; backward general, with angles turned again
        (torch.bfloat16, [257, 5]),  # general
        (torch.float32, [33, 5]),
    ],
)
def test_the_packed_way_is_right_whichever_kernels_it_takes(dtype, lengths, with_angles):
    inputs = draw(lengths, lengths, dtype, 1, SIZE)
    layout = Layout.of(lengths)
    true_angles, angles = turns(lengths)
    qkv = torch.stack(inputs[:3], 1).requires_grad_()
    output = triton_packed_attention(qkv, layout, angles if with_angles else None)
    (gradient,) = torch.autograd.grad(output, qkv, inputs[3])
    wanted = (
        turned_truth(inputs, lengths, PLAIN, true_angles)
        if with_angles
        else truth(inputs, lengths, None, PLAIN)
    )
    assert_near([output, *gradient.unbind(1)], wanted, TOLERANCE[dtype])


@pytest.mark.parametrize("window", [3, 8, 1000])
def test_the_packed_way_says_what_the_door_says(window):
    lengths = [5, 33, 0, 1]
    qkv = torch.stack(draw(lengths, lengths, torch.float32, HEADS, SIZE)[:3], 1)
    _, angles = turns(lengths)
    settings = {"window": window, "causal": True}
    mine = triton_packed_attention(qkv, Layout.of(lengths), angles, **settings)
    true = attend_packed(qkv, Layout.of(lengths), angles, backend="reference", **settings)
    torch.testing.assert_close(mine, true, rtol=1e-5, atol=1e-5)


def test_an_empty_batch_has_an_empty_answer_and_an_empty_gradient():
    qkv = torch.zeros(0, 3, HEADS, SIZE, requires_grad=True)
    output = triton_packed_attention(qkv, Layout.of([0, 0]))
    assert output.shape == (0, HEADS, SIZE)
    assert torch.autograd.grad(output.sum(), qkv)[0].shape == qkv.shape


def test_turning_back_undoes_turning():
    qkv = torch.stack(draw(LENGTHS, LENGTHS, torch.float32, HEADS, SIZE)[:3], 1)
    _, angles = turns(LENGTHS)
    turned = launch.turned(qkv, angles)
    again = qkv.clone()
    again[:, :2] = turned
    launch.turn_back(again, angles)
    assert not torch.allclose(turned, qkv[:, :2])
    torch.testing.assert_close(again, qkv, rtol=1e-5, atol=1e-6)
    assert torch.equal(again[:, 2], qkv[:, 2])


def test_a_query_that_is_turned_by_a_right_angle_is_what_one_writes_down_by_hand():
    qkv = torch.zeros(1, 3, 1, 4)
    qkv[0, 0, 0] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    turned = launch.turned(qkv, (torch.zeros(1, 1, 2), torch.ones(1, 1, 2)))
    assert np.array_equal(turned[0, 0, 0], [-3.0, -4.0, 1.0, 2.0])
