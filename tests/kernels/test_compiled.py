"""The Triton kernels compile for GPUs that are not here, and what the compiler made of them is sound."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="triton is not installed (it is made for Linux)")

import triton
from ahead_of_time import faults

from minibert.kernels.attention.fused.table import KERNELS

TRITON = tuple(int(part) for part in triton.__version__.split(".")[:2])
SCRIPT = Path(__file__).resolve().parents[1] / "ahead_of_time.py"


def compiled(arch: str, *flags: str) -> list[dict]:
    """Compile in a process of its own, where kernels are not interpreted."""
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    done = subprocess.run(
        [sys.executable, SCRIPT, arch, *flags], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.skipif(TRITON < (3, 6), reason="the table is made for Triton 3.6 and later; 3.5 spills once")
def test_every_row_of_the_table_for_hopper_compiles_without_a_fault():
    found = compiled("90a")
    assert {row["kernel"] for row in found} == {*KERNELS, "delta", "turn"}
    assert [fault for row in found for fault in faults(row, "90a")] == []


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["80", "90a", "120a"])
def test_every_row_compiles_in_all_ways_and_types_without_a_fault(arch):
    found = compiled(arch, "--all")
    assert {row["size"] for row in found} == {32, 64, 96, 128}
    assert [fault for row in found for fault in faults(row, arch)] == []


def test_a_fault_is_seen():
    good = {"kernel": "forward", "whole": 0, "dtype": "bf16", "size": 64, "way": {}, "wgmma": 8}
    good |= {"mma": 0, "spills": 0, "shared": 1000, "remarks": []}
    assert faults(good, "90a") == []
    for bad in ({"spills": 2}, {"shared": 228 * 1024}, {"remarks": ["C7510"]}, {"wgmma": 0}):
        assert len(faults({**good, **bad}, "90a")) == 1
    assert len(faults({**good, "kernel": "whole_forward", "mma": 4}, "90a")) == 1
