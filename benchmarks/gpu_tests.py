"""What only a GPU can show: the kernels as they really run, held to the equation in float64.

    python -m pytest -p gpu_report --report tests.json benchmarks/gpu_tests.py

`benchmarks/gpu_check.sh tests` does that. It lies outside of tests/, where all kernels are interpreted. On a
CPU (a dry run) the same tests go through Triton's interpreter with a few tokens; what needs CUDA is skipped.
"""

import pytest
import torch
from fused_cases import borders, side
from torch import Tensor

from minibert.kernels.attention.flex import flex_attention
from minibert.kernels.attention.fused import operators
from minibert.kernels.attention.fused.draws import kept_weights
from minibert.kernels.attention.fused.table import blocks_for
from minibert.kernels.attention.reference import reference_attention
from minibert.kernels.attention.triton import triton_attention, triton_packed_attention
from minibert.kernels.attention.varlen import varlen_attention, varlen_function
from minibert.kernels.rotary import rotary_angles, take_apart
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.packed import Layout, Packed

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
NEEDS_GPU = pytest.mark.skipif(not ON_GPU, reason="torch sees no CUDA GPU")
TOLERANCE = {torch.float32: 1e-5, torch.float16: 3e-3, torch.bfloat16: 2e-2}
BATCHES = {
    "64": [64, 1, 0, 33],
    "128": [128, 127, 65, 0, 3],
    "256": [200, 256, 1],
    "long": [1031, 257, 0, 512, 1],
}
if not ON_GPU:
    import triton_interpreter

    triton_interpreter.repair()
    BATCHES = {"64": [5, 1, 0], "long": [70, 3]}
SEEN = [(None, False), (None, True), (64, False), (17, True)]
HEADS = 3 if ON_GPU else 1


def draw(lengths: list[int], size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return qkv (T, 3, H, K) and the output's gradient."""
    generator = torch.Generator().manual_seed(7)
    shape = (sum(lengths), 4, HEADS, size)
    numbers = torch.randn(shape, generator=generator).to(DEVICE, dtype)
    return numbers[:, :3].contiguous().requires_grad_(), numbers[:, 3].contiguous()


def assert_as_in_float64(function, reference, qkv: Tensor, grad: Tensor) -> None:
    """Compare output and gradient, relative to the truth's norm."""
    output = function(qkv)
    (gradient,) = torch.autograd.grad(output, qkv, grad)
    leaf = qkv.detach().double().requires_grad_()
    true = reference(leaf)
    (true_gradient,) = torch.autograd.grad(true, leaf, grad.double())
    for name, mine, wanted in (("output", output, true), ("gradient", gradient, true_gradient)):
        assert mine.isfinite().all(), name
        assert (mine.double() - wanted).norm() <= TOLERANCE[qkv.dtype] * wanted.norm(), name


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize(("window", "causal"), SEEN)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("with_angles", [False, True])
def test_attention_is_the_equation(batch, window, causal, dtype, with_angles):
    lengths = BATCHES[batch]
    layout = Layout.of(lengths, DEVICE)
    qkv, grad = draw(lengths, 64 if ON_GPU else 16, dtype)
    angles = rotary_angles(layout.positions, qkv.shape[-1], 10_000.0) if with_angles else None
    settings = {"window": window, "causal": causal}

    def reference(leaf: Tensor) -> Tensor:
        wide = None if angles is None else tuple(part.double() for part in angles)
        return reference_attention(*take_apart(leaf, wide), layout, **settings)

    assert_as_in_float64(
        lambda x: triton_packed_attention(x, layout, angles, **settings), reference, qkv, grad
    )


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("size", [13, 32, 96, 128] if ON_GPU else [13])
@pytest.mark.parametrize("batch", BATCHES)
def test_every_size_of_a_head(size, batch, dtype):
    layout = Layout.of(BATCHES[batch], DEVICE)
    qkv, grad = draw(BATCHES[batch], size, dtype)
    assert_as_in_float64(
        lambda x: triton_packed_attention(x, layout),
        lambda x: reference_attention(*x.unbind(1), layout),
        qkv,
        grad,
    )


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
def test_cross_attention_is_the_equation(dtype):
    layout, memory = Layout.of([5, 70, 1], DEVICE), Layout.of([33, 2, 90], DEVICE)
    q, kv = draw([5, 70, 1], 16, dtype)[0][:, 0], draw([33, 2, 90], 16, dtype)[0]
    mine = triton_attention(q, kv[:, 1], kv[:, 2], layout, memory)
    true = reference_attention(q.double(), kv[:, 1].double(), kv[:, 2].double(), layout, memory)
    assert (mine.double() - true).norm() <= TOLERANCE[dtype] * true.norm()


@pytest.mark.parametrize("whole", [0, 64])
def test_dropout_is_the_mask_that_torch_computes(whole):
    lengths, dropout, seed = [33], 0.3, torch.tensor([2**40 + 5], device=DEVICE)
    qkv, grad = draw(lengths, 16, torch.float16)
    rows = torch.arange(33)
    keep = torch.stack([kept_weights(int(seed), head, rows, rows, dropout) for head in range(HEADS)])
    tiles = side(lengths, blocks_for("forward", 16, qkv).rows).tiles.to(DEVICE)

    def mine(x: Tensor) -> Tensor:
        cu = borders(lengths).to(DEVICE)
        return operators.packed_attention(x, cu, tiles, seed, None, None, whole, -1, False, dropout)[0]

    def true(x: Tensor) -> Tensor:
        q, k, v = x.unbind(1)
        weights = (torch.einsum("qhk,shk->hqs", q, k) / 4).softmax(-1) * keep.to(DEVICE) / (1 - dropout)
        return torch.einsum("hqs,shk->qhk", weights, v)

    assert_as_in_float64(mine, true, qkv, grad)


@pytest.mark.parametrize("batch", BATCHES)
def test_the_same_input_gives_the_same_bits(batch):
    layout = Layout.of(BATCHES[batch], DEVICE)
    qkv, grad = draw(BATCHES[batch], 16, torch.bfloat16)
    results = []
    for _ in range(2):
        output = triton_packed_attention(qkv, layout)
        results.append((output.detach(), torch.autograd.grad(output, qkv, grad)[0]))
    assert all(torch.equal(first, second) for first, second in zip(*results, strict=True))


@NEEDS_GPU
@pytest.mark.parametrize("whole", [0, 128])
def test_one_captured_graph_serves_every_packing(whole):
    lengths = [100, 27, 1]
    qkv, grad = draw(lengths, 64, torch.bfloat16)
    rows, seed = blocks_for("forward", 64, qkv).rows, torch.zeros(1, dtype=torch.int64, device=DEVICE)
    cu, tiles = borders(lengths).to(DEVICE), side(lengths, rows).tiles.to(DEVICE)

    def step() -> tuple[Tensor, Tensor]:
        output = operators.packed_attention(qkv, cu, tiles, seed, None, None, whole, -1, False, 0.0)[0]
        return output, torch.autograd.grad(output, qkv, grad)[0]

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    for other in ([3, 5, 120], [128, 0, 0]):
        cu.copy_(borders(other))
        tiles.copy_(side(other, rows).tiles)
        graph.replay()
        layout = Layout.of(other, DEVICE)
        leaf = qkv.detach().double().requires_grad_()
        true = reference_attention(*leaf.unbind(1), layout)
        wanted = (true, torch.autograd.grad(true, leaf, grad.double())[0])
        for mine, right in zip(captured, wanted, strict=True):
            assert (mine.double() - right).norm() <= 2e-2 * right.norm(), other


@NEEDS_GPU
def test_a_step_compiles_as_one_graph():
    lengths = BATCHES["128"]
    layout = Layout.of(lengths, DEVICE)
    qkv, grad = draw(lengths, 64, torch.bfloat16)
    seed = torch.zeros(1, dtype=torch.int64, device=DEVICE)
    tiles = side(lengths, blocks_for("forward", 64, qkv).rows).tiles.to(DEVICE)

    @torch.compile(fullgraph=True)
    def step(x: Tensor) -> Tensor:
        rest = (seed, None, None, 128, -1, False, 0.0)
        return operators.packed_attention(x * 2, layout.cu_seqlens, tiles, *rest)[0]

    assert_as_in_float64(step, lambda x: reference_attention(*(x * 2).unbind(1), layout), qkv, grad)


@NEEDS_GPU
@pytest.mark.parametrize(("window", "causal"), SEEN)
@pytest.mark.parametrize("function", [varlen_attention, flex_attention])
def test_torchs_kernels_are_the_equation(function, window, causal):
    if function is varlen_attention and varlen_function() is None:
        pytest.skip("this torch has no varlen_attn with windows")
    layout, settings = Layout.of(BATCHES["128"], DEVICE), {"window": window, "causal": causal}
    qkv, grad = draw(BATCHES["128"], 64, torch.bfloat16)
    assert_as_in_float64(
        lambda x: function(*x.unbind(1), layout, **settings),
        lambda x: reference_attention(*x.unbind(1), layout, **settings),
        qkv,
        grad,
    )


@NEEDS_GPU
@pytest.mark.parametrize("size", ["tiny", "modern-tiny"])
def test_an_encoder_says_the_same_with_our_kernels(size):
    encoder = Encoder(EncoderConfig.preset(size, 512)).to(DEVICE).eval()
    batch = Packed.of([list(range(5, 5 + length)) for length in (3, 70, 1, 130)]).to(DEVICE)
    answers = []
    for backend in ("reference", "triton"):
        encoder.use_attention(backend)
        answers.append(encoder(batch).detach())
    torch.testing.assert_close(answers[1], answers[0], rtol=1e-4, atol=1e-4)
