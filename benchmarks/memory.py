"""The most memory that pretraining and embedding take: minibert beside transformers and torch's own encoder.

    python benchmarks/memory.py --output benchmarks/results/memory-cpu.json

Every contestant has a process of its own, all with the same allocator setting: glibc as it comes, as one that
keeps what was freed cannot show what was in use. What is compared is the rest:

    rest = peak - what the imports take - weights - the optimiser's state

that is gradients, activations and what the allocator loses. Gradients, of which all have the same, also
stand in the record. *Embedding* is that of 5,000 sentences of sst2 with MiniLM's weights; there the opened
model counts as weights, so that a second copy of them is rest.

Left out: GPUs; compiled models; gradient checkpointing, which trades time for memory.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from inference_contestants import Missing, need
from measure import finish, say
from memory_contestants import (
    EMBEDDERS,
    OURS,
    RECIPES,
    STEPS,
    Account,
    embedding_account,
    pretraining_account,
)
from pretraining_workload import FULL, small
from sentences import PACKAGE, SHARED, manual, minilm, read

from minibert.allocator import keep_freed_memory

EMBEDDING = "embedding"
WORK = ("4x256", "12x768", EMBEDDING)
SENTENCES = 5000
MEGA = 2**20


def account(name: str, options: argparse.Namespace) -> Account:
    """Return the account of one contestant, taken in this process."""
    if options.allocator == "keep":
        keep_freed_memory()
    if options.dry_run:
        torch.set_num_threads(1)
    if options.work == EMBEDDING:
        labelled = manual().some(60) if options.dry_run else read(options.data / "sst2/train.jsonl")
        return embedding_account(name, labelled.texts[:SENTENCES], minilm())
    plan = FULL[options.work]
    return pretraining_account(name, small(plan) if options.dry_run else plan)


def account_apart(name: str, arguments: Sequence[str]) -> Account:
    """Return a contestant's account, taken in a fresh process."""
    command = [sys.executable, __file__, "--contestant", name, *arguments]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return Account(**json.loads(answer.splitlines()[-1]))


def contestants(work: str) -> tuple[list[str], dict[str, str]]:
    """Return who takes part in a kind of work, ours first, and why others do not."""
    if work != EMBEDDING:
        need("transformers")
        return [OURS, *RECIPES], {}
    need(PACKAGE, "transformers")
    found, missing = list(EMBEDDERS), {}
    try:
        need("sentence_transformers")
    except Missing as reason:
        missing["sentence-transformers as shipped"] = str(reason)
    return [name for name in found if name not in missing], missing


def rows(accounts: Sequence[Account]) -> list[dict[str, object]]:
    """Return the accounts with their rest, and how much of it ours is; the first is ours."""
    return [
        {**asdict(found), "rest": found.rest, "ours_over_this": accounts[0].rest / found.rest}
        for found in accounts
    ]


def table(work: str, accounts: Sequence[Account]) -> str:
    """Return the accounts of one kind of work as lines for a person, in MiB."""
    lines = [
        f"{work}, in MiB",
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
    parser.add_argument("--work", choices=WORK, help="this kind only")
    parser.add_argument("--allocator", choices=("keep", "system"), default="system")
    parser.add_argument("--contestant", help="this one, in this process; needs --work")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the data sets")
    parser.add_argument("--output", type=Path, help="file for the JSON")
    options = parser.parse_args(arguments)
    if options.contestant:
        print(json.dumps(asdict(account(options.contestant, options))))
        return
    given = ["--allocator", options.allocator, "--data", str(options.data)]
    given += ["--dry-run"] if options.dry_run else []
    results, not_measured = [], {}
    for work in [options.work] if options.work else WORK:
        try:
            names, missing = contestants(work)
        except Missing as reason:
            not_measured[work] = str(reason)
            say(f"{work}: not measured, {reason}")
            continue
        accounts = []
        for name in names:
            say(f"{work}: {name}")
            accounts.append(account_apart(name, ["--work", work, *given]))
        print(table(work, accounts), flush=True)
        results.append({"work": work, "rows": rows(accounts), "not_measured": missing})
    facts = {"allocator": options.allocator, "steps": STEPS, "sentences": SENTENCES, "results": results}
    finish("memory", {**facts, "not_measured": not_measured}, options.output)


if __name__ == "__main__":
    main()
