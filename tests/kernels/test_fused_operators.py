"""What torch is told about the kernels: sound operators, one graph, nothing compiled for a new packing."""

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="triton is not installed (it is made for Linux)")

import triton_interpreter
from fused_cases import NO_SEED, draw, side

from minibert.kernels.attention.fused import operators
from minibert.kernels.attention.fused.table import find
from minibert.kernels.rotary import rotary_angles
from minibert.packed import Layout

triton_interpreter.repair()

LIGHT_CHECKS = ("test_schema", "test_faketensor")
DEFAULT_CHECKS = (*LIGHT_CHECKS, "test_autograd_registration", "test_aot_dispatch_dynamic")
LENGTHS, HEADS, SIZE = [5, 0, 33], 2, 14
WAYS = {  # dtype, with angles, whole
    "general, turned": (torch.float32, True, 0),
    "one tile, turned": (torch.float16, True, 64),
    "one tile forward, turned": (torch.float16, True, 256),
}


def places(dtype: torch.dtype, *lengths: list[int]) -> list[Tensor]:
    """Return what an operator has to know of both sides: their borders, then their tiles."""
    rows = find("forward", SIZE, dtype, "sm_90").rows
    sides = [side(counts, rows) for counts in lengths]
    return [*(one.borders for one in sides), *(one.tiles for one in sides)]


def packed_arguments(way: str, lengths: list[int] = LENGTHS) -> tuple:
    dtype, with_angles, whole = WAYS[way]
    qkv = torch.stack(draw(lengths, lengths, dtype, HEADS, SIZE)[:3], 1)
    angles = rotary_angles(Layout.of(lengths).positions, SIZE, 10.0) if with_angles else (None, None)
    return qkv, *places(dtype, lengths), NO_SEED, *angles, whole, -1, False, 0.0


@pytest.mark.parametrize("way", WAYS)
def test_torch_finds_packed_attention_sound(way):
    qkv, *rest = packed_arguments(way)
    checks = DEFAULT_CHECKS if way != "one tile forward, turned" else LIGHT_CHECKS
    torch.library.opcheck(operators.packed_attention, (qkv.requires_grad_(), *rest), test_utils=checks)


@pytest.mark.parametrize("way", WAYS)
def test_torch_finds_the_backward_pass_of_packed_attention_sound(way):
    qkv, *rest = packed_arguments(way)
    result = operators.packed_attention(qkv, *rest)
    torch.library.opcheck(
        operators.packed_attention_backward,
        (torch.ones_like(result[0]), qkv, *result, *rest),
        test_utils=LIGHT_CHECKS,
    )


def test_torch_finds_attention_and_its_backward_pass_sound():
    q, k, v, grad = draw(LENGTHS, [4, 7, 2], torch.float32, HEADS, SIZE)
    rest = (*places(torch.float32, LENGTHS, [4, 7, 2]), NO_SEED, -1, False, 0.0)
    result = operators.attention(q, k, v, *rest)
    torch.library.opcheck(
        operators.attention_backward,
        (grad, q, k, v, *result, *rest),
        test_utils=LIGHT_CHECKS,
    )
    torch.library.opcheck(operators.attention, (*(x.requires_grad_() for x in (q, k, v)), *rest))


@pytest.mark.parametrize("way", ["general, turned", "one tile, turned"])
def test_a_compiled_step_is_one_graph_and_serves_every_packing_of_the_same_size(way):
    compilations = []

    def counting(graph, inputs):
        compilations.append(graph)
        return graph.forward

    def step(qkv: Tensor, *arguments) -> Tensor:
        output, *_ = operators.packed_attention(qkv * 2, *arguments)
        return (output.float() ** 2).sum()

    compiled = torch.compile(step, fullgraph=True, backend=counting)
    for lengths in ([5, 0, 33], [20, 17, 1], [38, 0, 0]):
        qkv, *rest = packed_arguments(way, lengths)
        results = []
        for function in (step, compiled):
            leaf = qkv.clone().requires_grad_()
            value = function(leaf, *rest)
            results.append((value.detach(), torch.autograd.grad(value, leaf)[0]))
        torch.testing.assert_close(*results)
    assert len(compilations) == 1


def test_the_derivative_is_part_of_a_traced_step():
    qkv, *rest = packed_arguments("general, turned")
    compiled = torch.compile(
        lambda x: operators.packed_attention(x, *rest)[0].square().sum(), fullgraph=True, backend="aot_eager"
    )
    gradients = []
    for function in (compiled, lambda x: operators.packed_attention(x, *rest)[0].square().sum()):
        leaf = qkv.clone().requires_grad_()
        gradients.append(torch.autograd.grad(function(leaf), leaf)[0])
    torch.testing.assert_close(*gradients)
