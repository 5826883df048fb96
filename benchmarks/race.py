"""The race: half an hour of pretraining on two CPU cores, then fine-tuning on real tasks.

    python benchmarks/race.py en                      the whole race; the table goes to benchmarks/results/
    python benchmarks/race.py en --encoder-only       only the encoder
    python benchmarks/race.py en --name words --budget 10m --seeds 1 --set masking.unit=word     a proxy
    python benchmarks/race.py en --show-log           what all proxies gave, as a table

Beside the pretrained encoder stands the same shape with the same tokenizer and the same fine-tuning recipe,
its weights drawn anew; its scores are kept in runs/race, since they do not depend on the pretraining. A proxy
(any other name) adds one line to results/race-LANGUAGE-log.jsonl.

Pretraining has the machine to itself. Fine-tuning runs share it: a process with one thread for each core.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import machine
from race_contests import CONTESTS, CORPORA, SHARED, baseline, read_parts

from minibert.allocator import keep_freed_memory
from minibert.checkpoint import read_json, write_json
from minibert.config import parse_setting
from minibert.data.corpus import Corpus
from minibert.data.files import expand
from minibert.finetune import finetune
from minibert.pretrain import find_tokenizer, pretrain
from minibert.tasks.model import load
from minibert.training.log import read_log
from minibert.training.pretraining import Settings

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "runs" / "race"
RESULTS = ROOT / "benchmarks" / "results"
RACE = "race"  # the name of the recipe that counts
RECIPE: dict[str, Any] = {
    "tokenizer.vocab_size": 16384,
    "data.token_vectors": "cooccurrence",
    "data.max_seq_length": 128,
    "data.tokens_per_batch": 4096,
    "masking.unit": "word",
    "masking.mlm_probability": 0.2,
    "train.optim": "muon",
    "train.learning_rate": 5e-4,
    "train.warmup_ratio": 0.06,
    "train.logging_steps": 50,
}
RECIPES = {"en": RECIPE, "zh": {**RECIPE, "tokenizer.vocab_size": 8192, "masking.unit": "token"}}
FINETUNE = {"train.learning_rate": 5e-4, "train.train_batch_size": 32, "train.early_stopping_patience": 2}
ARMS = ("pretrained", "scratch")


@dataclass(frozen=True)
class Job:
    """One fine-tuning run: which data set, from which encoder, with its weights or without, which seed."""

    language: str
    contest: str
    encoder: Path
    arm: str
    seed: int

    @property
    def settings(self) -> dict[str, Any]:
        """The fine-tuning recipe, the same for both arms."""
        contest = CONTESTS[self.language][self.contest]
        return {
            **FINETUNE,
            "train.num_train_epochs": float(contest.epochs),
            "train.seed": self.seed,
            "train.metric_for_best_model": contest.metric,
            "data.from_scratch": self.arm == "scratch",
            "data.progress": False,
            **({"task.pooling": "mean"} if contest.task == "classification" else {}),
        }

    @property
    def remembered(self) -> Path:
        """Where the scores of the arm without pretraining are kept: what decides them is in the name."""
        digest = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode())
        for name in ("config.json", "spiece.model"):
            digest.update((self.encoder / name).read_bytes())
        return RUNS / "scratch" / f"{self.contest}-{digest.hexdigest()[:16]}.json"


def run_job(job: Job) -> dict[str, float]:
    """Fine-tune once and return the score on each test set."""
    if job.arm == "scratch" and job.remembered.is_file():
        return dict(read_json(job.remembered))
    contest = CONTESTS[job.language][job.contest]
    parts = read_parts(contest)
    model = finetune(
        job.encoder,
        task=contest.task,
        train=parts.train,
        validation=parts.validation,
        output_dir=RUNS / "finetuned" / f"{job.contest}-{job.arm}-{job.seed}",
        settings=job.settings,
        overwrite_output_dir=True,
    )
    scores = {test: float(model.evaluate(rows)[contest.metric]) for test, rows in parts.tests.items()}
    print(f"{job.contest}, {job.arm}, seed {job.seed}: {scores}", flush=True)
    if job.arm == "scratch":
        job.remembered.parent.mkdir(parents=True, exist_ok=True)
        write_json(job.remembered, scores)
    return scores


def use_one_core() -> None:
    """Prepare a process that shares the machine with others of its kind."""
    keep_freed_memory()
    torch.set_num_threads(1)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the race and print its table; the last line is one JSON object."""
    options = parse(argv)
    if options.show_log:
        print(log_table(options.language))
        return
    keep_freed_memory()
    here = {**machine(), "threads": torch.get_num_threads()}
    settings = {**RECIPES[options.language], **dict(options.set)}
    encoder = make_encoder(options, settings)
    result: dict[str, Any] = {
        "benchmark": "race",
        "language": options.language,
        "name": options.name,
        "budget": options.budget,
        "size": options.size,
        "settings": settings,
        "finetuning": FINETUNE,
        "machine": here,
        "pretraining": read_json(encoder / "facts.json"),
    }
    if not options.encoder_only:
        started = time.perf_counter()
        names = options.tasks or list(CONTESTS[options.language])
        result["tasks"] = compete(options.language, names, encoder, arms=options.arms, seeds=options.seeds)
        result["finetuning_minutes"] = round((time.perf_counter() - started) / 60, 1)
        keep(result)
        print(table(result["tasks"]), flush=True)
    print(json.dumps(result))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("language", choices=list(CORPORA))
    parser.add_argument("--budget", default="30m", help="pretraining time")
    parser.add_argument("--size", default="modern-mini")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", nargs="*", help="some of the data sets; all by default")
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=ARMS)
    parser.add_argument("--name", default=RACE, help="name of this recipe, in runs/ and in the results")
    parser.add_argument("--encoder-only", action="store_true")
    parser.add_argument("--show-log", action="store_true", help="print the proxies so far and stop")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="GROUP.KEY=VALUE",
        type=setting,
        help="change the recipe",
    )
    return parser.parse_args(argv)


def setting(text: str) -> tuple[str, Any]:
    """Read GROUP.KEY=VALUE."""
    key, _, value = text.partition("=")
    return key, parse_setting(value)


def make_encoder(options: argparse.Namespace, settings: dict[str, Any]) -> Path:
    """Pretrain, unless an encoder of this name is there already; return its folder."""
    folder = RUNS / options.language / options.name
    if not (folder / "facts.json").is_file():
        files = [SHARED / name for name in CORPORA[options.language]]
        pretrain(
            files,
            folder,
            size=options.size,
            tokenizer=make_tokenizer(files, settings),
            budget=options.budget,
            settings=settings,
            overwrite_output_dir=True,
        )
        write_json(folder / "facts.json", pretraining_facts(folder))
    return folder


def make_tokenizer(files: Sequence[Path], settings: dict[str, Any]) -> Path:
    """Train the tokenizer, or find the one that was trained on these files with these settings."""
    chosen = Settings.of(settings)
    facts = json.dumps([[file.name for file in files], vars(chosen.tokenizer)], sort_keys=True)
    folder = RUNS / f"tokenizer-{hashlib.sha256(facts.encode()).hexdigest()[:16]}"
    names = expand([str(file) for file in files])
    find_tokenizer(names, None, folder, settings=chosen)
    return folder / "tokenizer"


def pretraining_facts(folder: Path) -> dict[str, Any]:
    """Say what pretraining saw and how far it came."""
    train = read_log(folder, "train")
    corpus = Corpus.open(folder / "corpus")
    return {
        "steps": train[-1]["step"],
        "seconds": train[-1]["elapsed"],
        "tokens": round(sum(line["tokens"] for line in train) / len(train) * train[-1]["step"]),
        "first_loss": train[0]["loss"],
        "validation_loss": [line["loss"] for line in read_log(folder, "validation")],
        "corpus_tokens": corpus.tokens,
        "unigram_entropy": corpus.unigram_entropy(load(folder).task.tokenizer.vocab_size),
    }


def compete(
    language: str, names: Sequence[str], encoder: Path, *, arms: Sequence[str], seeds: int
) -> dict[str, Any]:
    """Fine-tune all arms on the data sets for every seed; score them and the baselines on the test sets."""
    jobs = [
        Job(language, name, encoder, arm, seed) for name in names for arm in arms for seed in range(seeds)
    ]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawn, initializer=use_one_core) as pool:
        scores = dict(zip(jobs, pool.map(run_job, jobs), strict=True))
    results = {}
    for name in names:
        contest, parts = CONTESTS[language][name], read_parts(CONTESTS[language][name])
        results[name] = {
            "metric": contest.metric,
            "rows": parts.sizes,
            "arms": {
                arm: {
                    test: spread(
                        [s[test] for job, s in scores.items() if (job.contest, job.arm) == (name, arm)]
                    )
                    for test in parts.tests
                }
                for arm in arms
            },
            "baseline": baseline(contest.task, parts),
        }
    return results


def spread(values: list[float]) -> dict[str, Any]:
    """Return mean, sample standard deviation and the values."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "spread": deviation, "values": values}


def keep(result: dict[str, Any]) -> None:
    """Write the race's own file, or add a proxy's line to the log."""
    RESULTS.mkdir(exist_ok=True)
    if result["name"] == RACE:
        write_json(RESULTS / f"race-{result['language']}.json", result)
        return
    with log_file(result["language"]).open("a", encoding="utf-8") as log:
        log.write(json.dumps(result) + "\n")


def log_file(language: str) -> Path:
    """Where the proxies of a language are kept, a line each."""
    return RESULTS / f"race-{language}-log.jsonl"


def log_table(language: str) -> str:
    """Return the proxies as a Markdown table; scores in percent, pretrained over scratch where both ran."""
    names = list(CONTESTS[language])
    lines = [
        "| " + " | ".join(["recipe", "time", "what was set", "tokens", "validation loss", *names]) + " |",
        "|---" * (5 + len(names)) + "|",
    ]
    for line in log_file(language).read_text("utf-8").splitlines():
        run = json.loads(line)
        settings = run["settings"]
        changed = [f"{key}={value}" for key, value in settings.items() if RECIPES[language].get(key) != value]
        facts = run["pretraining"]
        cells = [
            run["name"],
            f"{run['budget']}, {run['size']}",
            ", ".join(changed) or "the recipe",
            f"{facts['tokens'] / 1e6:.1f} M",
            f"{facts['validation_loss'][-1]:.3f}",
        ]
        for name in names:
            arms = run["tasks"].get(name, {"arms": {}})["arms"]
            means = [[score["mean"] for score in arms[arm].values()][-1] for arm in ARMS if arm in arms]
            cells.append(" / ".join(f"{100 * mean:.1f}" for mean in means) or "not run")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def table(tasks: dict[str, Any]) -> str:
    """Return the results for a terminal, in percent."""
    lines = []
    for name, task in tasks.items():
        for test in next(iter(task["arms"].values())):
            cells = []
            for arm, scores in task["arms"].items():
                mean, deviation = scores[test]["mean"], scores[test]["spread"] or 0
                cells.append(f"{arm} {100 * mean:.1f} ± {100 * deviation:.1f}")
            lines.append(
                f"{name:>14} {test:<9} {task['metric']:<9}"
                + "".join(f"{cell:<26}" for cell in cells)
                + f"{task['baseline']['name']} {100 * task['baseline'][test]:.1f}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
