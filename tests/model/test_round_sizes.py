"""Round batch sizes on a CPU: nobody sees what is put behind a batch."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from minibert.kernels.round_rows import SIZES
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.model.round_sizes import filled_up, round_up
from minibert.packed import Layout, Packed

LENGTHS = [17, 5, 11]  # 33 tokens, filled up to 34


def encoder_of(preset: str, dtype: torch.dtype) -> Encoder:
    torch.manual_seed(3)
    encoder = Encoder(EncoderConfig.preset(preset, vocab_size=103)).eval()
    encoder.dtype = dtype
    return encoder


def batch_of(lengths: list[int]) -> Packed:
    draw = torch.Generator().manual_seed(5)
    return Packed.of([torch.randint(5, 103, (length,), generator=draw).numpy() for length in lengths])


@given(st.lists(st.integers(0, 97), max_size=13))
def test_a_filled_layout_begins_with_the_same_sequences_and_has_a_round_size(lengths):
    layout = Layout.of(lengths)
    filled = filled_up(layout)
    assert filled.lengths[: len(lengths)] == layout.lengths
    assert len(filled.lengths) <= len(lengths) + 1
    assert filled.tokens - layout.tokens <= layout.tokens // SIZES


def test_few_sizes_occur():
    sizes = {filled_up(Layout.of([tokens])).tokens for tokens in range(512, 1024)}
    assert sizes == set(range(512, 1025, 32))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_only_bfloat16_is_filled_up(dtype):
    layout = Layout.of(LENGTHS)
    hidden = torch.randn(layout.tokens, 7, dtype=dtype)
    assert round_up(hidden, layout) == (hidden, layout)
    padded, filled = round_up(hidden.bfloat16(), layout)
    assert padded.shape == (34, 7)
    assert filled.lengths == (*LENGTHS, 1)
    assert round_up(hidden.bfloat16(), layout)[1] is filled, "every layer and pass finds the same one"


def test_a_round_batch_and_a_rectangle_stay_as_they_are():
    for layout in (Layout.of([16, 16]), Layout.dense(torch.ones(3, 11, dtype=torch.bool))):
        assert round_up(torch.zeros(layout.tokens, 7, dtype=torch.bfloat16), layout)[1] is layout


def states_and_gradients(encoder: Encoder, batch: Packed) -> tuple[Tensor, list[Tensor]]:
    encoder.zero_grad()
    hidden = encoder(batch)
    hidden.float().square().sum().backward()
    return hidden.detach().float(), [weight.grad.clone() for weight in encoder.parameters()]


@pytest.mark.parametrize("preset", ["tiny", "modern-tiny"])
def test_filled_batches_give_the_states_and_gradients_of_batches_that_are_not(preset, monkeypatch):
    encoder, batch = encoder_of(preset, torch.bfloat16), batch_of(LENGTHS)
    hidden, gradients = states_and_gradients(encoder, batch)
    assert hidden.shape[0] == 33
    monkeypatch.setattr("minibert.model.encoder.round_up", lambda hidden, layout: (hidden, layout))
    plain, expected = states_and_gradients(encoder, batch_of(LENGTHS))
    exact = encoder_of(preset, torch.float64)
    truth, true_gradients = states_and_gradients(exact.double(), batch_of(LENGTHS))
    assert error(hidden, truth) <= 2 * error(plain, truth)
    for ours, other, true in zip(gradients, expected, true_gradients, strict=True):
        assert error(ours, true) <= 2 * error(other, true) + 1e-6 * true.abs().max().item()


def error(value: Tensor, truth: Tensor) -> float:
    return (value.double() - truth.double()).norm().item()
