"""Attention and pooling over a padded rectangle give the numbers of the same texts packed."""

import pytest
import torch
from torch import Tensor

from minibert.errors import InputError
from minibert.kernels.attention import Machine, Request, attend, attend_packed, choose
from minibert.kernels.rotary import rotary_angles
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.packed import Layout, Packed
from minibert.tasks.pooling import pool

LENGTHS = [7, 1, 13, 2]
HEADS, SIZE = 3, 6


def rectangle(lengths: list[int], width: int) -> Layout:
    """Return the layout of these lengths in rows of one width."""
    return Layout.dense(torch.arange(width) < torch.tensor(lengths)[:, None])


def spread(packed_T: Tensor, layout: Layout, width: int) -> Tensor:
    """Lay packed rows into a rectangle, noise behind each text's end, and flatten it."""
    cells = torch.randn(len(layout.lengths), width, *packed_T.shape[1:], dtype=packed_T.dtype)
    cells[layout.sequence_T, layout.positions] = packed_T
    return cells.flatten(0, 1)


@pytest.mark.parametrize("width", [13, 17])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("window", [None, 0, 3, 50])
def test_a_rectangle_gives_the_numbers_of_the_reference(window, turned, width):
    packed, dense = Layout.of(LENGTHS), rectangle(LENGTHS, width)
    qkv = torch.randn(packed.tokens, 3, HEADS, SIZE, dtype=torch.float64)
    angles = [rotary_angles(layout.positions, SIZE, 50.0) if turned else None for layout in (packed, dense)]
    wanted = attend_packed(qkv, packed, angles[0], window=window, backend="reference")
    found = attend_packed(spread(qkv, packed, width), dense, angles[1], window=window)
    assert found.isfinite().all()
    inside = found.unflatten(0, (len(LENGTHS), width))[packed.sequence_T, packed.positions]
    torch.testing.assert_close(inside, wanted, rtol=1e-12, atol=1e-13)


def test_queries_keys_and_values_apart_give_the_same():
    packed, dense = Layout.of(LENGTHS), rectangle(LENGTHS, 13)
    parts = [torch.randn(packed.tokens, HEADS, SIZE, dtype=torch.float64) for _ in range(3)]
    wanted = attend(*parts, packed, backend="reference")
    found = attend(*(spread(part, packed, 13) for part in parts), dense)
    inside = found.unflatten(0, (len(LENGTHS), 13))[packed.sequence_T, packed.positions]
    torch.testing.assert_close(inside, wanted, rtol=1e-12, atol=1e-13)


def test_a_row_without_a_token_gives_numbers():
    dense = rectangle([0, 3], 4)
    for window in (None, 1):
        heard = attend_packed(torch.randn(8, 3, HEADS, SIZE), dense, window=window)
        assert heard.isfinite().all()
    assert torch.equal(pool("mean", torch.ones(8, 5), dense)[0], torch.zeros(5))


@pytest.mark.parametrize("how", ["mean", "first"])
def test_pooling_leaves_padding_out(how):
    packed, dense = Layout.of(LENGTHS), rectangle(LENGTHS, 15)
    hidden = torch.randn(packed.tokens, 11, dtype=torch.float64)
    wanted = pool(how, hidden, packed)
    torch.testing.assert_close(pool(how, spread(hidden, packed, 15), dense), wanted)


@pytest.mark.parametrize("size", ["tiny", "modern-tiny"])
def test_an_encoder_needs_no_change_for_a_rectangle(size):
    encoder = Encoder(EncoderConfig.preset(size, 97)).double().eval()
    encoder.dtype = torch.float64
    ids = [torch.randint(0, 97, (length,)).tolist() for length in LENGTHS]
    batch = Packed.of(ids)
    padded = Packed(batch.layout.pad(batch.ids, 0).flatten(), None, rectangle(LENGTHS, 13))
    with torch.no_grad():
        wanted, found = encoder(batch), encoder(padded)
    inside = found.unflatten(0, (len(LENGTHS), 13))[batch.layout.sequence_T, batch.layout.positions]
    torch.testing.assert_close(inside, wanted, rtol=1e-9, atol=1e-9)


def test_only_the_dense_implementation_takes_a_rectangle_and_it_takes_nothing_else():
    machine = Machine("cpu")
    for padded in (False, True):
        request = Request(torch.float32, 64, 128, padded=padded)
        assert (choose(request, machine).name == "dense") == padded
        for name in ("cpu", "sdpa", "reference", "dense"):
            if (name == "dense") == padded:
                assert choose(request, machine, backend=name).name == name
            else:
                with pytest.raises(InputError, match=f"'{name}'.*made for"):
                    choose(request, machine, backend=name)
    with pytest.raises(InputError, match="no dropout"):
        choose(Request(torch.float32, 64, 128, padded=True, dropout=0.1), machine)


def test_a_rectangle_moves_with_its_mask():
    moved = rectangle(LENGTHS, 13).to("meta")
    assert {moved.cu_seqlens.device.type, moved.positions.device.type, moved.inside_NS.device.type} == {
        "meta"
    }
