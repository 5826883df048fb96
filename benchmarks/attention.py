"""Seconds of attention, forward and forward + backward: ours beside what else there is.

    python benchmarks/attention.py --device cpu --output benchmarks/results/attention-cpu.json
    python benchmarks/attention.py --device cuda --output benchmarks/results/attention-gpu.json

Lengths from 32 to 8,192 tokens, equal and ragged, whole and within a window; every shape is reported, the
lost ones too, and whoever cannot do one is listed with the reason. Nobody is timed before output and gradient
of the first sequences agree with the equation in float64. Contestants take turns (see `measure`), a ratio
compares medians of one round. `floor` is the share of the time below which this machine cannot come
(attention_shapes.py); numbers that stay in a CPU's cache may beat its memory floor. On a CPU the allocator
keeps freed memory, for everybody.

On a GPU, time is that between two CUDA events, with a cold cache; where a floor is under 50 microseconds and
starting kernels is what takes the time, a captured graph is replayed besides. The file is written after every
shape, and a run with the same file, on the same machine and commit, goes on where it ended.
"""

import argparse
import functools
import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from attention_contestants import (
    BACKENDS,
    MANY,
    Contestant,
    Problem,
    flex,
    modules,
    ours,
    sdpa,
    triton,
    varlen,
)
from attention_shapes import DRY, PASSES, Shape, floor, on_cpu, on_gpu
from gpu_clock import Clock, captured, cold_cache_clock, describe, machine_rates
from measure import Spread, alternate, ratios, timed

from minibert.allocator import keep_freed_memory
from minibert.kernels.attention.reference import reference_attention
from minibert.packed import Layout

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 5e-3}
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
HOST_BOUND = 50e-6


@dataclass(frozen=True)
class Plan:
    """How much is measured: shapes, types, rounds, steps of each contestant in a round, seconds in all."""

    device: str
    shapes: Sequence[Shape]
    types: Sequence[str]
    rounds: int = 5
    steps: int = 3
    seconds: float = float("inf")
    product_size: int = 2048
    copied: int = 2**28
    where: str = "cpu"


def entries(problem: Problem, plan: Plan) -> dict[str, Callable[[], Contestant]]:
    """Return who takes part in a shape; the first one is ours, with which the others are compared."""
    padded = functools.partial(functools.partial, sdpa, problem)
    found: dict[str, Callable[[], Contestant]] = {}
    if plan.device == "cuda":
        found["minibert triton"] = lambda: triton(problem)
        found["torch varlen"] = lambda: varlen(problem)
        for name, backend in BACKENDS.items():
            found[name] = functools.partial(problem.padded, name, padded(backend))
        found["flex"] = lambda: flex(problem)
    else:
        found["minibert"] = lambda: ours(problem, "auto")
        found["minibert sdpa"] = lambda: ours(problem, "sdpa")
        found["torch sdpa"] = functools.partial(problem.padded, "torch sdpa", padded(None))
    found["minibert reference"] = lambda: ours(problem, "reference")
    if plan.device == "cpu" and problem.shape.window is None:
        found["minibert module"] = lambda: modules(problem)[0]
        found["torch module"] = lambda: modules(problem)[1]
    return found


def refusal(name: str, problem: Problem) -> str | None:
    """Return why somebody is not asked at all."""
    sequences = len(problem.layout.lengths)
    if name == "minibert reference" and sequences > MANY:
        return f"one sequence at a time: not timed on {sequences}"
    if name == "sdpa flash" and problem.mask is not None:
        return "takes no mask"
    if name == "flex" and problem.layout.tokens < 65536 and problem.qkv.is_cuda:
        return "compiling it takes longer than all the rest: large batches only"
    return None


Errors = dict[str, dict[str, float]]


def gather(problem: Problem, plan: Plan) -> tuple[list[Contestant], Errors, dict[str, str]]:
    """Return the contestants that are right, their errors, and why the others are not there."""
    ready, errors, absent = [], {}, {}
    for name, make in entries(problem, plan).items():
        reason = refusal(name, problem)
        if reason is None:
            try:
                contestant = make()
                errors[name] = check(contestant, problem)
                ready.append(contestant)
            except Exception as error:  # noqa: BLE001  whoever fails is a row of the table too
                reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160]}"
        if reason is not None:
            absent[name] = reason
    return ready, errors, absent


def check(contestant: Contestant, problem: Problem) -> dict[str, float]:
    """Return how far output and gradient are from float64, relative to its norm, on the first two sequences.

    Raises RuntimeError where that is too far.
    """
    layout = Layout.of(problem.layout.lengths[:2])
    is_module = len(contestant.inputs) > 1
    with torch.no_grad():
        data, grad = (
            contestant.packed(x)[: layout.tokens].double().cpu()
            for x in (contestant.inputs[0], contestant.grad)
        )
    leaf = data.requires_grad_()
    weights = [weight.detach().double().cpu() for weight in contestant.inputs[1:]]
    qkv = F.linear(leaf, *weights[:2]).unflatten(1, (3, problem.shape.heads, -1)) if is_module else leaf
    output = reference_attention(*qkv.unbind(1), layout, window=problem.shape.window)
    wanted = F.linear(output.flatten(1), *weights[2:]) if is_module else output
    truths = [x.detach() for x in (wanted, wanted, *torch.autograd.grad(wanted, leaf, grad))]
    raw = (contestant.forward(), *contestant.both()[:2])
    found = [contestant.packed(x.detach())[: layout.tokens].double().cpu() for x in raw]
    errors = {
        name: float((mine - true).norm() / true.norm())
        for name, mine, true in zip(("alone", "output", "gradient"), found, truths, strict=True)
    }
    if not max(errors.values()) < TOLERANCE[problem.qkv.dtype]:
        raise RuntimeError(f"wrong by {errors['alone']:.1e} forward, {errors['gradient']:.1e} backward")
    return errors


def measure(problem: Problem, plan: Plan, rates: dict[str, float], clock: Clock) -> dict[str, Any]:
    """Check and time everyone on one shape."""
    ready, errors, absent = gather(problem, plan)
    shape, dtype = problem.shape, problem.qkv.dtype
    rows: dict[str, dict[str, Any]] = {c.name: {"name": c.name, "error": errors[c.name]} for c in ready}
    floors = {part: floor(shape, part, dtype, rates) for part in PASSES}
    for part in PASSES:
        actions = {c.name: getattr(c, part) for c in ready}
        if plan.where == "cuda" and floors[part][0] < HOST_BOUND:
            quick = [contestant for contestant in ready if "reference" not in contestant.name]
            actions |= {f"{c.name}, graph": captured(getattr(c, part)) for c in quick}
        rounds_of = alternate([*actions.values()], rounds=plan.rounds, steps=plan.steps, clock=clock)
        timings = dict(zip(actions, rounds_of, strict=True))
        for name, rounds in timings.items():
            spread = Spread.of([*itertools.chain(*rounds)])
            row = rows.setdefault(name, {"name": name})
            row[part] = {**asdict(spread), "of_floor": floors[part][0] / spread.median}
            mine = "minibert module" if name.endswith("module") else next(iter(timings))
            row[part]["ours_is_faster"] = asdict(ratios(timings[mine], rounds))
    return {
        "shape": asdict(shape),
        "dtype": str(dtype).removeprefix("torch."),
        "sequences": len(problem.layout.lengths),
        "floors": {part: {"seconds": least, "bound": bound} for part, (least, bound) in floors.items()},
        "rows": list(rows.values()),
        "absent": absent,
    }


def table(result: dict[str, Any]) -> str:
    """Return a shape's result as lines for a person."""
    shape = result["shape"]
    within = "" if shape["window"] is None else f", window {shape['window']}"
    lines = [
        f"{shape['kind']}, at most {shape['longest']} tokens{within}, {result['sequences']} sequences, "
        f"{shape['heads']} heads of {shape['size']}, {result['dtype']}",
        f"{'forward ms':>34}{'floor':>8}{'ours x':>8}{'both ms':>12}{'floor':>8}{'ours x':>8}",
    ]
    for row in result["rows"]:
        cells = "".join(
            f"{1e3 * row[part]['median']:>{width}.3f}{row[part]['of_floor']:>8.0%}"
            f"{row[part]['ours_is_faster']['median']:>8.2f}"
            if part in row
            else " " * (width + 16)
            for part, width in zip(PASSES, (10, 12), strict=True)
        )
        lines.append(f"  {row['name']:<22}{cells}")
    return "\n".join([*lines, *(f"  {name:<22}  {why}" for name, why in result["absent"].items()), ""])


def run(plan: Plan, output: Path | None) -> dict[str, Any]:
    """Measure all shapes that the file does not hold yet, as far as time allows."""
    record: dict[str, Any] = {
        "benchmark": "attention",
        "device": plan.device,
        "machine": describe(plan.where),
    }
    record |= {"rates": {}, "results": [], "skipped": []}
    if output and output.exists():
        before = json.loads(output.read_text("utf-8"))
        record["results"] = before["results"] if before["machine"] == record["machine"] else []
    known = [(result["shape"], result["dtype"]) for result in record["results"]]
    start, clock = time.perf_counter(), timed if plan.where == "cpu" else cold_cache_clock()
    for name in plan.types:
        rates = machine_rates(plan.where, TYPES[name], clock, size=plan.product_size, copied=plan.copied)
        record["rates"][name] = rates
        for shape in plan.shapes:
            if (asdict(shape), str(TYPES[name]).removeprefix("torch.")) in known:
                continue
            if time.perf_counter() - start > plan.seconds:
                record["skipped"].append({"shape": asdict(shape), "dtype": name, "why": "out of time"})
                continue
            result = measure(Problem.of(shape, TYPES[name], plan.where), plan, rates, clock)
            record["results"].append(result)
            print(table(result), flush=True)
            if output:
                output.parent.mkdir(parents=True, exist_ok=True)
                output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def plan_for(device: str, types: Sequence[str] | None, seconds: float, *, dry: bool) -> Plan:
    """Return what is measured on a device; a dry run takes tiny shapes, and a CPU where there is no GPU."""
    where = "cuda" if device == "cuda" and (torch.cuda.is_available() or not dry) else "cpu"
    if dry:
        return Plan(device, DRY, types or ["fp32"], 2, 1, seconds, 64, 2**12, where)
    if device == "cuda":
        return Plan(device, on_gpu(), types or ["bf16"], 5, 5, seconds, 8192, 2**30, where)
    return Plan(device, on_cpu(), types or ["fp32", "bf16"], seconds=seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables and one JSON line, and write it where one asks for it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--types", nargs="+", choices=TYPES, help="cpu: fp32 bf16; cuda: bf16")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no shape after that")
    parser.add_argument("--dry-run", action="store_true", help="tiny shapes: does it work?")
    parser.add_argument("--output", type=Path, help="file for the JSON, written after every shape")
    options = parser.parse_args(arguments)
    plan = plan_for(options.device, options.types, options.seconds, dry=options.dry_run)
    if plan.where == "cpu":
        keep_freed_memory()
    print(json.dumps(run(plan, options.output)))


if __name__ == "__main__":
    main()
