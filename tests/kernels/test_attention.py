"""Every implementation of attention against loops in float64: values, gradients, dropout, borders."""

import importlib
import math

import numpy as np
import pytest
import torch
from attention_oracle import loop_attention
from torch import Tensor

from minibert.errors import InputError
from minibert.kernels.attention import attend, attend_packed
from minibert.kernels.rotary import rotary_angles, rotate
from minibert.model.attention import MultiHeadAttention
from minibert.packed import Layout

BACKENDS = ("cpu", "sdpa", "reference")
CROSS = ("sdpa", "reference")
LENGTHS = [7, 1, 0, 13, 7, 23]
HEADS, SIZE = 3, 5
SEEN = [
    (None, False),
    (None, True),
    (2, False),
    (0, False),
    (3, True),
    (21, False),
    (22, False),
    (100, False),
]


def draw(lengths: list[int], memory: list[int] | None = None, seed: int = 3) -> list[Tensor]:
    """Return q, k, v and an output gradient in float64."""
    generator = torch.Generator().manual_seed(seed)
    queries, keys = sum(lengths), sum(memory or lengths)
    sizes = [queries, keys, keys, queries]
    return [torch.randn(size, HEADS, SIZE, generator=generator, dtype=torch.float64) for size in sizes]


def results(function, q: Tensor, k: Tensor, v: Tensor, grad: Tensor) -> list[Tensor]:
    """Return the output and the three gradients in float64."""
    leaves = [x.detach().clone().requires_grad_() for x in (q, k, v)]
    output = function(*leaves)
    gradients = torch.autograd.grad(output, leaves, grad)
    return [x.detach().double() for x in (output, *gradients)]


def expected(q: Tensor, k: Tensor, v: Tensor, grad: Tensor, **how) -> list[Tensor]:
    return [torch.from_numpy(x) for x in loop_attention(*(np.asarray(x) for x in (q, k, v, grad)), **how)]


def distance(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm().clamp(min=1e-30))


@pytest.mark.parametrize(("window", "causal"), SEEN)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("backend", BACKENDS)
def test_values_and_gradients_are_those_of_the_loops(backend, dtype, window, causal):
    inputs = draw(LENGTHS)
    wanted = expected(*inputs, lengths=LENGTHS, window=window, causal=causal)
    layout = Layout.of(LENGTHS)
    found = results(
        lambda q, k, v: attend(q, k, v, layout, window=window, causal=causal, backend=backend),
        *(x.to(dtype) for x in inputs),
    )
    tolerance = 1e-13 if dtype == torch.float64 else 2e-6
    for name, mine, truth in zip("output dq dk dv".split(), found, wanted, strict=True):
        if truth.norm() < 1e-12:  # under window 0 the scores do not matter
            assert mine.norm() < 1e-5, name
        else:
            assert distance(mine, truth) < tolerance, name


@pytest.mark.parametrize(("window", "causal"), SEEN)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("backend", BACKENDS)
def test_without_gradients_the_values_are_those_of_the_loops(backend, dtype, window, causal):
    q, k, v, grad = draw(LENGTHS)
    wanted = expected(q, k, v, grad, lengths=LENGTHS, window=window, causal=causal)[0]
    found = attend(
        *(x.to(dtype) for x in (q, k, v)), Layout.of(LENGTHS), window=window, causal=causal, backend=backend
    )
    assert distance(found, wanted) < {torch.float64: 1e-13, torch.float32: 2e-6, torch.bfloat16: 0.02}[dtype]


@pytest.mark.parametrize("lengths", [LENGTHS, [1], [5, 5, 5], [1, 1], [2, 17, 3, 17, 31]])
@pytest.mark.parametrize("turned", [False, True])
def test_without_gradients_nothing_that_came_in_is_changed(turned, lengths):
    layout = Layout.of(lengths)
    qkv = torch.randn(layout.tokens, 3, 1, 6, dtype=torch.float64)
    angles = rotary_angles(layout.positions, 6, 100.0) if turned else None
    with_gradient = results_of_one(lambda x: attend_packed(x, layout, angles, backend="cpu"), qkv, qkv[:, 0])
    before = qkv.clone()
    found = attend_packed(qkv, layout, angles, backend="cpu")
    assert torch.equal(qkv, before)
    torch.testing.assert_close(found, with_gradient[0], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("lengths", [[1], [0, 1, 0], [5], [11, 11], [0, 7], [2, 3, 17, 29, 31]])
@pytest.mark.parametrize("backend", BACKENDS)
def test_odd_batches_are_those_of_the_loops(backend, lengths):
    inputs = draw(lengths)
    wanted = expected(*inputs, lengths=lengths)
    layout = Layout.of(lengths)
    found = results(lambda q, k, v: attend(q, k, v, layout, backend=backend), *inputs)
    for mine, truth in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, truth, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("lengths", [LENGTHS, [1], [5, 5, 5], [2, 17, 3, 17, 31], [0, 4]])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("backend", BACKENDS)
def test_attention_over_packed_qkv_is_attention_over_its_parts(backend, window, turned, lengths):
    size, layout = 6, Layout.of(lengths)
    qkv = torch.randn(layout.tokens, 3, HEADS, size, dtype=torch.float64)
    grad = torch.randn(layout.tokens, HEADS, size, dtype=torch.float64)
    angles = rotary_angles(layout.positions, size, 100.0) if turned else None

    def by_parts(qkv_T3HK: Tensor) -> Tensor:
        q, k, v = qkv_T3HK.unbind(1)
        if angles is not None:
            q, k = rotate(q, angles), rotate(k, angles)
        return attend(q, k, v, layout, window=window, backend="reference")

    def packed(qkv_T3HK: Tensor) -> Tensor:
        return attend_packed(qkv_T3HK, layout, angles, window=window, backend=backend)

    (mine, truth), (my_slope, slope) = zip(
        *(results_of_one(function, qkv, grad) for function in (packed, by_parts)), strict=True
    )
    torch.testing.assert_close(mine, truth, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(my_slope, slope, rtol=1e-12, atol=1e-13)


def results_of_one(function, x: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """Return the output and the gradient of x; x itself must be left as it was."""
    leaf = x.clone().requires_grad_()
    output = function(leaf)
    (slope,) = torch.autograd.grad(output, leaf, grad)
    assert torch.equal(leaf, x)
    return output.detach(), slope


@pytest.fixture
def small_blocks(monkeypatch):
    """Let rectangles of 11 places be wide ones, of which a block holds a few heads or a few queries."""
    module = importlib.import_module("minibert.kernels.attention.rules")
    for name, value in {"WHOLE": 10, "SCORES": 1000, "BAND": 4}.items():
        monkeypatch.setattr(module, name, value)
    return module


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("window", "causal"), SEEN)
def test_wide_rectangles_go_block_by_block_to_the_same_result(small_blocks, window, causal, dtype):
    assert len(small_blocks.Rules(window, causal, 0.0).blocks(9, 23)) > 1
    inputs = draw(LENGTHS)
    wanted = expected(*inputs, lengths=LENGTHS, window=window, causal=causal)
    layout = Layout.of(LENGTHS)
    found = results(
        lambda q, k, v: attend(q, k, v, layout, window=window, causal=causal, backend="cpu"),
        *(x.to(dtype) for x in inputs),
    )
    for mine, truth in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, truth, rtol=0, atol=1e-13 if dtype == torch.float64 else 2e-5)


@pytest.mark.parametrize("window", [None, 1])
def test_the_gradient_of_blocks_under_dropout_is_the_slope_of_the_same_draw(small_blocks, window):
    layout = Layout.of([13, 12, 5])

    def same_draw(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        torch.manual_seed(5)
        return attend(q, k, v, layout, window=window, dropout=0.5, backend="cpu")

    leaves = [x.requires_grad_() for x in draw([13, 12, 5])[:3]]
    assert torch.autograd.gradcheck(same_draw, leaves, fast_mode=True)


@pytest.mark.parametrize(
    ("width", "window", "causal"), [(23, None, False), (23, 3, False), (23, 3, True), (9, 2, False)]
)
def test_blocks_cover_every_pair_that_may_be_seen_once(small_blocks, width, window, causal):
    seen = np.zeros((5, width, width), int)
    for block in small_blocks.Rules(window, causal, 0.0).blocks(5, width):
        seen[block.heads, block.queries, block.keys] += 1
    apart = np.arange(width) - np.arange(width)[:, None]
    wanted = (np.abs(apart) <= (width if window is None else window)) & ((apart <= 0) | (not causal))
    assert (seen[:, wanted] == 1).all()
    assert seen.max() == 1
    if window is not None and width > 4 * window:
        assert seen.mean() < 0.8


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_batch_without_tokens_gives_no_rows(backend, lengths):
    empty = torch.zeros(0, HEADS, SIZE)
    assert attend(empty, empty, empty, Layout.of(lengths), backend=backend).shape == (0, HEADS, SIZE)
    qkv, shape = torch.zeros(0, 3, HEADS, SIZE), (0, HEADS, SIZE)
    assert attend_packed(qkv, Layout.of(lengths), backend=backend).shape == shape


@pytest.mark.parametrize("memory", [[5, 3, 2, 11, 7, 1], [13, 1, 0, 2, 3, 5], [4] * 6])
@pytest.mark.parametrize("backend", CROSS)
def test_cross_attention_is_that_of_the_loops(backend, memory):
    inputs = draw(LENGTHS, memory)
    wanted = expected(*inputs, lengths=LENGTHS, memory=memory)
    layouts = Layout.of(LENGTHS), Layout.of(memory)
    found = results(lambda q, k, v: attend(q, k, v, *layouts, backend=backend), *inputs)
    for mine, truth in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, truth, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("backend", CROSS)
def test_a_query_whose_memory_is_empty_hears_nothing(backend):
    q, k, v, grad = draw([3, 2], [0, 4])
    layouts = Layout.of([3, 2]), Layout.of([0, 4])
    output, *gradients = results(lambda q, k, v: attend(q, k, v, *layouts, backend=backend), q, k, v, grad)
    assert (output[:3] == 0).all()
    assert (gradients[0][:3] == 0).all()
    assert all(x.isfinite().all() for x in (output, *gradients))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("window", "causal"), [(None, False), (4, False), (None, True)])
def test_bfloat16_is_at_most_twice_as_far_off_as_plain_pytorch(backend, window, causal):
    lengths = [31, 17, 29]
    halves = [x.bfloat16() for x in draw(lengths)]
    truth = expected(*(x.double() for x in halves), lengths=lengths, window=window, causal=causal)
    layout = Layout.of(lengths)

    def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        outputs = []
        for q1, k1, v1 in zip(*(x.split(lengths) for x in (q, k, v)), strict=True):
            places = torch.arange(len(q1))
            apart = places - places[:, None]
            blocked = (apart.abs() > (window if window is not None else 10**6)) | (causal & (apart > 0))
            scores = q1.transpose(0, 1) @ k1.permute(1, 2, 0) / math.sqrt(SIZE)
            weights = scores.masked_fill(blocked, -math.inf).softmax(-1)
            outputs.append((weights @ v1.transpose(0, 1)).transpose(0, 1))
        return torch.cat(outputs)

    theirs = results(plain, *halves)
    mine = results(
        lambda q, k, v: attend(q, k, v, layout, window=window, causal=causal, backend=backend), *halves
    )
    for name, a, b, wanted in zip("output dq dk dv".split(), mine, theirs, truth, strict=True):
        assert distance(a, wanted) <= 2 * distance(b, wanted), name
        assert distance(a, wanted) < 0.03, name


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("window", "causal"), [(None, False), (2, False), (None, True)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_packed_neighbours_do_not_change_a_sentence_forward_or_backward(backend, window, causal, dtype):
    inputs = [x.to(dtype) for x in draw(LENGTHS)]

    def run(lengths: list[int], *parts: Tensor) -> list[Tensor]:
        layout = Layout.of(lengths)
        return results(
            lambda q, k, v: attend(q, k, v, layout, window=window, causal=causal, backend=backend), *parts
        )

    among = [x.split(LENGTHS) for x in run(LENGTHS, *inputs)]
    alone_inputs = [x.split(LENGTHS) for x in inputs]
    for number, length in enumerate(LENGTHS):
        alone = run([length], *(x[number] for x in alone_inputs)) if length else []
        for mine, others in zip(alone, among, strict=False):
            tolerance = 1e-13 if dtype == torch.float64 else 2e-6
            torch.testing.assert_close(mine, others[number], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_gradient_between_two_documents_is_exactly_zero(backend, dtype, dropout):
    q, k, v, grad = (x.to(dtype) for x in draw(LENGTHS))
    layout = Layout.of(LENGTHS)
    document = 3
    outside = layout.sequence_T != document
    grad[outside] = 0
    output, *gradients = results(
        lambda q, k, v: attend(q, k, v, layout, dropout=dropout, backend=backend), q, k, v, grad
    )
    assert output.isfinite().all()
    for gradient in gradients:
        assert (gradient[outside] == 0).all()
        assert (gradient[~outside] != 0).any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("backend", BACKENDS)
def test_dropout_happens_in_training_and_never_in_evaluation(backend, dropout, dtype):
    layer = MultiHeadAttention(HEADS * SIZE, HEADS, dropout=dropout)
    quiet = MultiHeadAttention(HEADS * SIZE, HEADS)
    quiet.load_state_dict(layer.state_dict())
    layer.backend = quiet.backend = backend
    layout = Layout.of(LENGTHS)
    hidden = torch.randn(layout.tokens, HEADS * SIZE, dtype=dtype)
    without = quiet(hidden, layout)
    assert without.dtype == dtype
    assert torch.equal(layer.eval()(hidden, layout), without)
    assert torch.equal(layer.train()(hidden, layout), without) == (dropout == 0)


@pytest.mark.parametrize(("window", "causal"), [(None, False), (1, False), (None, True)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_mean_over_many_draws_of_dropout_is_the_output_without(backend, window, causal):
    copies, length = 60 if backend == "reference" else 2000, 3
    q, k, v, _ = (x.repeat(copies, 1, 1).float() for x in draw([length]))
    layout = Layout.of([length] * copies)
    shape = (copies, length, HEADS, SIZE)
    how = {"window": window, "causal": causal, "backend": backend}
    dropped = attend(q, k, v, layout, dropout=0.3, **how).view(shape)
    without = attend(q, k, v, layout, **how).view(shape)[0]
    error = dropped.std(0) / math.sqrt(copies)
    assert ((dropped.mean(0) - without).abs() < 5 * error).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_dropout_drops_whole_weights_and_doubles_the_others(backend):
    count = 101 if backend == "reference" else 997
    q, k, v, grad = draw([1] * count)
    layout = Layout.of([1] * count)
    output, _, _, dv = results(
        lambda q, k, v: attend(q, k, v, layout, dropout=0.5, backend=backend), q, k, v, grad
    )
    kept = (output != 0).all(-1, keepdim=True)
    torch.testing.assert_close(output, torch.where(kept, 2 * v, 0.0))
    torch.testing.assert_close(dv, torch.where(kept, 2 * grad, 0.0))
    assert 0.4 < kept.double().mean() < 0.6


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_gradient_under_dropout_is_the_slope_of_the_same_draw(backend):
    lengths = [3, 1, 2]
    layout = Layout.of(lengths)

    def same_draw(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        torch.manual_seed(5)
        return attend(q, k, v, layout, dropout=0.5, backend=backend)

    leaves = [x.requires_grad_() for x in draw(lengths)[:3]]
    assert torch.autograd.gradcheck(same_draw, leaves, fast_mode=True)


@pytest.mark.parametrize("backend", ["auto", "cpu", "reference"])
def test_rows_that_no_layout_knows_are_refused(backend):
    """What stood in the memory before came back for them."""
    layout = Layout.of([2, 1])
    long, right = torch.randn(5, 2, 4), torch.randn(3, 2, 4)
    with pytest.raises(InputError, match="q has 5 rows, and its layout 3 tokens"):
        attend(long, long, long, layout, backend=backend)
    with pytest.raises(InputError, match="v has 5 rows, and its layout 3 tokens"):
        attend(right, right, long, layout, backend=backend)
    with pytest.raises(InputError, match="k has 3 rows, and its layout 5 tokens"):
        attend(right, right, right, layout, Layout.of([4, 1]), backend=backend)
    with pytest.raises(InputError, match="qkv has 5 rows, and its layout 3 tokens"):
        attend_packed(torch.randn(5, 3, 2, 4), layout, backend=backend)
