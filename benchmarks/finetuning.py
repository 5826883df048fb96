"""Sentences per second of fine-tuning on a CPU: minibert beside transformers' Trainer.

    python benchmarks/finetuning.py --output benchmarks/results/finetuning-cpu.json

Everyone trains the same weights (MiniLM's, and one newly drawn head) on the same sentences of sst2, 32 a
step, tokenized beforehand. Before a step is timed, the loss of the first batch, without dropout, has to agree
within 2 % of ours; after the last, everybody's loss has to have fallen. Contestants take turns of ten steps
(see `measure`); as sorted batches differ in length, speeds and ratios are those of all turns together.

"bf16" is the Trainer as it comes, with our batch and our precision. "grouped" also has texts of like
length together and the attention that was faster in a few steps. Its optimiser is fused in any case.

Left out: evaluation, tokenizing, saving; GPUs.
"""

import argparse
import itertools
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from finetuning_contestants import FIRST, Ours, Recipe, Trained
from inference_contestants import Missing, need, quiet
from measure import Spread, alternate, finish, ratios, say, timed
from sentences import SHARED, Labelled, manual, minilm, read

from minibert.allocator import keep_freed_memory

RECIPES = (
    Recipe("transformers Trainer fp32"),
    Recipe("transformers Trainer bf16", bf16=True),
    Recipe("transformers Trainer bf16 grouped", bf16=True, grouped=True),
)
ATTENTIONS = ("sdpa", "eager")
AGREE = 0.02


@dataclass(frozen=True)
class Plan:
    """How much is measured: `turns` of `steps` for everybody, after `warmup` steps that do not count."""

    batch_size: int = 32
    warmup: int = 3
    turns: int = 15
    steps: int = 10
    threads: int = 0

    @property
    def all_steps(self) -> int:
        return self.warmup + self.turns * self.steps


DRY = Plan(batch_size=8, warmup=1, turns=4, steps=5, threads=1)


def gather(folder: Path, texts: Labelled, plan: Plan, scratch: Path) -> list[Ours | Trained]:
    """Return everyone, ours first, ready to be timed."""
    ours = Ours(folder, texts, plan.batch_size, plan.all_steps)
    found: list[Ours | Trained] = [ours]
    for recipe in RECIPES:
        tried = []
        for attention in ATTENTIONS if recipe.grouped else (None,):
            theirs = Trained(recipe, attention, ours, plan.all_steps, scratch)
            warm_up(theirs, ours, plan)
            tried.append((timed(theirs.step), theirs))
        fastest = min(tried, key=lambda pair: pair[0])[1]
        for _, theirs in tried:
            if theirs is not fastest:
                theirs.stop()
        found.append(fastest)
    warm_up(ours, ours, plan)
    ours.step()
    return found


def warm_up(contestant: Ours | Trained, ours: Ours, plan: Plan) -> None:
    """Check the loss of the first batch, and take the steps that are not timed, all but one."""
    loss, wanted = contestant.first_loss, ours.first_loss
    if not abs(loss / wanted - 1) < AGREE:
        raise RuntimeError(
            f"{contestant.name}: the loss of the first batch is {loss:.4f}, ours {wanted:.4f}; they have to "
            f"agree within {AGREE:.0%}, so nothing is timed"
        )
    say(f"  {contestant.name} ({contestant.way}): loss of the first batch {loss:.4f}")
    for _ in range(plan.warmup - 1):
        contestant.step()


def measure(contestants: Sequence[Ours | Trained], plan: Plan) -> list[dict[str, Any]]:
    """Let everyone take turns and sum up what they did."""

    def turn(contestant: Ours | Trained) -> None:
        for _ in range(plan.steps):
            contestant.step()

    timings = alternate([lambda c=c: turn(c) for c in contestants], rounds=plan.turns, steps=1)
    return rows(contestants, timings, plan)


def rows(
    contestants: Sequence[Ours | Trained], timings: Sequence[Sequence[Sequence[float]]], plan: Plan
) -> list[dict[str, Any]]:
    """Sum up what each contestant did; the first is ours.

    Raises RuntimeError where somebody's loss has not fallen: then it was no training that was timed.
    """
    sentences = plan.steps * plan.batch_size
    ours = sum(itertools.chain(*timings[0]))
    found = []
    for contestant, turns in zip(contestants, timings, strict=True):
        quarter = max(1, len(contestant.losses) // 4)
        first, last = (
            statistics.fmean(part) for part in (contestant.losses[:quarter], contestant.losses[-quarter:])
        )
        if not last < first:
            raise RuntimeError(
                f"{contestant.name}: the mean loss went from {first:.3f} in the first quarter to "
                f"{last:.3f} in the last quarter; it learns nothing"
            )
        taken = sum(itertools.chain(*turns))
        found.append(
            {
                "name": contestant.name,
                "way": contestant.way,
                "precision": contestant.precision,
                "first_loss": contestant.first_loss,
                "first_quarter": first,
                "last_quarter": last,
                "sentences_per_second": plan.turns * sentences / taken,
                "turns": asdict(Spread.of([sentences / seconds for seconds in itertools.chain(*turns)])),
                "ours_over_this": taken / ours,
                "ours_over_this_by_turn": asdict(ratios(timings[0], turns)),
                "seconds": [seconds for one in turns for seconds in one],
            }
        )
    return found


def table(found: Sequence[dict[str, Any]]) -> str:
    """Return the rows as lines for a person."""
    lines = [f"{'sentences/s':>52}{'ours / this':>13}{'loss':>16}"]
    for row in found:
        loss = f"{row['first_quarter']:.3f} -> {row['last_quarter']:.3f}"
        lines.append(
            f"  {row['name']:<34}{row['precision']:5}{row['sentences_per_second']:>11,.1f}"
            f"{row['ours_over_this']:>13.2f}{loss:>16}"
        )
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table and one JSON line, and write it where one asks for it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="a few sentences of Python's manual")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the data sets")
    parser.add_argument("--output", type=Path, help="file for the JSON")
    options = parser.parse_args(arguments)
    plan = DRY if options.dry_run else Plan()
    try:
        need("transformers", "accelerate")
    except Missing as reason:
        raise SystemExit(f"{reason}; there is nothing to compare with") from reason
    quiet()
    kept = keep_freed_memory()
    if plan.threads:
        torch.set_num_threads(plan.threads)
    texts = manual() if options.dry_run else read(options.data / "sst2/train.jsonl")
    with tempfile.TemporaryDirectory() as scratch:
        contestants = gather(minilm(), texts, plan, Path(scratch))
        found = measure(contestants, plan)
        for contestant in contestants:
            contestant.stop()
    print(table(found), flush=True)
    facts = {
        "plan": asdict(plan),
        "training": FIRST,
        "memory_is_kept": kept,
        "threads": torch.get_num_threads(),
        "rows": found,
    }
    finish("finetuning", facts, options.output)


if __name__ == "__main__":
    main()
