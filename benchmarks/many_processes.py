"""What a second process brings, and what a model in pieces takes: speed and memory on one machine's CPUs.

    python benchmarks/many_processes.py --output benchmarks/results/many-processes-cpu.json

*Speed*: one and the same step of two packs, by one process with one thread, by one with two threads, and by
two with one thread each; the losses have to agree before a time counts. Efficiency is the speed of two
processes over twice that of one, round by round, and *adding up* is what the gradients' sum alone takes.

*Memory*: the most that each of two processes has in RAM beyond its imports, with the model whole and in
pieces (FSDP2 over gloo), beside what its weights, gradients and moments take.

Left out: GPUs and networks. One machine's processes share its memory bus and its caches; what they send each
other never leaves it.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from measure import Spread, finish, say
from pretraining_workload import FULL, Micro, Numbers, Plan, masked_batches, small
from resident import Peak, resident
from torch import Tensor

from minibert.distributed.joining import joined
from minibert.distributed.sharding import is_sharded
from minibert.model.encoder import Encoder
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.training.config import TrainingConfig
from minibert.training.loop import Run

PACKS = 2  # of a step
SPEEDS = {"one": (1, 1), "one with two threads": (1, 2), "two": (2, 1)}  # processes, threads of each
MEMORIES = {"whole": False, "in pieces": True}
SHAPES = {"speed": "4x256", "memory": "12x768"}
MEGA = 2**20


@dataclass(frozen=True)
class Packs:
    """The same packs in every step."""

    packs: list[Micro]
    steps_per_epoch: int = 1

    def at(self, step: int, progress: float) -> list[Micro]:
        return self.packs


def plan_of(kind: str, dry: bool) -> Plan:
    """Return what is worked on; a pack has half of the plan's tokens."""
    plan = FULL[SHAPES[kind]]
    return small(plan) if dry else plan


def start(plan: Plan, *, fsdp: bool, steps: int) -> Run:
    """Return a run whose steps have two packs of half the plan's tokens each."""
    torch.manual_seed(0)
    task = MaskedLM(Numbers(plan.vocab_size), plan.classic)
    lengths = replace(plan, tokens=plan.tokens // PACKS).lengths("even")
    packs = masked_batches(task, lengths, PACKS)
    config = TrainingConfig(max_steps=steps, precision="fp32", device="cpu", fsdp=fsdp)
    return Run(Model(Encoder(plan.classic), task), Packs(packs), config)


def speed(plan: Plan, *, dry: bool) -> dict[str, Any]:
    """Return losses, seconds of each step after the first two, and those of adding up alone."""
    run = start(plan, fsdp=False, steps=5 if dry else 8)
    steps = list(run)
    for weight in run.optimizers.weights:
        weight.grad = torch.zeros_like(weight)
    adding = []
    for _ in range(3 if dry else 7):
        before = time.perf_counter()
        run.ranks.sum_gradients(run.optimizers.weights)
        adding.append(time.perf_counter() - before)
    return {
        "losses": [step.loss for step in steps],
        "tokens": steps[0].tokens,
        "seconds": [step.seconds for step in steps[2:]],
        "adding_up": statistics.median(adding),
    }


def memory(plan: Plan, *, fsdp: bool) -> dict[str, Any]:
    """Return the bytes of weights and moments in this process, and the most beyond the imports."""
    list(start(plan_of("memory", True), fsdp=fsdp, steps=2))  # what is imported at the first step
    before = resident()
    with Peak() as peak:
        run = start(plan, fsdp=fsdp, steps=3)
        steps = list(run)
    assert is_sharded(run.model) == fsdp
    weights = list(run.model.parameters())
    moments = [
        moment for part in run.optimizers.parts for state in part.state.values() for moment in state.values()
    ]
    return {
        "losses": [step.loss for step in steps],
        "held": sum(map(bytes_of, [*weights, *weights, *moments])),  # gradients are as large as weights
        "peak": peak.bytes - before,
        "how": peak.how,
    }


def bytes_of(tensor: Any) -> int:
    """Return the bytes of a tensor, or of the piece that is here."""
    if not isinstance(tensor, Tensor):
        return 0
    local = getattr(tensor, "to_local", lambda: tensor)()
    size: int = local.nbytes
    return size


def work(options: argparse.Namespace) -> None:
    """Be one of the processes; leave what was measured in a file for each."""
    kind, name = options.worker
    torch.set_num_threads(SPEEDS[name][1] if kind == "speed" else 1)
    with joined() as ranks:
        plan = plan_of(kind, options.dry_run)
        found = speed(plan, dry=options.dry_run) if kind == "speed" else memory(plan, fsdp=MEMORIES[name])
    (options.folder / f"{ranks.rank}.json").write_text(json.dumps(found), encoding="utf-8")


def together(kind: str, name: str, dry: bool) -> list[dict[str, Any]]:
    """Start the processes of one contestant and return what each has measured."""
    size = SPEEDS[name][0] if kind == "speed" else 2
    say(f"{kind}: {name}")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={size}"]
        command += [__file__, "--worker", kind, name, "--folder", folder, *(["--dry-run"] if dry else [])]
        subprocess.run(command, check=True, stdout=sys.stderr)
        return [json.loads(path.read_text("utf-8")) for path in sorted(Path(folder).iterdir())]


def agree(found: Sequence[dict[str, Any]]) -> None:
    """Raise ValueError where the processes of some contestants have not learnt the same."""
    for other in found[1:]:
        for mine, theirs in zip(found[0]["losses"], other["losses"], strict=True):
            if not math.isclose(mine, theirs, rel_tol=1e-3):
                raise ValueError(f"losses {mine} and {theirs} differ: nothing is compared")


def speeds(dry: bool, rounds: int) -> dict[str, Any]:
    """Measure all contestants in turn, round after round."""
    taken: dict[str, list[float]] = {name: [] for name in SPEEDS}
    adding = []
    for _ in range(rounds):
        first = {name: together("speed", name, dry)[0] for name in SPEEDS}
        agree([*first.values()])
        for name, found in first.items():
            taken[name].append(found["tokens"] / statistics.median(found["seconds"]))
        adding.append(first["two"]["adding_up"] / statistics.median(first["two"]["seconds"]))
    pairs = list(zip(taken["two"], taken["one"], strict=True))
    return {
        "shape": plan_of("speed", dry).shape,
        "tokens_per_second": {name: vars(Spread.of(values)) for name, values in taken.items()},
        "efficiency": vars(Spread.of([two / (2 * one) for two, one in pairs])),
        "adding_up_share": vars(Spread.of(adding)),
    }


def memories(dry: bool) -> dict[str, Any]:
    """Measure the memory of a model that is whole in each process, and of one in pieces."""
    found = {name: together("memory", name, dry) for name in MEMORIES}
    agree([*found["whole"], *found["in pieces"]])
    rows = {
        name: {key: max(one[key] for one in many) for key in ("held", "peak", "how")}
        for name, many in found.items()
    }
    shares = {key: rows["in pieces"][key] / rows["whole"][key] for key in ("held", "peak")}
    return {"shape": plan_of("memory", dry).shape, "processes": 2, "rows": rows, "pieces_over_whole": shares}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a line for each thing and one JSON line, and write it where one asks for it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="tiny shapes: does it work?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", nargs=2, metavar=("KIND", "NAME"), help="be one of the processes")
    parser.add_argument("--folder", type=Path, help="where a worker leaves what it has measured")
    parser.add_argument("--output", type=Path, help="file for the JSON")
    options = parser.parse_args(arguments)
    if options.worker:
        work(options)
        return
    speed_facts = speeds(options.dry_run, 1 if options.dry_run else options.rounds)
    for name, spread in speed_facts["tokens_per_second"].items():
        print(f"{name:<24}{spread['median']:>10,.0f} tokens/s")
    print(f"{'efficiency of two':<24}{speed_facts['efficiency']['median']:>10.2f}")
    memory_facts = memories(options.dry_run)
    for name, row in memory_facts["rows"].items():
        held, peak = round(row["held"] / MEGA), round(row["peak"] / MEGA)
        print(f"{name:<24}{held:>10,} MiB held, {peak:,} MiB at most beyond the imports")
    finish("many processes", {"speed": speed_facts, "memory": memory_facts}, options.output)


if __name__ == "__main__":
    main()
