"""Which block sizes a kernel takes on which GPU: a table that is checked in, not a search at the first call.

A search would need seconds in the middle of training, could not be captured in a CUDA graph, and would give
other bits on another day. `table.json` has a row for each kernel, kind of GPU, size of numbers and width of
head; `benchmarks/tune_attention.py` makes it. `measured_on` names the GPU whose clock chose the rows of a
kind. For a kind that is not listed there no GPU has been asked: its rows are the first candidates for which
the compiler spills no registers and fits the shared memory.

A GPU that has no rows of its own takes those of a kind with at most as much shared memory.
"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import torch

FILE = Path(__file__).with_name("table.json")
KERNELS = ("forward", "backward_kv", "backward_q", "whole_forward", "whole_backward")
WHOLE = (64, 128, 256)  # tokens that a one-tile kernel may hold


@dataclass(frozen=True)
class Blocks:
    """How much one program does.

    rows     tokens that it answers for: queries; in the pass over keys, keys; the whole sequence in `whole_*`
    columns  tokens on the other side that it takes at a time
    warps    how many groups of 32 threads share the work
    stages   how many loads run ahead
    """

    rows: int
    columns: int
    warps: int
    stages: int


@dataclass(frozen=True)
class Key:
    """What a row of the table is for.

    arch    "sm_90", "sm_80" or "sm_120"
    bits    of one number, 16 or 32
    width   the head size that it serves at most
    kernel  one of KERNELS
    whole   the longest sequence that a one-tile kernel holds; 0 for the others
    """

    arch: str
    bits: int
    width: int
    kernel: str
    whole: int = 0


def family(capability: tuple[int, int] | None) -> str:
    """Name the kind of GPU with this compute capability; None, where there is none, is as Hopper.

    >>> family((8, 0)), family((8, 9)), family((10, 0))
    ('sm_80', 'sm_120', 'sm_90')
    """
    if capability is None or 9 <= capability[0] < 12:
        return "sm_90"
    return "sm_80" if capability == (8, 0) else "sm_120"


@functools.cache
def arch_of(device: torch.device) -> str:
    """Name the kind of GPU that a device is."""
    return family(torch.cuda.get_device_capability(device) if device.type == "cuda" else None)


@functools.cache
def rows() -> dict[Key, Blocks]:
    """Return the table."""
    return read(FILE)


def read(file: Path) -> dict[Key, Blocks]:
    """Read a table."""
    found = {}
    for row in json.loads(file.read_text("utf-8"))["rows"]:
        key = Key(row["arch"], row["bits"], row["width"], row["kernel"], row["whole"])
        found[key] = Blocks(row["rows"], row["columns"], row["warps"], row["stages"])
    return found


@functools.cache
def find(kernel: str, head_size: int, dtype: torch.dtype, arch: str, *, whole: int = 0) -> Blocks | None:
    """Return the blocks of a kernel, or None where the table has no row that is wide enough.

    >>> find("whole_forward", 64, torch.float32, "sm_90", whole=128) is None
    True
    """
    bits = 8 * dtype.itemsize
    for width in (32, 64, 128):
        blocks = rows().get(Key(arch, bits, width, kernel, whole))
        if head_size <= width and blocks is not None:
            return blocks
    return None


def blocks_for(kernel: str, head_size: int, x: torch.Tensor) -> Blocks:
    """Return the blocks of a kernel for sequences of any length, for numbers like those of x.

    The rows of the three are equal, so that they share a map of tiles.
    """
    blocks = find(kernel, head_size, x.dtype, arch_of(x.device))
    assert blocks is not None, f"the table has no {kernel} for heads of {head_size}"
    return blocks


def whole_for(longest: int) -> int:
    """Return the least size of a tile that holds the longest sequence, or 0 where none does.

    >>> whole_for(3), whole_for(65), whole_for(300)
    (64, 128, 0)
    """
    return next((size for size in WHOLE if longest <= size), 0)
