"""Which program works on what: the map of tiles, and the columns that a tile's rows may see."""

import itertools

import pytest
import torch

pytest.importorskip("triton", reason="triton is not installed (it is made for Linux)")

import triton
import triton.language as tl

from minibert.kernels.attention.fused.access import columns_of
from minibert.kernels.attention.fused.tiles import tile_map
from minibert.packed import Layout


@pytest.mark.parametrize("lengths", [[3, 0, 5], [0], [], [1] * 9, [64, 65, 63]])
def test_the_tile_map_covers_every_block_once(lengths):
    block, tokens = 8, sum(lengths)
    sequence, place = tile_map(Layout.of(lengths), block)
    assert sequence.shape[0] == -(-tokens // block) + len(lengths)
    wanted = [(i, b) for i, n in enumerate(lengths) for b in range(-(-n // block))]
    pairs = [pair for pair in zip(sequence.tolist(), place.tolist(), strict=True) if pair[0] >= 0]
    assert pairs == wanted


def test_a_layout_makes_its_map_once_and_its_copy_elsewhere_makes_its_own():
    layout = Layout.of([3, 0, 5])
    assert layout.once(tile_map, 2) is layout.once(tile_map, 2)
    assert layout.once(tile_map, 4).shape == (2, 5)
    assert layout.to("cpu").once(tile_map, 2) is not layout.once(tile_map, 2)


@triton.jit
def store_columns(
    INTO, first, count, WINDOW: tl.constexpr, UP_TO: tl.constexpr, FROM: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    start, whole, rest, stop = columns_of(first, count, WINDOW, UP_TO, FROM, ROWS, COLUMNS)
    tl.store(INTO, start)
    tl.store(INTO + 1, whole)
    tl.store(INTO + 2, rest)
    tl.store(INTO + 3, stop)


@pytest.mark.parametrize("window", [-1, 0, 3, 8, 40])
@pytest.mark.parametrize(("up_to", "from_on"), [(False, False), (True, False), (False, True)])
def test_columns_in_the_middle_are_seen_by_all_rows_and_those_outside_by_none(window, up_to, from_on):
    into = torch.zeros(4, dtype=torch.int32)
    for first, count, rows, columns in itertools.product((0, 8, 16), (1, 7, 21, 50), (4, 8), (2, 8)):
        store_columns[(1,)](into, first, count, window, up_to, from_on, rows, columns)
        start, whole, rest, stop = into.tolist()
        row, column = torch.arange(first, first + rows)[:, None], torch.arange(count)
        seen = torch.ones(rows, count, dtype=torch.bool)
        if window >= 0:
            seen &= (row - column).abs() <= window
        if up_to:
            seen &= column <= row
        if from_on:
            seen &= column >= row
        case = (first, count, rows, columns)
        if start >= stop:  # all keys lie out of reach
            assert not seen.any() and rest <= whole, case
            continue
        assert 0 <= start <= whole <= rest <= stop <= count, case
        assert seen[:, whole:rest].all() and (rest - whole) % columns == 0, case
        assert not seen[:, :start].any() and not seen[:, stop:].any(), case
        everybody = int(seen.all(0).sum())
        assert rest - whole > everybody - 2 * columns, case  # at most a tile is lost on either side


def test_a_window_as_wide_as_a_tile_needs_masks_on_two_tiles_of_three():
    into = torch.zeros(4, dtype=torch.int32)
    store_columns[(1,)](into, 128, 512, 64, False, False, 64, 64)
    assert into.tolist() == [64, 128, 192, 256]
