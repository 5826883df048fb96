"""Tokens per second of masked-LM pretraining on a CPU: minibert beside transformers' BertForMaskedLM.

    python benchmarks/pretraining.py --output benchmarks/results/pretraining-cpu.json

Two workloads of 8,192 tokens a step: *even*, all texts of 128 tokens, where nobody pads; and *ragged*, where
texts differ in length as paragraphs do, and transformers pads. Two allocators, each in a process of its own:
*keep* keeps freed memory for the next step, *system* does what glibc does by itself; whichever it is, all
contestants live in that one process.

First the checks (as many weights as theirs, a first loss of ln V), then the fastest of the ways to run
transformers is chosen, then all take turns (see `measure`). A ratio compares medians of one round. "ceiling" is the
share of the machine's own rate of matrix products that is spent on operations which the step cannot do without.

Left out: loading and masking data (the same for all, done before); gradient accumulation; GPUs.
"""

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import PRODUCT, Spread, alternate, machine, product, ratios
from pretraining_contestants import (
    Micro,
    Numbers,
    Ours,
    Recipe,
    Theirs,
    candidates,
    masked_batches,
    useful_flops,
)

from minibert.allocator import keep_freed_memory
from minibert.model.config import EncoderConfig
from minibert.tasks.masked_lm import MaskedLM

WORKLOADS = {"keep": ("even", "ragged"), "system": ("even",)}
PRODUCTS = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Plan:
    """How much is measured; tokens is what a step of the even workload has."""

    size: str = "mini"
    vocab_size: int = 8192
    sequence: int = 128
    tokens: int = 8192
    batches: int = 4
    warmup: int = 3
    rounds: int = 5
    steps: int = 3
    compile_too: bool = True

    def lengths(self, workload: str) -> list[int]:
        """Return the lengths of a step's texts."""
        if workload == "even":
            return [self.sequence] * (self.tokens // self.sequence)
        # Paragraphs: log-normal, the median 2/5 of the longest, and one of them full, so that all steps pad alike.
        random = np.random.default_rng(0)
        lengths = [self.sequence]
        while sum(lengths) < self.tokens:
            lengths.append(
                int(np.clip(random.lognormal(math.log(0.4 * self.sequence), 0.8), 4, self.sequence))
            )
        return lengths


FULL = Plan()
DRY = Plan(
    size="tiny",
    vocab_size=512,
    sequence=32,
    tokens=512,
    batches=2,
    warmup=2,
    rounds=2,
    steps=2,
    compile_too=False,
)


def say(message: str) -> None:
    """Tell a person, on stderr, how far things are."""
    print(message, file=sys.stderr, flush=True)


def warm_up(contestant: Ours | Theirs, plan: Plan) -> float:
    """Take the steps that are not timed, check the first of their losses and return it."""
    losses = [contestant.step() for _ in range(plan.warmup)]
    wanted = math.log(plan.vocab_size)
    if abs(losses[0] / wanted - 1) > 0.02:
        raise RuntimeError(
            f"{contestant.name}: the first loss {losses[0]:.3f} is not within 2 % of ln {plan.vocab_size} = "
            f"{wanted:.3f}; nothing is timed"
        )
    say(f"  {contestant.name}: first loss {losses[0]:.3f}")
    return losses[0]


def choose_best(
    config: EncoderConfig, batches: Sequence[Micro], plan: Plan, recipes: Sequence[Recipe]
) -> tuple[Theirs, dict[str, Any]]:
    """Return the fastest way to run transformers, and the seconds per step of all of them (or why there is none)."""
    seconds: dict[str, Any] = {}
    runners = []
    for recipe in recipes:
        theirs = Theirs(recipe, config, batches)
        try:
            warm_up(theirs, plan)
        except RuntimeError as error:
            if not recipe.compiled:
                raise
            seconds[theirs.name] = f"does not run here: {str(error).splitlines()[0]}"
            continue
        runners.append(theirs)
    timings = alternate([theirs.step for theirs in runners], rounds=2, steps=2)
    medians = [Spread.of(sum(rounds, [])).median for rounds in timings]
    seconds |= {theirs.name: median for theirs, median in zip(runners, medians, strict=True)}
    return runners[medians.index(min(medians))], seconds


def measure(workload: str, plan: Plan, recipes: Sequence[Recipe]) -> dict[str, Any]:
    """Check and time everyone on one workload."""
    lengths = plan.lengths(workload)
    classic = EncoderConfig.preset(plan.size, plan.vocab_size)
    modern = EncoderConfig.preset(f"modern-{plan.size}", plan.vocab_size)
    batches = masked_batches(MaskedLM(Numbers(plan.vocab_size), classic), lengths, plan.batches)
    say(f"{workload}: {len(lengths)} texts, {sum(lengths):,} tokens a step")
    best, seconds = choose_best(classic, batches, plan, recipes)
    contestants = [
        Ours(f"minibert {plan.size}", classic, batches),
        Ours(f"minibert modern-{plan.size}", modern, batches),
        Theirs(Recipe(), classic, batches),
        best,
    ]
    if contestants[0].weights != best.weights:
        raise RuntimeError(
            f"ours has {contestants[0].weights} weights, theirs {best.weights}: not the same shape"
        )
    first = [warm_up(contestant, plan) for contestant in contestants[:-1]]
    products = {name: product(dtype) for name, dtype in PRODUCTS.items()}
    actions = [contestant.step for contestant in contestants] + list(products.values())
    timings = alternate(actions, rounds=plan.rounds, steps=plan.steps)
    rates = {
        name: 2 * PRODUCT**3 / Spread.of(sum(rounds, [])).median
        for name, rounds in zip(products, timings[len(contestants) :], strict=True)
    }
    masked = len(batches[0][1].labels)
    return {
        "workload": workload,
        "texts": len(lengths),
        "tokens": sum(lengths),
        "masked": masked,
        "padding": 1 - sum(lengths) / (len(lengths) * max(lengths)),
        "products_per_second": rates,
        "ways_to_run_transformers": seconds,
        "first_losses": first,
        "rows": rows(contestants, timings, lengths, masked=masked, rates=rates),
    }


def rows(
    contestants: Sequence[Ours | Theirs],
    timings: Sequence[Sequence[Sequence[float]]],
    lengths: Sequence[int],
    *,
    masked: int,
    rates: dict[str, float],
) -> list[dict[str, Any]]:
    """Sum up what each contestant did; the last two of them are the ones to compare with."""
    shipped, best = timings[len(contestants) - 2], timings[len(contestants) - 1]
    found = []
    for contestant, rounds in zip(contestants, timings, strict=False):
        speeds = Spread.of([sum(lengths) / seconds for seconds in sum(rounds, [])])
        precision = "bf16" if contestant.dtype == torch.bfloat16 else "fp32"
        flops = useful_flops(contestant.config, lengths, masked)
        found.append(
            {
                "name": contestant.name,
                "precision": precision,
                "weights": contestant.weights,
                "tokens_per_second": asdict(speeds),
                "over_shipped": asdict(ratios(rounds, shipped)),
                "over_best": asdict(ratios(rounds, best)),
                "ceiling": flops * speeds.median / sum(lengths) / rates[precision],
                "seconds": rounds,
            }
        )
    return found


def table(result: dict[str, Any]) -> str:
    """Return a result as lines for a person."""
    lines = [
        f"{result['workload']}, allocator {result['allocator']}: {result['texts']} texts, "
        f"{result['tokens']:,} tokens a step, padding {result['padding']:.0%}",
        f"  {'':<34}{'':6}{'tokens/s':>9} {'(20th-80th pct)':>18}{'x shipped':>11}{'x best':>8}{'ceiling':>9}",
    ]
    for row in result["rows"]:
        speed = row["tokens_per_second"]
        between = f"({speed['low']:,.0f}-{speed['high']:,.0f})"
        lines.append(
            f"  {row['name']:<34}{row['precision']:6}{speed['median']:>9,.0f} {between:>18}"
            f"{row['over_shipped']['median']:>11.2f}{row['over_best']['median']:>8.2f}{row['ceiling']:>9.0%}"
        )
    rates = ", ".join(f"{name} {rate / 1e9:,.0f}" for name, rate in result["products_per_second"].items())
    return "\n".join([*lines, f"  matrix products, billions of operations a second: {rates}", ""])


def measure_here(allocator: str, plan: Plan, only: str | None) -> list[dict[str, Any]]:
    """Measure all workloads of one allocator in this process and print their tables."""
    kept = keep_freed_memory() if allocator == "keep" else False
    recipes = [r for r in candidates(compile_too=plan.compile_too) if only in (None, r.name)]
    results = []
    for workload in WORKLOADS[allocator]:
        results.append({"allocator": allocator, "kept": kept, **measure(workload, plan, recipes)})
        print(table(results[-1]), flush=True)
        recipes = [r for r in recipes if r.name == results[0]["rows"][-1]["name"]]
    return results


def measure_apart(allocator: str, arguments: list[str]) -> list[dict[str, Any]]:
    """Measure one allocator in a fresh process, pass its tables on, and return its results."""
    command = [sys.executable, __file__, "--allocator", allocator, *arguments]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    tables, _, line = answer.rstrip("\n").rpartition("\n")
    print(tables, flush=True)
    results: list[dict[str, Any]] = json.loads(line)["results"]
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables and one JSON line, and write it where one asks for it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="tiny shapes, nothing compiled: does it work?")
    parser.add_argument("--allocator", choices=WORKLOADS, help="this one only, in this process")
    parser.add_argument("--only", metavar="NAME", help="the one way of running transformers that is tried")
    parser.add_argument("--output", type=Path, help="file for the JSON")
    options = parser.parse_args(arguments)
    plan = DRY if options.dry_run else FULL
    if options.allocator:
        results = measure_here(options.allocator, plan, options.only)
    else:
        dry = ["--dry-run"] if options.dry_run else []
        results = measure_apart("keep", dry)
        results += measure_apart("system", [*dry, "--only", results[0]["rows"][-1]["name"]])
    record = {"benchmark": "pretraining", "machine": machine(), "plan": asdict(plan), "results": results}
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record))


if __name__ == "__main__":
    main()
