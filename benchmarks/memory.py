"""The most memory that a pretraining step takes: minibert beside transformers and torch's own encoder.

    python benchmarks/memory.py --output benchmarks/results/memory-cpu.json

Every contestant has a process of its own, all with the same allocator setting. What is compared is the rest:

    rest = peak - what the imports take - weights - the optimiser's state

that is gradients, activations and what the allocator loses. Much is imported only when it is needed, so the
imports are what a process holds that has trained a model of 32 numbers, plus the data. Then the peak counts:
the making of the model and three steps. Gradients, of which all have the same, also stand in the record.

Left out: GPUs; compiled models; gradient checkpointing, which trades time for memory.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from measure import finish, say
from pretraining_contestants import TORCH_RECIPES, TRAINING, Ours, Recipe, Theirs
from pretraining_workload import FULL, Micro, Numbers, Plan, masked_batches, small
from resident import Peak, resident
from torch.optim import Optimizer

from minibert.allocator import keep_freed_memory
from minibert.tasks.masked_lm import MaskedLM

SHAPES = ("4x256", "12x768")
TINIEST = replace(FULL["4x256"], shape="1x32", heads=1, vocab_size=64, sequence=16, tokens=32)
STEPS = 3
OURS = "minibert bf16"
RECIPES = {
    recipe.name: recipe
    for recipe in (Recipe(), Recipe(attention="eager", bf16=True, fused=True), TORCH_RECIPES[0])
}
MEGA = 2**20


@dataclass(frozen=True)
class Account:
    """Where a contestant's bytes are; `rest` is what is compared."""

    name: str
    shape: str
    how: str
    peak: int
    before: int
    weights: int
    optimizer: int
    gradients: int

    @property
    def rest(self) -> int:
        return self.peak - self.before - self.weights - self.optimizer


def account(name: str, shape: str, plan: Plan, allocator: str) -> Account:
    """Take a few steps in this process and return what they took."""
    if allocator == "keep":
        keep_freed_memory()
    if plan.threads:
        torch.set_num_threads(plan.threads)
    take_steps(name, TINIEST)
    batches = texts(plan)
    before = resident()
    with Peak() as peak:
        contestant = take_steps(name, plan, batches)
    weights = [weight for optimizer in contestant.optimizers for weight in trained(optimizer)]
    size = sum(weight.nbytes for weight in weights)
    state = sum(state_size(optimizer) for optimizer in contestant.optimizers)
    return Account(name, shape, peak.how, peak.bytes, before, size, state, gradients=size)


def take_steps(name: str, plan: Plan, batches: Sequence[Micro] = ()) -> Ours | Theirs:
    """Make a contestant and let it train for a few steps."""
    training = replace(TRAINING, learning_rate=plan.learning_rate, precision="bf16")
    given = (plan.classic, batches or texts(plan), training)
    contestant = Ours(name, *given) if name == OURS else Theirs(RECIPES[name], *given)
    for _ in range(STEPS):
        contestant.step()
    return contestant


def texts(plan: Plan) -> list[Micro]:
    """Return the batches of the steps."""
    task = MaskedLM(Numbers(plan.vocab_size), plan.classic)
    return masked_batches(task, plan.lengths("even"), STEPS)


def trained(optimizer: Optimizer) -> list[torch.Tensor]:
    """Return the weights that an optimiser changes."""
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def state_size(optimizer: Optimizer) -> int:
    """Return the bytes of an optimiser's moments."""
    values = (value for state in optimizer.state.values() for value in state.values())
    return sum(value.nbytes for value in values if isinstance(value, torch.Tensor))


def account_apart(name: str, shape: str, arguments: list[str]) -> Account:
    """Return a contestant's account, made in a fresh process."""
    command = [sys.executable, __file__, "--shape", shape, "--contestant", name, *arguments]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return Account(**json.loads(answer.splitlines()[-1]))


def rows(accounts: Sequence[Account]) -> list[dict[str, object]]:
    """Return the accounts with their rest, and how much of it ours is; the first is ours."""
    return [
        {**asdict(found), "rest": found.rest, "ours_over_this": accounts[0].rest / found.rest}
        for found in accounts
    ]


def table(accounts: Sequence[Account]) -> str:
    """Return the accounts of one shape as lines for a person, in MiB."""
    lines = [
        f"{accounts[0].shape}, in MiB",
        f"{'peak':>44}{'imports':>9}{'weights':>9}{'optimiser':>11}{'rest':>8}{'ours / this':>13}",
    ]
    for found in accounts:
        parts = (found.peak, found.before, found.weights, found.optimizer, found.rest)
        peak, before, weights, state, rest = (round(part / MEGA) for part in parts)
        lines.append(
            f"  {found.name:<34}{peak:>8,}{before:>9,}{weights:>9,}{state:>11,}{rest:>8,}"
            f"{accounts[0].rest / found.rest:>13.2f}"
        )
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables and one JSON line, and write it where one asks for it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="tiny shapes: does it work?")
    parser.add_argument("--shape", choices=SHAPES, help="this one only")
    parser.add_argument("--allocator", choices=("keep", "system"), default="keep")
    parser.add_argument("--contestant", choices=[OURS, *RECIPES], help="this one, in this process")
    parser.add_argument("--output", type=Path, help="file for the JSON")
    options = parser.parse_args(arguments)
    if options.contestant:
        plan = small(FULL[options.shape]) if options.dry_run else FULL[options.shape]
        found = account(options.contestant, options.shape, plan, options.allocator)
        print(json.dumps(asdict(found)))
        return
    given = ["--allocator", options.allocator, *(["--dry-run"] if options.dry_run else [])]
    results = []
    for shape in [options.shape] if options.shape else SHAPES:
        accounts = []
        for name in (OURS, *RECIPES):
            say(f"{shape}: {name}")
            accounts.append(account_apart(name, shape, given))
        print(table(accounts), flush=True)
        results.append({"shape": shape, "rows": rows(accounts)})
    finish("memory", {"allocator": options.allocator, "steps": STEPS, "results": results}, options.output)


if __name__ == "__main__":
    main()
