"""Rectangles out of a packed batch: every token is in one of them, and few widths occur."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from minibert.kernels.attention.buckets import buckets_of
from minibert.packed import Layout

LENGTHS = st.lists(st.integers(0, 97), max_size=13)


@given(LENGTHS)
def test_buckets_hold_every_token_exactly_once(lengths):
    layout = Layout.of(lengths)
    tokens_T = torch.arange(layout.tokens)
    restored_T = torch.full_like(tokens_T, -1)
    for bucket in buckets_of(layout):
        bucket.put(restored_T, bucket.gather(tokens_T))
    assert torch.equal(restored_T, tokens_T)
    assert sum(int(bucket.inside_NS.sum()) for bucket in buckets_of(layout)) == layout.tokens


@given(LENGTHS)
def test_cells_past_a_sequences_end_hold_what_they_are_told_to(lengths):
    layout = Layout.of(lengths)
    for bucket in buckets_of(layout):
        cells_NS = bucket.gather(torch.ones(layout.tokens), fill=-7.0)
        assert torch.equal(cells_NS, torch.where(bucket.inside_NS, 1.0, -7.0))


@given(LENGTHS)
def test_buckets_keep_sequences_whole_and_pad_at_most_a_sixteenth_of_the_longest_or_15(lengths):
    layout = Layout.of(lengths)
    for bucket in buckets_of(layout):
        rows = bucket.gather(layout.sequence_T)
        sizes = bucket.inside_NS.sum(1)
        assert (rows == rows[:, :1]).all()
        assert sizes.tolist() == [lengths[row] for row in rows[:, 0].tolist()]
        width, step = bucket.index_NS.shape[1], max(16, max(lengths) // 16)
        alone = len(buckets_of(layout)) == 1
        assert width == int(sizes.max()) if bucket.full and alone else width % step == 0
        assert 0 <= width - int(sizes.min()) < step
        assert bucket.full == bool(bucket.inside_NS.all())


def test_neighbours_of_one_length_are_a_view_and_ragged_ones_a_copy():
    packed_TD = torch.randn(34, 2)
    (even,) = buckets_of(Layout.of([17, 17]))
    view = even.gather(packed_TD)
    assert view.shape == (2, 17, 2)
    assert view.data_ptr() == packed_TD.data_ptr()
    (ragged,) = buckets_of(Layout.of([17, 18]))
    assert ragged.gather(torch.randn(35, 2)).shape == (2, 32, 2)
    assert not ragged.full
    apart = buckets_of(Layout.of([32, 3, 32]))
    assert [(bucket.first, bucket.last, bucket.full) for bucket in apart] == [
        (32, 35, False),
        (None, None, True),
    ]


def test_sequences_without_tokens_are_in_no_bucket():
    assert buckets_of(Layout.of([0, 0])) == buckets_of(Layout.of([])) == ()


@given(st.lists(st.integers(1, 128), min_size=2, max_size=60))
def test_ragged_buckets_have_one_of_few_widths(lengths):
    ragged = [bucket for bucket in buckets_of(Layout.of([*lengths, 128])) if not bucket.full]
    assert {bucket.index_NS.shape[1] for bucket in ragged} <= set(range(16, 129, 16))
