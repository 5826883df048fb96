"""Clocks for a GPU, what it is called, and the two rates that bound every kernel on any machine.

A GPU works through a queue: its time is that between two events in it, not that which Python waits.
"""

import importlib.metadata
import statistics
from collections.abc import Callable
from typing import Any

import torch
from measure import machine

Action = Callable[[], object]
Clock = Callable[[Action], float]


def cold_cache_clock() -> Clock:
    """Return a function that gives a GPU action's seconds between two events, its L2 cache emptied before."""
    trash = torch.empty(2**28, dtype=torch.uint8, device="cuda")

    def seconds(action: Action) -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        trash.zero_()
        begin.record()
        action()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3

    return seconds


def captured(action: Action) -> Action:
    """Return an action as the replay of a CUDA graph: what it takes when nobody has to start its kernels."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        action()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        action()
    return graph.replay


def machine_rates(
    device: str, dtype: torch.dtype, clock: Clock, *, size: int, copied: int
) -> dict[str, float]:
    """Return operations per second in a product of `size` rows, and bytes per second in a large copy."""
    left, right = (torch.ones(size, size, dtype=dtype, device=device) for _ in range(2))
    source, goal = (torch.zeros(copied, dtype=torch.uint8, device=device) for _ in range(2))
    product, copy = (
        statistics.median([clock(action) for _ in range(7)][2:])
        for action in (lambda: left @ right, lambda: goal.copy_(source))
    )
    return {"operations": 2 * size**3 / product, "bytes": 2 * copied / copy}


def describe(device: str) -> dict[str, Any]:
    """Return what numbers depend on: the machine, and the GPU with its versions if that is the device."""
    if device == "cpu":
        return {**machine(), "threads": torch.get_num_threads()}
    gpu = torch.cuda.get_device_properties(0)
    return {
        **machine(),
        "gpu": gpu.name,
        "capability": [gpu.major, gpu.minor],
        "multiprocessors": gpu.multi_processor_count,
        "cuda": torch.version.cuda,
        "triton": importlib.metadata.version("triton"),
    }
