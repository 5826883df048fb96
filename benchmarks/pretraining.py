"""Tokens per second of masked-LM pretraining on a CPU: minibert beside transformers' BertForMaskedLM.

    python benchmarks/pretraining.py --output benchmarks/results/pretraining-cpu.json

Two workloads of 8,192 tokens a step: *even*, all texts of 128 tokens, where nobody pads; and *ragged*, where
texts differ in length as paragraphs do, and transformers pads. Two allocators, each in a process of its own:
*keep* keeps freed memory for the next step, *system* does what glibc does by itself; whichever it is, all
contestants live in that one process.

The checks come first: as many weights as theirs, a first loss of ln V, and in the end a lower one. Then the
fastest way to run transformers is looked for, and all take turns (see `measure`). A ratio compares medians of
one round. "ceiling" is the share of the machine's own rate of matrix products that goes into operations which
the step cannot do without.

Left out: loading and masking data (the same for all, done before); gradient accumulation; GPUs.
"""

import argparse
import itertools
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from measure import Spread, alternate, machine, product, ratios, timed
from pretraining_contestants import Ours, Recipe, Theirs, best_recipes
from pretraining_workload import DRY, FULL, Micro, Numbers, Plan, masked_batches, useful_flops

from minibert.allocator import keep_freed_memory
from minibert.model.config import EncoderConfig
from minibert.tasks.masked_lm import MaskedLM

WORKLOADS = {"keep": ("even", "ragged"), "system": ("even",)}
PRODUCTS = {"fp32": torch.float32, "bf16": torch.bfloat16}
NEAR = 1.5  # a recipe that takes this many times the fastest one's time is not worth compiling


def say(message: str) -> None:
    """Tell a person, on stderr, how far things are."""
    print(message, file=sys.stderr, flush=True)


def warm_up(contestant: Ours | Theirs, plan: Plan) -> None:
    """Take the steps that are not timed, and check the loss of the first."""
    for _ in range(plan.warmup):
        contestant.step()
    loss, wanted = contestant.losses[0], math.log(plan.vocab_size)
    if not abs(loss / wanted - 1) < 0.02:
        raise RuntimeError(
            f"{contestant.name}: the first loss {loss:.3f} is not within 2 % of ln {plan.vocab_size} = "
            f"{wanted:.3f}; nothing is timed"
        )
    say(f"  {contestant.name}: first loss {loss:.3f}")


def find_best(
    config: EncoderConfig,
    batches: Sequence[Micro],
    plan: Plan,
    recipes: Sequence[Recipe],
    *,
    compile_too: bool,
) -> tuple[Theirs, dict[str, Any]]:
    """Return the fastest way to run transformers, and the seconds per step of all (or why there are none).

    Where asked for, recipes that are near the fastest one have a second go, compiled.
    """
    seconds: dict[str, Any] = {}
    running: dict[float, Theirs] = {}
    waiting = list(recipes)
    while waiting:
        theirs = Theirs(waiting.pop(0), config, batches)
        try:
            warm_up(theirs, plan)
        except RuntimeError as error:  # no C++ compiler, as a rule
            if not theirs.recipe.compiled or not (waiting or running):
                raise
            seconds[theirs.name] = str(error).splitlines()[0]
            continue
        taken = statistics.median(timed(theirs.step) for _ in range(plan.steps))
        seconds[theirs.name], running[taken] = taken, theirs
        if not waiting and compile_too and not theirs.recipe.compiled:
            near = [other.recipe for time, other in running.items() if time < NEAR * min(running)]
            waiting = [replace(recipe, compiled=True) for recipe in near]
    return running[min(running)], seconds


def measure(workload: str, plan: Plan, recipes: Sequence[Recipe], *, first: bool) -> dict[str, Any]:
    """Check and time everyone on one workload; all but the first have a step less in each round."""
    lengths = plan.lengths(workload)
    classic = EncoderConfig.preset(plan.size, plan.vocab_size)
    modern = EncoderConfig.preset(f"modern-{plan.size}", plan.vocab_size)
    batches = masked_batches(MaskedLM(Numbers(plan.vocab_size), classic), lengths, plan.batches)
    say(f"{workload}: {len(lengths)} texts, {sum(lengths):,} tokens a step")
    compile_too = first and plan.compile_too
    best, seconds = find_best(classic, batches, plan, recipes, compile_too=compile_too)
    ours = [
        Ours(f"minibert {plan.size}", classic, batches),
        Ours(f"minibert modern-{plan.size}", modern, batches),
    ]
    shipped = Theirs(Recipe(), classic, batches)
    if ours[0].weights != best.weights:
        raise RuntimeError(f"ours has {ours[0].weights} weights, theirs {best.weights}: not the same shape")
    contestants: list[Ours | Theirs] = [*ours, shipped, best]
    for contestant in contestants[:-1]:
        warm_up(contestant, plan)
    products = [product(dtype, plan.product_size) for dtype in PRODUCTS.values()]
    actions = [*(contestant.step for contestant in contestants), *products]
    timings = alternate(actions, rounds=plan.rounds, steps=plan.steps - (not first))
    rates = {
        name: 2 * plan.product_size**3 / statistics.median(itertools.chain(*rounds))
        for name, rounds in zip(PRODUCTS, timings[len(contestants) :], strict=True)
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
    """Sum up what each contestant did; the last two of them are the ones to compare with.

    Raises RuntimeError where somebody's loss has not fallen: then it was no training that was timed.
    """
    shipped, best = timings[len(contestants) - 2], timings[len(contestants) - 1]
    found = []
    for contestant, rounds in zip(contestants, timings, strict=False):
        first, last = contestant.losses[0], contestant.losses[-1]
        if not last < first:
            raise RuntimeError(
                f"{contestant.name}: the loss went from {first:.3f} to {last:.3f}; it learns nothing"
            )
        speeds = Spread.of([sum(lengths) / seconds for seconds in itertools.chain(*rounds)])
        precision = "bf16" if contestant.dtype == torch.bfloat16 else "fp32"
        flops = useful_flops(contestant.config, lengths, masked)
        found.append(
            {
                "name": contestant.name,
                "precision": precision,
                "weights": contestant.weights,
                "first_loss": first,
                "last_loss": last,
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
        f"{'tokens/s':>51} {'(20th-80th pct)':>18}{'x shipped':>11}{'x best':>8}{'ceiling':>9}",
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
    """Measure all workloads of one allocator in this process and print their tables.

    The first workload tries every way of running transformers, or `only` one; those after it try both kinds
    of attention with what was best otherwise.
    """
    kept = keep_freed_memory() if allocator == "keep" else False
    if plan.threads:
        torch.set_num_threads(plan.threads)
    known = [*best_recipes(compiled=False), *best_recipes(compiled=True)]
    recipes = best_recipes(compiled=False) if only is None else [r for r in known if r.name == only]
    if not recipes:
        raise SystemExit(f"--only {only!r} is unknown; use one of {', '.join(r.name for r in known)}")
    results: list[dict[str, Any]] = []
    for workload in WORKLOADS[allocator]:
        found = measure(workload, plan, recipes, first=only is None and not results)
        results.append(
            {"allocator": allocator, "memory_is_kept": kept, "threads": torch.get_num_threads(), **found}
        )
        print(table(results[-1]), flush=True)
        best = next(r for r in known if r.name == found["rows"][-1]["name"])
        recipes = [r for r in known if (r.bf16, r.compiled) == (best.bf16, best.compiled)]
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
