"""Where the time of our work goes, kernel by kernel, on a CPU: what an attempt to be faster has to shorten.

    python benchmarks/profile_step.py --output benchmarks/results/profile-cpu.json

Three kinds of work, as the other benchmarks define them: a step of pretraining at 4x256, a step of
fine-tuning MiniLM's weights on sst2, and the embedding of a thousand sentences. Each runs under torch's
profiler, which adds some microseconds to every operation; a share is of the kernels' own seconds.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from finetuning_contestants import Ours as Tuned
from measure import finish, say
from memory_contestants import OURS, take_steps
from pretraining_workload import FULL, small
from sentences import SHARED, manual, minilm, read
from torch.profiler import ProfilerActivity, profile

from minibert.allocator import keep_freed_memory
from minibert.embedding.loading import load_encoder

GROUPS = {  # the first name that an operation's own name holds decides
    "optimiser": ("adam", "foreach", "_norm_cpu", "linalg_vector_norm", "clip"),
    "products": ("mm", "linear", "matmul", "onednn", "mkldnn", "attention"),
    "activations and softmax": ("gelu", "softmax", "tanh", "silu", "exp", "logsumexp"),
    "norms": ("layer_norm", "rms_norm", "rsqrt"),
    "dropout and random numbers": ("dropout", "bernoulli", "random", "uniform", "rand"),
    "tables and rows": ("embedding", "index", "gather", "scatter"),
    "copies and new memory": ("copy", "clone", "cat", "contiguous", "empty", "zero", "fill", "resize", "to"),
    "sums and products of single numbers": ("add", "mul", "sub", "div", "sum", "neg", "where"),
}


@dataclass(frozen=True)
class Plan:
    """How much is done: steps (or repetitions) before and under the profiler."""

    shape: str = "4x256"
    warmup: int = 3
    steps: int = 8
    sentences: int = 1000
    batch_size: int = 32


DRY = Plan(warmup=1, steps=1, sentences=12, batch_size=4)


def works(plan: Plan, data: Path | None) -> dict[str, Callable[[], object]]:
    """Return what is profiled: a name and something that does it once."""
    shape = FULL[plan.shape] if data else small(FULL[plan.shape])
    labelled = read(data / "sst2/train.jsonl") if data else manual()
    pretraining = take_steps(OURS, shape)
    tuned = Tuned(minilm(), labelled, plan.batch_size, 10_000)
    encoder = load_encoder(minilm())
    texts = labelled.texts[: plan.sentences]
    return {
        f"pretraining {plan.shape}": pretraining.step,
        "fine-tuning": tuned.step,
        "embedding": lambda: encoder.embed(texts),
    }


def profiled(work: Callable[[], object], plan: Plan) -> dict[str, Any]:
    """Do the work under the profiler and return its seconds, by group and by operation."""
    for _ in range(plan.warmup):
        work()
    start = time.perf_counter()
    for _ in range(plan.steps):
        work()
    seconds = (time.perf_counter() - start) / plan.steps
    with profile(activities=[ProfilerActivity.CPU]) as record:
        for _ in range(plan.steps):
            work()
    spent = {event.key: event.self_cpu_time_total / 1e6 / plan.steps for event in record.key_averages()}
    calls = {event.key: event.count / plan.steps for event in record.key_averages()}
    total = sum(spent.values())
    groups: dict[str, float] = {}
    for name, share in spent.items():
        groups[group_of(name)] = groups.get(group_of(name), 0.0) + share / total
    most = sorted(spent, key=lambda name: -spent[name])[:16]
    return {
        "seconds": seconds,
        "profiled_seconds": total,
        "groups": dict(sorted(groups.items(), key=lambda pair: -pair[1])),
        "operations": [
            {"name": name, "share": spent[name] / total, "seconds": spent[name], "calls": calls[name]}
            for name in most
        ],
    }


def group_of(operation: str) -> str:
    """Return the group of an operation by its name.

    >>> group_of("aten::addmm"), group_of("aten::_fused_adamw_")
    ('products', 'optimiser')
    """
    name = operation.rpartition("::")[2].lower()
    return next((group for group, parts in GROUPS.items() if any(part in name for part in parts)), "the rest")


def table(name: str, result: dict[str, Any]) -> str:
    """Return one work's profile as lines for a person."""
    lines = [
        f"{name}: {1e3 * result['seconds']:.1f} ms, under the profiler {1e3 * result['profiled_seconds']:.1f}"
    ]
    lines += [f"  {group:<38}{share:6.1%}" for group, share in result["groups"].items()]
    lines += [
        f"    {row['name'][:44]:<46}{row['share']:6.1%}{1e3 * row['seconds']:9.1f} ms{row['calls']:7.0f} x"
        for row in result["operations"]
    ]
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str] | None = None) -> None:
    """Profile, print the tables and one JSON line, and write it where one asks for it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="tiny, on Python's manual")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the data sets")
    parser.add_argument("--threads", type=int, default=0, help="torch's threads; 0 leaves them")
    parser.add_argument("--output", type=Path, help="file for the JSON")
    options = parser.parse_args(arguments)
    plan = DRY if options.dry_run else Plan()
    kept = keep_freed_memory()
    if options.threads:
        torch.set_num_threads(options.threads)
    results = []
    for name, work in works(plan, None if options.dry_run else options.data).items():
        say(name)
        result = {"work": name, **profiled(work, plan)}
        print(table(name, result), flush=True)
        results.append(result)
    facts = {"plan": asdict(plan), "memory_is_kept": kept, "threads": torch.get_num_threads()}
    finish("profile", {**facts, "results": results}, options.output)


if __name__ == "__main__":
    main()
