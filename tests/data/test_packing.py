"""Runs and packs: nothing lost, nothing too long, little wasted, and every pack a fair sample."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.data.packing import best_fit, chop, waste
from minibert.errors import InputError

LENGTHS = st.lists(st.integers(1, 50), max_size=200).map(np.array)


def document_lengths(count):
    """Draw lengths like an encyclopedia's: log-normal, a median of 180 tokens."""
    return np.random.default_rng(0).lognormal(np.log(180), 1.1, count).astype(np.int64) + 1


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(1, 13))
def test_runs_are_the_documents_cut_into_full_pieces(sizes, limit):
    bounds = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    expected = [
        (start, min(limit, end - start))
        for first, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
        for start in range(first, end, limit)
    ]
    runs = chop(bounds, limit)
    assert runs.dtype == np.int64
    assert runs.shape == (len(expected), 2)
    assert [tuple(run) for run in runs.tolist()] == expected


@given(LENGTHS, st.integers(50, 120), st.sampled_from([1, 7, 1000]), st.integers(0, 3))
def test_every_piece_is_in_one_pack_and_no_pack_is_too_full(lengths, capacity, window, seed):
    packs = best_fit(lengths, capacity, window=window, seed=seed)
    assert sorted(piece for pack in packs for piece in pack.tolist()) == list(range(len(lengths)))
    assert all(0 < lengths[pack].sum() <= capacity for pack in packs)


@given(LENGTHS)
def test_at_most_one_pack_is_half_empty(lengths):
    totals = [int(lengths[pack].sum()) for pack in best_fit(lengths, 60)]
    assert sum(2 * total <= 60 for total in totals) <= 1


def test_a_piece_goes_into_the_fullest_pack_with_room_for_it():
    packs = best_fit(np.array([5, 3, 2, 4]), 7, window=4)
    assert [sorted(pack.tolist()) for pack in packs] == [[0, 2], [1, 3]]


def test_the_seed_decides_the_packs():
    lengths = document_lengths(500).clip(max=512)
    first, again, other = (best_fit(lengths, 8192, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_less_than_one_percent_is_wasted_on_documents_of_real_lengths():
    lengths = chop(np.concatenate([[0], np.cumsum(document_lengths(20_000))]), 510)[:, 1] + 2
    assert waste(best_fit(lengths, 8192), lengths, 8192) < 0.01


def test_packs_are_as_mixed_as_chance_would_have_it():
    lengths = document_lengths(40_000).clip(max=512)
    packs = best_fit(lengths, 8192)
    means = np.array([lengths[pack].mean() for pack in packs[:-1]])
    expected = lengths.std() / np.sqrt(len(lengths) / len(packs))
    assert 0.8 < means.std() / expected < 1.25


def test_waste_is_the_empty_share():
    assert waste([np.array([0, 1]), np.array([2])], np.array([3, 4, 5]), 10) == pytest.approx(0.4)
    assert waste([], np.array([]), 10) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: best_fit(np.array([3, 9]), 8), "3 to 9 tokens do not fit into packs of 8"),
        (lambda: best_fit(np.array([0, 3]), 8), "0 to 3 tokens"),
        (lambda: best_fit(np.array([3]), 8, window=0), "window 0"),
        (lambda: chop(np.array([0, 3]), 0), "max_length 0"),
    ],
)
def test_impossible_sizes_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
