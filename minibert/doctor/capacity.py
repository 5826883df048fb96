"""What a run needs of memory and disk, against what there is."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from minibert.doctor.findings import Finding
from minibert.doctor.memory import Memory
from minibert.doctor.numbers import Course
from minibert.training.precision import choose_device

GIGA = 1e9
SURE = 1.2  # times what there is: the prediction may be a fifth too high
NEARLY = 0.9  # of what is free
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def capacity_findings(
    memory: Memory, course: Course, output: str | Path | None, *, corpus: int = 0
) -> tuple[list[Finding], dict[str, Any]]:
    """Compare what a run needs with what there is; return findings, and the numbers as facts.

    output  where the run writes; None for the current folder
    corpus  bytes of a tokenized corpus, which is written too
    """
    disk = disk_needed(memory, course, corpus)
    device = choose_device(course.config.device)
    found = [*memory_findings(memory, device), *disk_findings(disk, Path(output or "."))]
    return found, {"memory_gb": round(memory.peak / GIGA, 2), "disk_gb": round(disk / GIGA, 2)}


def memory_findings(memory: Memory, device: torch.device) -> Iterator[Finding]:
    """Compare a run's memory with that of the device; silent where the system does not tell."""
    own = resident() if device.type == "cpu" else 0
    needed, (total, free) = own + memory.peak, memory_of(device)
    if not total:
        return
    advice = "take more --gradient-accumulation-steps (the same gradient), shorter texts, or --precision bf16"
    seen = f"the run needs about {needed / GIGA:.1f} GB of memory and there are {total / GIGA:.1f} GB"
    if needed > SURE * total:
        yield Finding("memory", "error", seen, advice)
    elif memory.peak > NEARLY * free:
        yield Finding("memory", "warning", f"{seen}, {free / GIGA:.1f} GB of them free", advice)


def disk_findings(needed: int, output: Path) -> Iterator[Finding]:
    """Compare what a run writes with what is free where it writes."""
    free = free_disk(output)
    seen = f"the run writes about {needed / GIGA:.1f} GB and {free / GIGA:.1f} GB are free in {output}"
    advice = "make room, or keep fewer checkpoints: --save-total-limit, --save-steps"
    if needed > NEARLY * free:
        yield Finding("disk", "error" if needed > free else "warning", seen, advice)


def disk_needed(memory: Memory, course: Course, corpus: int) -> int:
    """Return the bytes that a run writes: checkpoints, the model, and the tokens of a corpus.

    A checkpoint is written beside the ones that are kept; and a run that is stopped writes one.
    """
    saves, limit = course.config.save_steps, course.config.save_total_limit
    written = (course.steps - 1) // saves if saves else 0
    kept = min(written, limit) if limit else written
    return (kept + 1) * memory.held + 2 * memory.weights + corpus


def memory_of(device: torch.device) -> tuple[int, int]:
    """Return the bytes of memory that a device has, and those that are free; zeros where nobody tells."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total, free
    if device.type != "cpu":
        return 0, 0
    told = _read(Path("/proc/meminfo"))
    kilobytes = {key: int(value) for key, value in re.findall(r"^(\w+):\s+(\d+) kB", told, re.MULTILINE)}
    total, free = (1024 * kilobytes.get(key, 0) for key in ("MemTotal", "MemAvailable"))
    for limit in map(_read, LIMITS):
        if limit.strip().isdigit() and 0 < int(limit) < total:
            total = int(limit)
    return total, min(free, total)


def resident() -> int:
    """Return the bytes of this process that are in memory; 0 where nobody tells."""
    pages = _read(Path("/proc/self/statm")).split()
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if len(pages) > 1 else 0


def free_disk(folder: Path) -> int:
    """Return the bytes that are free where a folder is, or will be."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:
        return ""
