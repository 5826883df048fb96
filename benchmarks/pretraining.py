"""Tokens per second of masked-LM pretraining on a CPU: minibert beside transformers and torch's own encoder.

    python benchmarks/pretraining.py --output benchmarks/results/pretraining-cpu.json
    python benchmarks/pretraining.py --shape 6x384 --output benchmarks/results/pretraining-6x384-cpu.json

Workloads: *even*, all texts of one length, where nobody pads; and *ragged*, where texts differ in length as
paragraphs do, and the others pad. Two allocators, each in a process of its own: *keep* keeps freed memory for
the next step, *system* does what glibc does by itself; whichever it is, all contestants live in that process.

The checks come first: as many weights as theirs, a first loss of guessing, in the end a lower one. Then the
fastest way to run transformers is looked for, and all take turns (see `measure`). A ratio compares medians of
one round. "ceiling" is the share of the machine's rate of matrix products that the step cannot do without.

Left out: loading and masking data (the same for all, done before); gradient accumulation; GPUs.
"""

import argparse
import itertools
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from measure import Spread, alternate, finish, product, ratios, say, timed
from pretraining_contestants import TRAINING, Ours, Recipe, Theirs, best_recipes, torch_recipe
from pretraining_workload import FULL, Numbers, Plan, masked_batches, small, useful_flops

from minibert.allocator import keep_freed_memory
from minibert.model.config import EncoderConfig
from minibert.tasks.masked_lm import MaskedLM

ALLOCATORS = ("keep", "system")
PRODUCTS = {"fp32": torch.float32, "bf16": torch.bfloat16}
NEAR = 1.5  # a recipe that takes this many times the fastest one's time is not worth compiling


def warm_up(contestant: Ours | Theirs, plan: Plan) -> None:
    """Take the steps that are not timed, and check the loss of the first.

    A table of normal numbers with spread s gives logits of variance D s^2, and guessing by them costs half
    of that beyond ln V.
    """
    for _ in range(plan.warmup):
        contestant.step()
    wanted = math.log(plan.vocab_size) + plan.classic.hidden_size * plan.classic.initializer_range**2 / 2
    loss = contestant.losses[0]
    if not abs(loss / wanted - 1) < 0.03:
        raise RuntimeError(
            f"{contestant.name}: the first loss {loss:.3f} is not within 3 % of the {wanted:.3f} of "
            f"guessing among {plan.vocab_size} pieces; nothing is timed"
        )
    say(f"  {contestant.name}: first loss {loss:.3f}")


def find_best(
    make: Callable[[Recipe], Theirs], plan: Plan, recipes: Sequence[Recipe], *, compile_too: bool
) -> tuple[Theirs, dict[str, Any]]:
    """Return the fastest way to run somebody's model, and the seconds per step of all (or why it has none).

    Where asked for, recipes that are near the fastest one have a second go, compiled.
    """
    seconds: dict[str, Any] = {}
    times: dict[Recipe, float] = {}
    best: Theirs | None = None
    waiting = list(recipes)
    while waiting:
        theirs = make(waiting.pop(0))
        try:
            warm_up(theirs, plan)
        except RuntimeError as error:  # no C++ compiler, as a rule
            if not theirs.recipe.compiled or not (waiting or best):
                raise
            seconds[theirs.name] = str(error).splitlines()[0]
            continue
        taken = statistics.median(timed(theirs.step) for _ in range(plan.probes))
        if taken < min(times.values(), default=math.inf):
            best = theirs
        seconds[theirs.name] = times[theirs.recipe] = taken
        if not waiting and compile_too and not theirs.recipe.compiled:
            near = [recipe for recipe, time in times.items() if time < NEAR * min(times.values())]
            waiting = [replace(recipe, compiled=True) for recipe in near]
    assert best is not None
    return best, seconds


def measure(workload: str, plan: Plan, recipes: Sequence[Recipe], *, first: bool) -> dict[str, Any]:
    """Check and time everyone on one workload; all but the first have a step less in each round."""
    lengths, classic = plan.lengths(workload), plan.classic
    training = replace(TRAINING, learning_rate=plan.learning_rate)
    batches = masked_batches(MaskedLM(Numbers(plan.vocab_size), classic), lengths, plan.batches)
    say(f"{workload}: {len(lengths)} texts, {sum(lengths):,} tokens a step")

    def make(recipe: Recipe) -> Theirs:
        return Theirs(recipe, classic, batches, training)

    best, ways = find_best(make, plan, recipes, compile_too=first and plan.compile_too)
    ours = [Ours(f"minibert {plan.shape}", classic, batches, training)]
    if plan.modern:
        modern = EncoderConfig.preset(plan.modern, plan.vocab_size)
        ours.append(Ours(f"minibert {plan.modern}", modern, batches, training))
    torchs, shipped = make(torch_recipe(bf16=best.recipe.bf16)), make(Recipe())
    weights = {contestant.name: contestant.weights for contestant in (ours[0], torchs, best)}
    if len(set(weights.values())) > 1:
        raise RuntimeError(f"the numbers of weights differ, {weights}: not the same shape")
    contestants: list[Ours | Theirs] = [*ours, torchs, shipped, best]
    for contestant in (*ours, torchs, shipped):
        warm_up(contestant, plan)
    products = [product(dtype, plan.product_size) for dtype in PRODUCTS.values()]
    actions = [*(contestant.step for contestant in contestants), *products]
    timings = alternate(actions, rounds=plan.rounds, steps=plan.steps - (not first))
    rates = {
        name: 2 * plan.product_size**3 / statistics.median(itertools.chain(*rounds))
        for name, rounds in zip(PRODUCTS, timings[len(contestants) :], strict=True)
    }
    return {
        "workload": workload,
        "texts": len(lengths),
        "tokens": sum(lengths),
        "masked": (masked := len(batches[0][1].labels)),
        "padding": 1 - sum(lengths) / (len(lengths) * max(lengths)),
        "products_per_second": rates,
        "ways_to_run_transformers": ways,
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
    """Sum up what each contestant did; the last three of them are the ones to compare with.

    Raises RuntimeError where somebody's loss has not fallen: then it was no training that was timed.
    """
    torchs, shipped, best = timings[len(contestants) - 3 : len(contestants)]
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
                "over_torch": asdict(ratios(rounds, torchs)),
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
        f"{'tokens/s':>52} {'(20th-80th pct)':>18}{'x torch':>9}{'x shipped':>11}{'x best':>8}{'ceiling':>9}",
    ]
    for row in result["rows"]:
        speed = row["tokens_per_second"]
        between = f"({speed['low']:,.0f}-{speed['high']:,.0f})"
        lines.append(
            f"  {row['name']:<35}{row['precision']:6}{speed['median']:>9,.0f} {between:>18}"
            f"{row['over_torch']['median']:>9.2f}"
            f"{row['over_shipped']['median']:>11.2f}{row['over_best']['median']:>8.2f}{row['ceiling']:>9.0%}"
        )
    rates = ", ".join(f"{name} {rate / 1e9:,.0f}" for name, rate in result["products_per_second"].items())
    return "\n".join([*lines, f"  matrix products, billions of operations a second: {rates}", ""])


def measure_here(allocator: str, plan: Plan, only: str | None) -> list[dict[str, Any]]:
    """Measure all workloads of one allocator in this process and print their tables.

    The first tries every way of running transformers, or `only` one; the others both kinds of attention.
    """
    kept = keep_freed_memory() if allocator == "keep" else False
    if plan.threads:
        torch.set_num_threads(plan.threads)
    known = [*best_recipes(compiled=False), *best_recipes(compiled=True)]
    recipes = best_recipes(compiled=False) if only is None else [r for r in known if r.name == only]
    if not recipes:
        raise SystemExit(f"--only {only!r} is unknown; use one of {', '.join(r.name for r in known)}")
    results: list[dict[str, Any]] = []
    for workload in plan.keep if allocator == "keep" else plan.system:
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
    parser.add_argument("--shape", choices=FULL, default="4x256", help="layers x hidden size")
    parser.add_argument("--allocator", choices=ALLOCATORS, help="this one only, in this process")
    parser.add_argument("--only", metavar="NAME", help="the one way of running transformers that is tried")
    parser.add_argument("--output", type=Path, help="file for the JSON")
    options = parser.parse_args(arguments)
    plan = small(FULL[options.shape]) if options.dry_run else FULL[options.shape]
    if options.allocator:
        results = measure_here(options.allocator, plan, options.only)
    else:
        given = ["--shape", options.shape, *(["--dry-run"] if options.dry_run else [])]
        results = measure_apart("keep", given)
        if plan.system:
            results += measure_apart("system", [*given, "--only", results[0]["rows"][-1]["name"]])
    finish("pretraining", {"plan": asdict(plan), "results": results}, options.output)


if __name__ == "__main__":
    main()
