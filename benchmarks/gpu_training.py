"""Tokens per second of masked-LM pretraining on a GPU: minibert beside transformers' BertForMaskedLM.

    python benchmarks/gpu_training.py --output training.json
    python benchmarks/gpu_training.py --dry-run                  tiny, on a CPU

A step is forward, loss, backward, clipping and AdamW in bfloat16 on 65,536 real tokens, 15 % of them masked.
Ours goes through `Run`, with each implementation of attention, eager and compiled; theirs is compiled and
not, with torch's attention and a fused AdamW, on the same batches, padded. Batches lie on the GPU beforehand.
`ceiling` is the share of this GPU's own rate of bfloat16 products that goes into operations which the step
cannot do without. The file is written after every contestant; a second run takes up what is left.
"""

import argparse
import functools
import itertools
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from gpu_clock import describe, machine_rates
from measure import Spread, timed
from pretraining_contestants import TRAINING, Prepared, Recipe, Theirs, padded
from pretraining_workload import Micro, Numbers, Plan, masked_batches, useful_flops
from torch import nn

from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.training.loop import Run

Step = Callable[[], float]


@dataclass(frozen=True)
class Job:
    """A model and its texts: "even", all of one length, or "ragged", as paragraphs are."""

    size: str
    sequence: int
    workload: str
    tokens: int = 65536
    vocab_size: int = 30528

    @property
    def config(self) -> EncoderConfig:
        """The encoder; "small-384" has 12 layers of 384 with 6 heads."""
        if self.size == "small-384":
            base = EncoderConfig.preset("base", self.vocab_size)
            return replace(base, hidden_size=384, num_attention_heads=6, intermediate_size=1536)
        return replace(
            EncoderConfig.preset(self.size, self.vocab_size), max_position_embeddings=self.sequence
        )


@functools.cache
def batches_of(job: Job) -> list[Micro]:
    """Return two masked batches."""
    plan = Plan(sequence=job.sequence, tokens=job.tokens)
    task = MaskedLM(Numbers(job.vocab_size), job.config)
    return masked_batches(task, plan.lengths(job.workload), 2)


JOBS = [
    Job("base", 128, "ragged"),
    Job("base", 512, "ragged"),
    Job("modern-base", 1024, "even"),
    Job("small-384", 512, "ragged"),
    Job("base", 128, "even"),
    Job("base", 512, "even"),
]
DRY = [Job("tiny", 16, "ragged", 64, 512), Job("modern-tiny", 16, "even", 64, 512)]


def ours(job: Job, batches: Sequence[Micro], device: str, attention: str, compiled: bool) -> Step:
    """Return a training step through `Run`."""
    torch.manual_seed(0)
    model = Model(Encoder(job.config), MaskedLM(Numbers(job.vocab_size), job.config)).to(device)
    config = replace(TRAINING, attention=attention, torch_compile=compiled, precision="bf16", device=device)
    steps: Iterator[Any] = iter(Run(model, Prepared(batches), config))
    return lambda: next(steps).loss


def theirs(job: Job, batches: Sequence[Micro], device: str, compiled: bool) -> Step:
    """Return a training step of transformers' model."""
    contestant = Theirs(Recipe(attention="sdpa", bf16=True, fused=True), job.config, [])
    model: Any = contestant.forward.to(device)
    forward = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=TRAINING.learning_rate, fused=True)
    turn = itertools.cycle([padded(*batch) for batch in batches])

    def step() -> float:
        ids, labels, mask = next(turn)
        with torch.autocast(device, torch.bfloat16):
            loss = forward(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), TRAINING.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    return step


def contestants(job: Job, device: str) -> dict[str, Callable[[Sequence[Micro]], Step]]:
    """Return who takes part."""
    names = ("triton", "varlen", "sdpa") if device == "cuda" else ("auto", "sdpa")
    found: dict[str, Callable[[Sequence[Micro]], Step]] = {}
    for name in names:
        found[f"minibert {name}"] = lambda batches, name=name: ours(job, batches, device, name, False)
    if device == "cuda":
        found["minibert triton compiled"] = lambda batches: ours(job, batches, device, "triton", True)
    if not job.size.startswith("modern"):
        found["transformers"] = lambda batches: theirs(job, batches, device, False)
        if device == "cuda":
            found["transformers compiled"] = lambda batches: theirs(job, batches, device, True)
    return found


def measure(job: Job, make: Callable[[Sequence[Micro]], Step], device: str, rate: float) -> dict[str, Any]:
    """Train, check that the loss begins at ln V, and return the speed."""
    batches = [(batch.to(device), targets.to(device)) for batch, targets in batches_of(job)]
    lengths, masked = batches[0][0].layout.lengths, len(batches[0][1].labels)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    step = make(batches)
    losses = [step() for _ in range(3 if device == "cuda" else 1)]
    if not abs(losses[0] / math.log(job.vocab_size) - 1) < 0.03:
        raise RuntimeError(
            f"the first loss {losses[0]:.3f} is not near ln {job.vocab_size}; nothing is timed"
        )
    seconds = [timed(step) for _ in range(12 if device == "cuda" else 2)]
    speed = Spread.of([sum(lengths) / taken for taken in seconds])
    return {
        "tokens_per_second": asdict(speed),
        "ceiling": useful_flops(job.config, lengths, masked) * speed.median / sum(lengths) / rate,
        "peak_bytes": torch.cuda.max_memory_allocated() if device == "cuda" else None,
        "step_seconds": statistics.median(seconds),
    }


def run(jobs: Sequence[Job], device: str, seconds: float, output: Path | None) -> dict[str, Any]:
    """Measure everybody that the file does not hold yet, as far as time allows."""
    record: dict[str, Any] = {"benchmark": "gpu_training", "machine": describe(device), "rows": []}
    if output and output.exists():
        before = json.loads(output.read_text("utf-8"))
        record["rows"] = before["rows"] if before["machine"] == record["machine"] else []
    start = time.perf_counter()
    size, copied = (8192, 2**28) if device == "cuda" else (64, 2**12)
    rates = machine_rates(device, torch.bfloat16, waiting(device), size=size, copied=copied)
    record["rates"] = rates
    known = [(row["job"], row["name"]) for row in record["rows"] if "skipped" not in row]
    record["rows"] = [row for row in record["rows"] if "skipped" not in row]
    for job in jobs:
        for name, make in contestants(job, device).items():
            row: dict[str, Any] = {"job": asdict(job), "name": name}
            if (row["job"], name) in known:
                continue
            if time.perf_counter() - start > seconds:
                row["skipped"] = "out of time"
            else:
                try:
                    row |= measure(job, make, device, rates["operations"])
                except Exception as error:  # noqa: BLE001  whoever fails is a row of the table too
                    row["failed"] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
            record["rows"].append(row)
            speed = row.get("tokens_per_second", {}).get("median", 0)
            print(
                f"{job.size} {job.sequence} {job.workload:7}{name:28}{speed:12,.0f} tokens/s", file=sys.stderr
            )
            if output:
                output.parent.mkdir(parents=True, exist_ok=True)
                output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def waiting(device: str) -> Callable[[Callable[[], object]], float]:
    """Return a wall clock that waits for the device."""

    def seconds(action: Callable[[], object]) -> float:
        def whole() -> None:
            action()
            if device == "cuda":
                torch.cuda.synchronize()

        return timed(whole)

    return seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="tiny models on a CPU: does it work?")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin with nobody after that")
    parser.add_argument("--output", type=Path, help="file for the JSON, written after every contestant")
    options = parser.parse_args(arguments)
    jobs, device = (DRY, "cpu") if options.dry_run else (JOBS, "cuda")
    print(json.dumps(run(jobs, device, options.seconds, options.output)))


if __name__ == "__main__":
    main()
