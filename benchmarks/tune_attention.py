"""Choose the block sizes of the attention kernels, and write them into the table that is checked in.

    python benchmarks/tune_attention.py --arch 80       without a GPU: the compiler decides
    python benchmarks/tune_attention.py --by clock      on a GPU: the fastest one that is right
    python benchmarks/tune_attention.py --dry-run       the clock's way, tiny, in Triton's interpreter

The compiler's way takes, for every row, the first candidate that spills no registers, fits the shared memory
and is not serialized, in all ways to attend. The clock's way times all candidates that run, each checked
against float64 beforehand, and keeps the fastest; the kernels for sequences of any length get one number of
rows together, since they share a map of tiles. Where no candidate will do, a one-tile kernel gets no row, and
the general kernels serve its sequences. The table is written after every group of rows, and
a second run by the clock, with the same file, takes up the rest.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from gpu_clock import Clock, cold_cache_clock
from measure import timed
from torch import Tensor

from minibert.kernels.attention.fused import launch
from minibert.kernels.attention.fused.table import FILE, KERNELS, WHOLE, Blocks, Key, arch_of
from minibert.kernels.attention.fused.tiles import tile_map
from minibert.kernels.attention.reference import reference_attention
from minibert.packed import Layout

GENERAL = KERNELS[:3]
WIDTHS = (64, 32, 128)
COLUMNS = (64, 32, 16)
FLOAT32 = ((32, 32, 4), (16, 16, 4), (16, 16, 2))


def keys_of(arch: str) -> Iterator[list[Key]]:
    """Yield the rows that a kind of GPU may have, most used first; those in one list share their `rows`."""
    for width in WIDTHS:
        yield [Key(arch, 16, width, kernel) for kernel in GENERAL]
        yield from ([Key(arch, 16, width, kernel, whole)] for kernel in KERNELS[3:] for whole in WHOLE)
    for width in WIDTHS:
        yield [Key(arch, 32, width, kernel) for kernel in GENERAL]


def candidates(key: Key) -> list[Blocks]:
    """Return the blocks to try for a row, those that use a GPU best at the front."""
    stages = (1,) if key.kernel in ("backward_kv", "whole_backward", "whole_forward") else (2, 1)
    if key.bits == 32:
        return [Blocks(*sizes, 1) for sizes in FLOAT32]
    if key.kernel == "whole_forward":
        return [Blocks(key.whole, 64, warps, 1) for warps in (4, 8)] + [Blocks(key.whole, 32, 4, 1)]
    if key.kernel == "whole_backward":
        warps = (4, 8) if key.whole == 64 else (8, 4)
        return [Blocks(key.whole, columns, count, 1) for columns in COLUMNS for count in warps]
    sizes = [(64, 64, 4), (64, 32, 4), (64, 64, 8), (64, 32, 8), (64, 16, 4), (64, 16, 8)]
    sizes += [(32, 32, 4), (32, 16, 4), (128, 64, 8)]
    return [Blocks(*size, stage) for size in sizes for stage in stages]


def by_compiler(group: Sequence[Key]) -> dict[Key, Blocks]:
    """Return the first candidates without a fault; all rows of the group get the same number of rows."""
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
    from ahead_of_time import Job, compile_kernel, faults, read_off, ways_of

    arch = {"sm_90": "90a", "sm_80": "80", "sm_120": "120a"}[group[0].arch]

    def is_sound(key: Key, blocks: Blocks) -> bool:
        for way in ways_of(key):
            job = Job(key, blocks, key.width, "bf16" if key.bits == 16 else "fp32", way)
            found = read_off(compile_kernel(job, int(arch.rstrip("a"))), arch)
            wrong = faults(
                {**asdict(key), "size": key.width, "dtype": job.dtype, "way": asdict(way), **found}, arch
            )
            if wrong:
                say(f"  {blocks}: {wrong[0]}")
                return False
        return True

    for number in dict.fromkeys(blocks.rows for blocks in candidates(group[0])):
        found: dict[Key, Blocks] = {}
        for key in group:
            sound = (b for b in candidates(key) if b.rows == number and is_sound(key, b))
            first = next(sound, None)
            if first is None:
                break
            found[key] = first
        if len(found) == len(group):
            return found
    return {}


def by_clock(group: Sequence[Key], bench: "Bench") -> dict[Key, tuple[float, Blocks]]:
    """Return seconds and blocks of the fastest candidates that are right, their `rows` best together."""
    best: dict[int, dict[Key, tuple[float, Blocks]]] = {}
    for key in group:
        ahead = candidates(key)[
            0
        ].stages  # fewer loads ahead are for where the compiler runs out of registers
        for blocks in [blocks for blocks in candidates(key) if blocks.stages == ahead][: bench.most]:
            seconds = bench.seconds(key, blocks)
            if seconds is None:
                continue
            found = best.setdefault(blocks.rows, {})
            if key not in found or seconds < found[key][0]:
                found[key] = (seconds, blocks)
    complete = [found for found in best.values() if len(found) == len(group)]
    return min(complete, key=lambda found: sum(seconds for seconds, _ in found.values()), default={})


class Bench:
    """Where candidates are timed: on sequences of 512 tokens, or as long as a one-tile kernel may hold."""

    def __init__(self, device: str, *, dry: bool) -> None:
        self.device, self.dry = device, dry
        self.clock: Clock = timed if device == "cpu" else cold_cache_clock()
        self.most = 2 if dry else None
        self.tokens, self.longest, self.heads = (40, 20, 1) if dry else (65536, 512, 12)

    def seconds(self, key: Key, blocks: Blocks) -> float | None:
        """Return what a candidate takes, or None if it is wrong or does not run."""
        try:
            action, truth = self.action(key, blocks)
            error = (action()[: len(truth)].double() - truth).norm() / truth.norm()
            if not error < 3e-2:
                raise RuntimeError(f"wrong by {error:.1e}")
            seconds = statistics.median(self.clock(action) for _ in range(3 if self.dry else 15))
        except Exception as error:  # noqa: BLE001  too much shared memory, as a rule
            say(f"  {blocks}: {type(error).__name__}: {str(error).splitlines()[0][:100]}")
            return None
        say(f"  {blocks}: {1e6 * seconds:,.0f} us")
        return seconds

    def action(self, key: Key, blocks: Blocks) -> tuple[Callable[[], Tensor], Tensor]:
        """Return the start of a kernel, and its true result for the first sequence."""
        length = key.whole or self.longest
        layout = Layout.of([length] * max(1, self.tokens // length), self.device)
        dtype = torch.bfloat16 if key.bits == 16 and not self.dry else torch.float32
        shape = (layout.tokens, 4, self.heads, key.width)
        numbers = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(self.device, dtype)
        qkv, grad = numbers[:, :3].contiguous(), numbers[:, 3].contiguous()
        first = qkv[:length].double().requires_grad_()
        output = reference_attention(*first.unbind(1), Layout.of([length], self.device))
        (gradient,) = torch.autograd.grad(output, first, grad[:length].double())
        forward, backward = self.starts(qkv, grad, layout, blocks, key)
        return (forward, output.detach()) if key.kernel.endswith("forward") else (backward, gradient)

    def starts(
        self, qkv: Tensor, grad: Tensor, layout: Layout, blocks: Blocks, key: Key
    ) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
        """Return the starts of the forward and the backward kernels."""
        inputs, seed = qkv.unbind(1), torch.zeros(1, dtype=torch.int64, device=self.device)
        settings: dict[str, Any] = {"seed": seed, "rules": launch.Rules(-1, False, 0.0)}
        borders, into = layout.cu_seqlens, torch.empty_like(qkv)
        if key.whole:
            settings["blocks"] = blocks
            result = launch.whole_forward(qkv, borders, None, **settings)
            return (
                lambda: launch.whole_forward(qkv, borders, None, **settings)[0],
                lambda: launch.whole_backward(grad, qkv, result, borders, None, **settings),
            )
        sides = (launch.Side(borders, layout.once(tile_map, blocks.rows)),) * 2
        other = Blocks(blocks.rows, 16, 4, 1)  # the same for all candidates of the other pass
        pair = (blocks, other) if key.kernel == "backward_kv" else (other, blocks)
        result = launch.forward(*inputs, sides, blocks=blocks, **settings)

        def backward() -> Tensor:
            launch.backward(grad, inputs, result, sides, into=into.unbind(1), blocks=pair, **settings)
            return into

        return lambda: launch.forward(*inputs, sides, blocks=blocks, **settings)[0], backward


def say(message: str) -> None:
    """Tell a person, on stderr, how far things are."""
    print(message, file=sys.stderr, flush=True)


def as_row(key: Key, blocks: Blocks, seconds: float | None = None) -> dict[str, Any]:
    """Return a row of the table."""
    took = {} if seconds is None else {"microseconds": round(1e6 * seconds, 1)}
    return {**asdict(key), **asdict(blocks), **took}


def merge(file: Path, tried: set[Key], fresh: dict[Key, dict[str, Any]], measured_on: dict[str, str]) -> None:
    """Write our table with the rows that were tried replaced by the fresh ones."""
    ours = json.loads(FILE.read_text("utf-8"))
    named = [field.name for field in fields(Key)]
    kept = {key: row for row in ours["rows"] if (key := Key(*(row[name] for name in named))) not in tried}
    table = sorted({**kept, **fresh}.items(), key=lambda row: tuple(asdict(row[0]).values()))
    lines = ",\n  ".join(json.dumps(row) for _, row in table)
    head = json.dumps(ours["measured_on"] | measured_on)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'{{"measured_on": {head},\n "rows": [\n  {lines}\n ]}}\n', "utf-8")


def earlier(file: Path, measured_on: dict[str, str]) -> dict[Key, dict[str, Any]]:
    """Return the rows that an earlier run with this file has timed on this GPU."""
    if not measured_on or not file.exists():
        return {}
    table = json.loads(file.read_text("utf-8"))
    if not measured_on.items() <= table["measured_on"].items():
        return {}
    timed_rows = [row for row in table["rows"] if "microseconds" in row]
    return {Key(*(row[field.name] for field in fields(Key))): row for row in timed_rows}


def main(arguments: Sequence[str] | None = None) -> None:
    """Choose, and write the table after every group, so that a cut run keeps what it has."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--by", choices=("compiler", "clock"), default="compiler")
    parser.add_argument("--arch", choices=("90", "80", "120"), default="90", help="for the compiler's way")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no row after that")
    parser.add_argument("--dry-run", action="store_true", help="the clock's way on two rows, on a CPU")
    parser.add_argument("--output", type=Path, default=FILE, help="the table; unless told otherwise, ours")
    options = parser.parse_args(arguments)
    start, bench, measured_on = time.perf_counter(), None, dict[str, str]()
    arch = f"sm_{options.arch}"
    if options.by == "clock" or options.dry_run:
        bench = Bench("cpu" if options.dry_run else "cuda", dry=options.dry_run)
        arch = arch_of(torch.device(bench.device))
        measured_on[arch] = "a dry run" if options.dry_run else torch.cuda.get_device_name()
    fresh = earlier(options.output, measured_on)
    tried = {*fresh}
    groups = [group for group in keys_of(arch) if not {*group} <= tried]
    for group in groups[:2] if options.dry_run else groups:
        if time.perf_counter() - start > options.seconds:
            say(f"out of time: {group[0]} and what follows keep their rows")
            break
        say(str(group[0]))
        if bench:
            chosen = by_clock(group, bench)
            fresh |= {key: as_row(key, blocks, seconds) for key, (seconds, blocks) in chosen.items()}
        else:
            fresh |= {key: as_row(key, blocks) for key, blocks in by_compiler(group).items()}
        tried |= {*group}
        if not options.dry_run or options.output != FILE:
            merge(options.output, tried, fresh, measured_on)
    record = {"benchmark": "tune_attention", "measured_on": measured_on, "rows": len(fresh)}
    print(json.dumps(record))


if __name__ == "__main__":
    main()
