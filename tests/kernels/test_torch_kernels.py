"""Torch's kernels for packed tokens: when they refuse, and that FlexAttention's rule is the equation's."""

import pytest
import torch

from minibert.kernels.attention import Machine, Request
from minibert.kernels.attention.flex import flex_attention, flex_refuses
from minibert.kernels.attention.reference import reference_attention
from minibert.kernels.attention.varlen import reach, varlen_attention, varlen_function, varlen_refuses
from minibert.packed import Layout

H100 = Machine("cuda", (9, 0), triton=True)
LENGTHS, MEMORY = [5, 1, 0, 7], [3, 2, 4, 6]
NEEDS_VARLEN = pytest.mark.skipif(
    varlen_function() is None, reason="this torch has no varlen_attn with windows"
)


def request(**changes) -> Request:
    return Request(**{"dtype": torch.bfloat16, "head_size": 64, "max_seqlen": 512} | changes)


@pytest.mark.parametrize(
    ("changes", "machine", "reason"),
    [
        ({}, Machine("cpu"), "this is cpu"),
        ({}, Machine("cuda", (7, 5), triton=True), "7.5"),
        ({"dtype": torch.float32}, H100, "not in float32"),
        ({"dropout": 0.1}, H100, "drops no weights"),
        ({"head_size": 100}, H100, "these are 100"),
        ({"cross": True, "window": 3}, H100, "from the end"),
        ({"cross": True, "causal": True}, H100, "from the end"),
    ],
)
def test_varlen_says_why_it_refuses(changes, machine, reason):
    assert reason in (varlen_refuses(request(**changes), machine) or "")


@NEEDS_VARLEN
@pytest.mark.parametrize("changes", [{}, {"cross": True}, {"window": 64, "causal": True}, {"head_size": 96}])
def test_varlen_does_the_rest(changes):
    assert varlen_refuses(request(**changes), H100) is None


@NEEDS_VARLEN
@pytest.mark.parametrize("window", [None, 0, 3])
@pytest.mark.parametrize("causal", [False, True])
def test_varlen_is_asked_for_the_borders_and_the_reach_that_are_meant(monkeypatch, window, causal):
    asked = {}

    def stand_in(q, k, v, cu_q, cu_k, max_q, max_k, *, window_size):
        asked.update(cu=(cu_q.tolist(), cu_k.tolist()), longest=(max_q, max_k), reach=window_size)
        return q

    monkeypatch.setattr("minibert.kernels.attention.varlen.varlen_function", lambda: stand_in)
    q, k = torch.ones(sum(LENGTHS), 2, 8), torch.ones(sum(MEMORY), 2, 8)
    varlen_attention(q, k, k, Layout.of(LENGTHS), Layout.of(MEMORY), window=window, causal=causal)
    assert asked["cu"] == ([0, 5, 6, 6, 13], [0, 3, 5, 9, 15]) and asked["longest"] == (7, 6)
    left, right = asked["reach"]
    for distance in range(-9, 10):  # of the key from the query
        seen = (left < 0 or -distance <= left) if distance <= 0 else (right < 0 or distance <= right)
        assert seen == ((window is None or abs(distance) <= window) and not (causal and distance > 0))


def test_a_window_reaches_to_both_sides_and_a_causal_one_to_the_left():
    assert (reach(5, causal=True), reach(None, causal=False)) == ((5, 0), (-1, -1))


@pytest.mark.parametrize(
    ("changes", "machine", "reason"),
    [
        ({}, Machine("cpu", triton=True), "this is cpu"),
        ({}, Machine("cuda", (9, 0), triton=False), "triton is not installed"),
        ({"dropout": 0.1}, H100, "drops no weights"),
        ({"dtype": torch.float64}, H100, "not in float64"),
    ],
)
def test_flex_says_why_it_refuses(changes, machine, reason):
    assert reason in (flex_refuses(request(**changes), machine) or "")
    assert flex_refuses(request(window=3, causal=True, cross=True), H100) is None


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("memory", [None, MEMORY])
@pytest.mark.parametrize(
    ("window", "causal"), [(None, False), (None, True), (2, False), (3, True), (0, False)]
)
def test_flex_lets_everyone_see_what_the_equation_lets_them_see(window, causal, memory):
    generator = torch.Generator().manual_seed(3)
    tokens, others = sum(LENGTHS), sum(memory or LENGTHS)
    q, k, v = (torch.randn(n, 2, 16, generator=generator) for n in (tokens, others, others))
    layouts = (Layout.of(LENGTHS), *([Layout.of(memory)] if memory else []))
    settings = {"window": window, "causal": causal}
    mine = flex_attention(q, k, v, *layouts, **settings)
    true = reference_attention(q, k, v, *layouts, **settings)
    blind = true.isnan()  # the equation has no answer for a query that sees no key
    assert not mine[blind].any() and not blind.all()
    torch.testing.assert_close(mine[~blind], true[~blind], rtol=1e-4, atol=1e-5)
