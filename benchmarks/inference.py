"""Texts per second of embedding real sentences on a CPU: minibert beside what else opens the same weights.

    python benchmarks/inference.py --output benchmarks/results/inference-cpu.json

Everyone embeds the same texts with MiniLM's weights, tokenizing included: *sst2*, single sentences, and
*imdb*, reviews cut at 256 tokens. The checks come first. Vectors are held against those of transformers in
float32, and where somebody claims to compute the same, the cosine of every text has to be 0.9999; on sst2 a
logistic regression on the vectors shows whether they still serve as well. Then all take turns (see
`measure`), each in the way that was fastest for it on a few of the texts.

A contestant is as good as float32 if its cosines are 0.999 in the mean, and if of the test sentences that one
gets right and transformers wrong, or the other way round, no more are of one kind than chance explains (two
standard deviations). `x best` compares with the fastest of the others that is as good.

Left out: long streams (`memory.py` has the memory), pairs of texts, GPUs.
"""

import argparse
import itertools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inference_contestants import (
    Contestant,
    Embed,
    Missing,
    minibert_contestants,
    onnx_contestants,
    sentence_transformers_contestants,
    transformers_contestants,
)
from inference_workload import DRY, Plan, Workload, answers, equal, workloads
from measure import Spread, alternate, finish, ratios, say, timed
from sentences import SHARED, minilm

from minibert.allocator import keep_freed_memory

EXACT = 0.9999  # cosine of each text, for those who claim to compute the same
AS_GOOD = 0.999  # mean cosine
REFERENCE = "transformers as shipped"


@dataclass(frozen=True)
class Checked:
    """A contestant that may be timed: its fastest way, and how good its vectors are."""

    contestant: Contestant
    way: str
    embed: Embed
    cosine_min: float
    cosine_mean: float
    right: np.ndarray | None  # for each test sentence, whether its label was told


def gather(folder: Path, scratch: Path) -> tuple[list[Contestant], dict[str, str]]:
    """Return all contestants whose packages are there, ours first, and why others are not."""
    makers: dict[str, Callable[[], list[Contestant]]] = {
        "transformers": lambda: transformers_contestants(folder),
        "sentence-transformers": lambda: sentence_transformers_contestants(folder),
        "ONNX Runtime": lambda: onnx_contestants(folder, scratch),
    }
    found, missing = minibert_contestants(folder), {}
    for name, make in makers.items():
        try:
            found += make()
        except Missing as reason:
            if name == "transformers":
                raise SystemExit(f"{reason}; there is nothing to compare with") from reason
            missing[name] = str(reason)
            say(f"  {name}: not measured, {reason}")
    return found, missing


def fastest(contestant: Contestant, texts: Sequence[str], tried: int) -> str:
    """Return the name of the fastest of a contestant's ways; the first use of each does not count."""
    names = list(contestant.ways)[: tried or None]
    if len(names) == 1:
        return names[0]
    seconds = {}
    for name in names:
        embed = contestant.ways[name]
        embed(texts)
        seconds[name] = timed(lambda embed=embed: embed(texts))
    return min(seconds, key=lambda name: seconds[name])


def check(contestant: Contestant, workload: Workload, plan: Plan, reference: np.ndarray | None) -> Checked:
    """Embed all texts once; raise RuntimeError where exact vectors were promised and did not come."""
    way = fastest(contestant, workload.texts[: workload.probe], plan.ways)
    embed = contestant.ways[way]
    vectors = embed(workload.texts)
    cosines = (vectors * (vectors if reference is None else reference)).sum(1)
    if contestant.exact and not cosines.min() >= EXACT:
        raise RuntimeError(
            f"{contestant.name} ({way}): a vector has cosine {cosines.min():.4f} to that of {REFERENCE}; "
            f"{EXACT} is wanted"
        )
    right = answers(vectors, workload) if workload.test.texts else None
    say(f"  {contestant.name}: {way}, cosine {cosines.min():.5f} at least")
    return Checked(contestant, way, embed, float(cosines.min()), float(cosines.mean()), right)


def measure(
    workload: Workload, plan: Plan, contestants: Sequence[Contestant], unequal: set[str]
) -> dict[str, Any]:
    """Check and time everyone on one workload; others that fail the check are named and left out.

    The names of those that are not as good are added to `unequal`, and stay there for workloads without
    labels.
    """
    say(f"{workload.name}: {len(workload.texts):,} texts, {workload.timed:,} of them timed")
    shipped = next(contestant for contestant in contestants if contestant.name == REFERENCE)
    reference = next(iter(shipped.ways.values()))(workload.texts)
    checked, failed = [], {}
    for contestant in contestants:
        try:
            checked.append(check(contestant, workload, plan, reference))
        except RuntimeError as error:
            if contestant.ours:
                raise
            failed[contestant.name] = str(error)
            say(f"  {error}; not timed")
    told = next(entry.right for entry in checked if entry.contestant is shipped)
    unequal |= {
        entry.contestant.name
        for entry in checked
        if entry.cosine_mean < AS_GOOD
        or (entry.right is not None and told is not None and not equal(entry.right, told))
    }
    texts = workload.texts[: workload.timed]
    timings = alternate([lambda c=c: c.embed(texts) for c in checked], rounds=plan.rounds, steps=1)
    return {
        "workload": workload.name,
        "texts": len(texts),
        "characters": sum(map(len, texts)),
        "not_timed": failed,
        "rows": rows(checked, timings, len(texts), unequal),
    }


def rows(
    checked: Sequence[Checked],
    timings: Sequence[Sequence[Sequence[float]]],
    texts: int,
    unequal: set[str],
) -> list[dict[str, Any]]:
    """Sum up what each contestant did."""
    names = [entry.contestant.name for entry in checked]
    shipped = timings[names.index(REFERENCE)]
    speeds = [Spread.of([texts / seconds for seconds in itertools.chain(*rounds)]) for rounds in timings]
    others = [
        place
        for place, entry in enumerate(checked)
        if not entry.contestant.ours and names[place] not in unequal
    ]
    best = max(others, key=lambda place: speeds[place].median)
    ours = max(
        (place for place, entry in enumerate(checked) if entry.contestant.ours),
        key=lambda place: (names[place] not in unequal, speeds[place].median),
        default=best,
    )
    return [
        {
            "name": names[place],
            "ours": entry.contestant.ours,
            "way": entry.way,
            "cosine_min": entry.cosine_min,
            "cosine_mean": entry.cosine_mean,
            "accuracy": None if entry.right is None else float(entry.right.mean()),
            "equal": names[place] not in unequal,
            "best_of_the_others": place == best,
            "texts_per_second": asdict(speeds[place]),
            "over_shipped": asdict(ratios(timings[place], shipped)),
            "ours_over_this": asdict(ratios(timings[ours], timings[place])),
            "over_best": asdict(ratios(timings[place], timings[best])),
            "seconds": timings[place],
        }
        for place, entry in enumerate(checked)
    ]


def table(result: dict[str, Any]) -> str:
    """Return a result as lines for a person."""
    length = result["characters"] / result["texts"]
    lines = [
        f"{result['workload']}: {result['texts']} texts of {length:.0f} characters",
        f"{'texts/s':>44} {'(20th-80th pct)':>17}{'x shipped':>11}{'x best':>8}{'min cos':>9}  accuracy",
    ]
    for row in result["rows"]:
        speed = row["texts_per_second"]
        between = f"({speed['low']:,.0f}-{speed['high']:,.0f})"
        told = "" if row["accuracy"] is None else f"{row['accuracy']:.1%}"
        accuracy = told if row["equal"] else f"{told} !"
        lines.append(
            f"  {row['name']:<33}{speed['median']:>9,.0f} {between:>17}{row['over_shipped']['median']:>11.2f}"
            f"{row['over_best']['median']:>8.2f}{row['cosine_min']:>9.5f}{accuracy:>10}"
        )
    lines += [f"  {name}: not timed: {reason}" for name, reason in result["not_timed"].items()]
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables and one JSON line, and write it where one asks for it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="a few sentences of Python's manual")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the data sets")
    parser.add_argument("--output", type=Path, help="file for the JSON")
    options = parser.parse_args(arguments)
    plan = DRY if options.dry_run else Plan()
    kept = keep_freed_memory()
    if plan.threads:
        torch.set_num_threads(plan.threads)
    found = workloads(plan, None if options.dry_run else options.data)
    results: list[dict[str, Any]] = []
    unequal: set[str] = set()
    with tempfile.TemporaryDirectory() as scratch:
        contestants, missing = gather(minilm(), Path(scratch))
        for workload in found:
            results.append(measure(workload, plan, contestants, unequal))
            print(table(results[-1]), flush=True)
    facts = {
        "plan": asdict(plan),
        "memory_is_kept": kept,
        "threads": torch.get_num_threads(),
        "not_measured": missing,
        "results": results,
    }
    finish("inference", facts, options.output)


if __name__ == "__main__":
    main()
