"""The table of block sizes is whole, and tells who serves what."""

import itertools
import json

import pytest
import torch

pytest.importorskip("triton", reason="triton is not installed (it is made for Linux)")

from minibert.kernels.attention.fused.table import (
    FILE,
    KERNELS,
    WHOLE,
    Key,
    blocks_for,
    family,
    find,
    rows,
    whole_for,
)

ARCHS = ("sm_80", "sm_90", "sm_120")
TYPES = (torch.bfloat16, torch.float16, torch.float32)


def test_every_kind_of_gpu_has_the_general_kernels_for_every_head_and_type():
    for arch, dtype, size in itertools.product(ARCHS, TYPES, (1, 13, 32, 64, 96, 128)):
        blocks = [find(kernel, size, dtype, arch) for kernel in KERNELS[:3]]
        assert all(blocks), (arch, dtype, size)
        assert len({one.rows for one in blocks}) == 1, "the three share a map of tiles"
        assert find("forward", 129, dtype, arch) is None


def test_the_table_holds_no_row_twice_and_none_that_nobody_asks_for():
    table = json.loads(FILE.read_text("utf-8"))
    assert len(rows()) == len(table["rows"])
    assert set(table["measured_on"]) <= {*ARCHS}
    for key, blocks in rows().items():
        assert key.arch in ARCHS and key.kernel in KERNELS and key.width in (32, 64, 128)
        assert (key.whole in WHOLE and blocks.rows == key.whole) == key.kernel.startswith("whole")
        assert key.bits in (16, 32) and (key.bits == 16 or not key.whole)


def test_a_head_is_served_by_the_narrowest_row_that_holds_it():
    table = rows()
    for size, width in ((13, 32), (32, 32), (33, 64), (96, 128)):
        assert find("forward", size, torch.bfloat16, "sm_90") == table[Key("sm_90", 16, width, "forward")]


def test_hopper_has_one_tile_kernels_for_short_sequences_of_the_usual_heads():
    for size, longest in itertools.product((32, 64), (1, 64, 65, 128)):
        for kernel in KERNELS[3:]:
            assert find(kernel, size, torch.bfloat16, "sm_90", whole=whole_for(longest)).rows >= longest


@pytest.mark.parametrize(
    ("capability", "kind"),
    [((8, 0), "sm_80"), ((8, 6), "sm_120"), ((9, 0), "sm_90"), ((10, 0), "sm_90"), ((12, 0), "sm_120")],
)
def test_a_gpu_without_rows_takes_those_of_one_with_no_more_shared_memory(capability, kind):
    assert family(capability) == kind


def test_a_cpu_interprets_what_hopper_would_run():
    x = torch.zeros(1, dtype=torch.bfloat16)
    assert blocks_for("backward_q", 64, x) == find("backward_q", 64, torch.bfloat16, "sm_90")
