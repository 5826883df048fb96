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


@given(LENGTHS)
def test_buckets_hold_every_token_exactly_once(lengths):
    layout = Layout.of(lengths)
    tokens_T = torch.arange(layout.tokens)
    restored_T = torch.full_like(tokens_T, -1)
    for bucket in layout.buckets:
        bucket.put(restored_T, bucket.gather(tokens_T))
    assert torch.equal(restored_T, tokens_T)
    assert sum(int(bucket.inside_NS.sum()) for bucket in layout.buckets) == layout.tokens


@given(LENGTHS)
def test_cells_past_a_sequences_end_hold_what_they_are_told_to(lengths):
    layout = Layout.of(lengths)
    for bucket in layout.buckets:
        cells_NS = bucket.gather(torch.ones(layout.tokens), fill=-7.0)
        assert torch.equal(cells_NS, torch.where(bucket.inside_NS, 1.0, -7.0))


@given(LENGTHS)
def test_buckets_keep_sequences_whole_and_pad_less_than_a_sixteenth_of_the_longest_or_15(lengths):
    layout = Layout.of(lengths)
    for bucket in layout.buckets:
        rows = bucket.gather(layout.sequence_T)
        sizes = bucket.inside_NS.sum(1)
        assert (rows == rows[:, :1]).all()
        assert sizes.tolist() == [lengths[row] for row in rows[:, 0].tolist()]
        assert bucket.index_NS.shape[1] == int(sizes.max())
        assert bucket.index_NS.shape[1] - int(sizes.min()) < max(16, max(lengths) // 16)
        assert bucket.full == bool(bucket.inside_NS.all())


def test_neighbours_of_one_length_are_a_view_and_ragged_ones_a_copy():
    packed_TD = torch.randn(34, 2)
    (even,) = Layout.of([17, 17]).buckets
    view = even.gather(packed_TD)
    assert view.shape == (2, 17, 2)
    assert view.data_ptr() == packed_TD.data_ptr()
    (ragged,) = Layout.of([17, 18]).buckets
    assert ragged.gather(torch.randn(35, 2)).shape == (2, 18, 2)
    assert not ragged.full
    apart = Layout.of([17, 3, 17]).buckets
    assert [(bucket.first, bucket.last, bucket.full) for bucket in apart] == [
        (17, 20, True),
        (None, None, True),
    ]


def test_an_empty_batch_has_no_tokens_and_no_buckets():
    layout = Layout.of([])
    assert (layout.tokens, layout.max_seqlen, layout.buckets) == (0, 0, ())
    assert layout.sequence_T.tolist() == []
    assert layout.pad(torch.zeros(0, 3)).shape == (0, 0, 3)
    assert Packed.of([]).ids.dtype == torch.int64


def test_sequences_without_tokens_are_in_no_bucket():
    layout = Layout.of([0, 0])
    assert layout.buckets == ()
    assert layout.unpad(layout.pad(torch.zeros(0, 3))).shape == (0, 3)


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
