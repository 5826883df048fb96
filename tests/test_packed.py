"""Packed batches: nothing is lost, nothing is doubled, and every border is where it was put."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minibert.errors import InputError
from minibert.packed import Layout, Packed

LENGTHS = st.lists(st.integers(0, 97), max_size=13)


def test_three_sentences_have_the_hand_computed_layout():
    layout = Layout.of([3, 0, 1, 2])
    assert layout.cu_seqlens.tolist() == [0, 3, 3, 4, 6]
    assert layout.cu_seqlens.dtype == torch.int32
    assert layout.positions.tolist() == [0, 1, 2, 0, 0, 1]
    assert layout.positions.dtype == torch.int64
    assert layout.sequence_T.tolist() == [0, 0, 0, 2, 3, 3]
    assert layout.starts.tolist() == [0, 3, 3, 4]
    assert (layout.tokens, layout.max_seqlen) == (6, 3)


@given(LENGTHS)
def test_unpad_undoes_pad(lengths):
    layout = Layout.of(lengths)
    packed_TD = torch.randn(sum(lengths), 3)
    padded_NSD = layout.pad(packed_TD, value=-7.0)
    assert padded_NSD.shape == (len(lengths), max(lengths, default=0), 3)
    assert torch.equal(layout.unpad(padded_NSD), packed_TD)
    for row, length in enumerate(lengths):
        assert (padded_NSD[row, length:] == -7.0).all()
    assert [len(part) for part in layout.split(packed_TD)] == lengths


def test_an_empty_batch_has_no_tokens():
    layout = Layout.of([])
    assert (layout.tokens, layout.max_seqlen) == (0, 0)
    assert layout.sequence_T.tolist() == []
    assert layout.pad(torch.zeros(0, 3)).shape == (0, 0, 3)
    assert Packed.of([]).ids.dtype == torch.int64


def test_packed_lays_lists_and_segments_end_to_end():
    batch = Packed.of([[7, 4, 9], [5]], [[0, 0, 1], [0]])
    assert batch.ids.tolist() == [7, 4, 9, 5]
    assert batch.ids.dtype == torch.int64
    assert batch.segments is not None
    assert batch.segments.tolist() == [0, 0, 1, 0]
    moved = batch.to("cpu")
    assert moved.layout.lengths == (3, 1)
    assert Packed.of([[1]]).to("cpu").segments is None


def test_bad_lengths_are_named_in_the_error():
    with pytest.raises(InputError, match="-3"):
        Layout.of([2, -3])
    with pytest.raises(InputError, match=r"\[\[2\], \[5\]\]"):
        Layout.of([[2], [5]])


def test_segments_of_another_length_are_named_in_the_error():
    with pytest.raises(InputError, match=r"segment.*\[2, 5\].*\[3, 5\]"):
        Packed.of([[1, 2, 3], [1] * 5], [[0, 0], [0] * 5])
