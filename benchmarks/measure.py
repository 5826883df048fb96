"""Timing that survives a drifting machine, and the facts without which a number means nothing.

Contestants take turns: each runs a few steps, then the next one, round after round, and who begins changes
from round to round. What slows the machine for a while slows all of them alike, and a ratio is taken within
one round, never between two.

The ceiling is measured in the same rounds: large square matrix products, in float32 and bfloat16.
"""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from minibert.output.record import commit

CPU_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile")


@dataclass(frozen=True)
class Spread:
    """The median of some numbers, between their 20th and 80th percentile.

    >>> Spread.of([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    Spread(low=2.0, median=3.5, high=5.0)
    """

    low: float
    median: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> "Spread":
        low, median, high = np.percentile(values, (20, 50, 80))
        return Spread(float(low), float(median), float(high))


def alternate(
    contestants: Sequence[Callable[[], object]],
    *,
    rounds: int,
    steps: int,
    clock: Callable[[Callable[[], object]], float] | None = None,
) -> list[list[list[float]]]:
    """Let contestants take turns and return the seconds of each step: [contestant][round][step].

    clock  gives the seconds of an action; the wall clock unless told otherwise
    """
    seconds: list[list[list[float]]] = [[] for _ in contestants]
    for turn in range(rounds):
        for place in range(len(contestants)):
            number = (turn + place) % len(contestants)
            seconds[number].append([(clock or timed)(contestants[number]) for _ in range(steps)])
    return seconds


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def ratios(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> Spread:
    """Return how many times faster ours is: within each round, median step by median step.

    >>> ratios([[1.0, 1.0], [2.0, 2.0]], [[3.0, 3.0], [6.0, 6.0]]).median
    3.0
    """
    medians = zip(map(statistics.median, ours), map(statistics.median, theirs), strict=True)
    return Spread.of([slow / fast for fast, slow in medians])


def product(dtype: torch.dtype, size: int) -> Callable[[], object]:
    """Return an action that multiplies two square matrices; it takes `2 * size**3` operations."""
    left, right, out = (torch.ones(size, size, dtype=dtype) for _ in range(3))
    return lambda: torch.mm(left, right, out=out)


def machine() -> dict[str, Any]:
    """Return what the numbers depend on: processor, cores, versions, commit."""
    features = _cpuinfo("flags").split()
    return {
        "processor": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "features": [name for name in CPU_FEATURES if name in features],
        "cores": len(os.sched_getaffinity(0)) if platform.system() == "Linux" else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: _version(package) for package in ("torch", "transformers", "numpy")},
        "commit": commit(),
    }


def say(message: str) -> None:
    """Tell a person, on stderr, how far things are."""
    print(message, file=sys.stderr, flush=True)


def finish(benchmark: str, facts: dict[str, Any], output: Path | None) -> None:
    """Print the record of a benchmark as one line, and write it where one asks for it."""
    record = {"benchmark": benchmark, "machine": machine(), **facts}
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record))


def _cpuinfo(key: str) -> str:
    """Return one line of Linux's description of the processor; empty elsewhere."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
