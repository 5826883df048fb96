"""Which device to compute on, and in which dtype.

A GPU with matrix units for bfloat16 (compute capability 8 and up) uses them. A CPU is measured: bfloat16 is
chosen where a matrix product of a layer's size is clearly faster in it, as with AMX, and never assumed. One
with no instructions for it (AVX2 alone) takes many times as long, so a small product is timed first.
"""

import sys
import time
from functools import cache

import torch

from minibert.model.device import choose_device

__all__ = ["choose_device", "choose_dtype"]

CLEARLY_FASTER, FAR_SLOWER = 1.3, 0.5
FEW_ROWS, ROWS_OF_A_STEP = 32, 2048


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype for "fp32", "bf16" or "auto"; a CPU is measured once in a process.

    Who asks for bf16 on a CPU where it is far slower gets it, and is told on stderr.
    """
    if precision == "fp32":
        return torch.float32
    if precision == "bf16":
        if device.type == "cpu" and _speedup(FEW_ROWS) < FAR_SLOWER:
            _tell_far_slower()
        return torch.bfloat16
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float32
    if device.type == "cpu" and _speedup(FEW_ROWS) >= FAR_SLOWER:
        return torch.bfloat16 if _speedup(ROWS_OF_A_STEP) > CLEARLY_FASTER else torch.float32
    return torch.float32


@cache
def _tell_far_slower() -> None:
    """Say once that bfloat16 is no help here."""
    print("  bfloat16 is far slower than float32 on this CPU; leave it to precision auto", file=sys.stderr)


@cache
def _speedup(rows: int) -> float:
    """Return how many times faster this CPU multiplies so many rows in bfloat16."""
    seconds = _product_seconds((torch.float32, torch.bfloat16), rows)
    return seconds[torch.float32] / seconds[torch.bfloat16]


def _product_seconds(dtypes: tuple[torch.dtype, ...], rows: int) -> dict[torch.dtype, float]:
    """Return the best of ten timings of one (rows, 256) x (256, 1024) product in each dtype.

    The dtypes take turns, so that whatever else the machine does slows all of them alike.
    """
    factors = {
        dtype: (torch.ones(rows, 256, dtype=dtype), torch.ones(1024, 256, dtype=dtype)) for dtype in dtypes
    }
    best = dict.fromkeys(dtypes, float("inf"))
    for _ in range(11):
        for dtype, (left, right) in factors.items():
            start = time.perf_counter()
            torch.nn.functional.linear(left, right)
            best[dtype] = min(best[dtype], time.perf_counter() - start)
    return best
