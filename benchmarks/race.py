"""The race: half an hour of pretraining on two CPU cores, then fine-tuning on real tasks.

    python benchmarks/race.py en                      the whole race; the table goes to benchmarks/results/
    python benchmarks/race.py en --encoder-only       only the encoder
    python benchmarks/race.py en --budget 10m --seeds 1 --set masking.unit=word --name word-masking    a proxy

Reads the data sets in ../shared/data (its README says what they are); nothing of them is copied. Beside it
stands the same shape, tokenizer and fine-tuning recipe without pretraining; its scores are kept in runs/race.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import machine

from minibert.allocator import keep_freed_memory
from minibert.checkpoint import read_json, write_json
from minibert.config import parse_setting
from minibert.data.corpus import Corpus
from minibert.demo.baselines import MostFrequentTag, strongest
from minibert.finetune import finetune
from minibert.pretrain import pretrain
from minibert.tasks.metrics import accuracy
from minibert.tasks.model import TASKS, load
from minibert.tasks.spans import detect_scheme, span_scores, to_bio
from minibert.training.journal import read_log

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
RUNS = ROOT / "runs" / "race"
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True)
class Contest:
    """A data set of the race: the task, its files, the metric, and the fine-tuning epochs.

    validation "1/10" takes every tenth training row.
    """

    task: str
    metric: str
    train: str
    validation: str
    tests: tuple[tuple[str, str], ...]
    epochs: int


CORPORA = {"en": ("en_wiki/en_wiki.txt.xz", "en_books/en_books.txt.xz"), "zh": ("zh_wiki/zh_wiki.txt.xz",)}
CONTESTS = {
    "en": {
        "sst2": Contest(
            "classification", "accuracy", "sst2/train.jsonl", "sst2/dev.jsonl",
            (("dev", "sst2/dev.jsonl"), ("test", "sst2/test.jsonl")), 4,
        ),
        "ag_news_small": Contest(
            "classification", "accuracy", "ag_news_small/train.jsonl.xz", "1/10",
            (("test", "ag_news_small/test.jsonl"),), 4,
        ),
        "conll2003": Contest(
            "tagging", "f1", "conll2003/eng.train.xz", "1/10", (("testa", "conll2003/eng.testa"),), 4,
        ),
    },
    "zh": {
        "chnsenticorp": Contest(
            "classification", "accuracy", "chnsenticorp/train.jsonl.xz", "1/10",
            (("dev", "chnsenticorp/dev.jsonl"),), 3,
        ),
        "waimai_10k": Contest(
            "classification", "accuracy", "waimai_10k/train.csv", "1/10", (("held 1/5", "1/5"),), 3,
        ),
        "msra_ner": Contest(
            "tagging", "f1", "msra_ner/train.txt.xz", "1/10", (("test", "msra_ner/test.txt.xz"),), 2,
        ),
    },
}  # fmt: skip
MOST_TRAIN_ROWS = 15_000
RECIPE: dict[str, Any] = {
    "tokenizer.lowercase": False,
    "tokenizer.vocab_size": 8192,
    "data.max_seq_length": 128,
    "data.tokens_per_batch": 4096,
    "masking.unit": "word",
    "masking.mlm_probability": 0.15,
    "train.learning_rate": 2e-3,
    "train.warmup_ratio": 0.06,
    "train.logging_steps": 50,
}
RECIPES = {"en": RECIPE, "zh": {**RECIPE, "masking.unit": "token"}}
FINETUNE = {"train.learning_rate": 5e-4, "train.train_batch_size": 32, "train.early_stopping_patience": 2}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the race and print its table; the last line is one JSON object."""
    options = parse(argv)
    keep_freed_memory()
    started = time.perf_counter()
    settings = {**RECIPES[options.language], **dict(options.set)}
    encoder, facts = make_encoder(options, settings)
    result: dict[str, Any] = {
        "benchmark": "race",
        "language": options.language,
        "name": options.name,
        "budget": options.budget,
        "size": options.size,
        "settings": settings,
        "finetuning": FINETUNE,
        "machine": {**machine(), "threads": torch.get_num_threads()},
        "pretraining": facts,
        "tasks": {},
    }
    output = RESULTS / f"race-{options.language}-{options.name}.json"
    if not options.encoder_only:
        for name in options.tasks or CONTESTS[options.language]:
            result["tasks"][name] = compete(name, encoder, options)
            result["minutes"] = round((time.perf_counter() - started) / 60, 1)
            output.parent.mkdir(exist_ok=True)
            write_json(output, result)
            print(table({name: result["tasks"][name]}), flush=True)
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
    parser.add_argument("--name", default="race", help="name of this recipe, in runs/ and in the result file")
    parser.add_argument("--encoder-only", action="store_true")
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


def make_encoder(options: argparse.Namespace, settings: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """Pretrain, unless an encoder of this name is there already; return its folder and what it took."""
    folder = RUNS / options.language / options.name
    if not (folder / "facts.json").is_file():
        files = [SHARED / name for name in CORPORA[options.language]]
        started = time.perf_counter()
        pretrain(
            files,
            folder,
            size=options.size,
            budget=options.budget,
            settings=settings,
            overwrite_output_dir=True,
        )
        write_json(folder / "facts.json", pretraining_facts(folder, time.perf_counter() - started))
    return folder, read_json(folder / "facts.json")


def pretraining_facts(folder: Path, seconds: float) -> dict[str, Any]:
    """Say what pretraining saw and how far it came."""
    train = read_log(folder, "train")
    corpus = Corpus.open(folder / "corpus")
    return {
        "seconds": round(seconds, 1),
        "steps": train[-1]["step"],
        "training_seconds": train[-1]["elapsed"],
        "first_loss": train[0]["loss"],
        "validation_loss": [line["loss"] for line in read_log(folder, "validation")],
        "corpus_tokens": corpus.tokens,
        "unigram_entropy": corpus.unigram_entropy(load(folder).task.tokenizer.vocab_size),
    }


def read_parts(contest: Contest) -> tuple[list[Any], list[Any], dict[str, list[Any]]]:
    """Return training and validation rows and the named test sets; 1/10 takes every tenth training row."""
    kind = TASKS[contest.task]
    train = kind.read(SHARED / contest.train)
    tests = {}
    for name, source in contest.tests:
        train, tests[name] = cut(train, source) if "1/" in source else (train, kind.read(SHARED / source))
    if "1/" in contest.validation:
        train, validation = cut(train, contest.validation)
    else:
        validation = kind.read(SHARED / contest.validation)
    order = np.random.default_rng(0).permutation(len(train))[:MOST_TRAIN_ROWS]
    return [train[i] for i in order], validation, tests


def cut(rows: list[Any], share: str) -> tuple[list[Any], list[Any]]:
    """Return all but every n-th row, and every n-th."""
    every = int(share.rpartition("/")[2])
    return [row for i, row in enumerate(rows) if i % every], rows[::every]


def compete(name: str, encoder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Fine-tune both arms on a data set for every seed; score them and the baseline on its test sets."""
    contest = CONTESTS[options.language][name]
    train, validation, tests = read_parts(contest)
    arms: dict[str, dict[str, list[float]]] = {}
    for arm in ("pretrained", "scratch"):
        arms[arm] = {test: [] for test in tests}
        for seed in range(options.seeds):
            scores = scores_of_run(
                name, contest, encoder, arm=arm, seed=seed, data=(train, validation, tests)
            )
            for test, score in scores.items():
                arms[arm][test].append(score)
    return {
        "metric": contest.metric,
        "rows": {"train": len(train), "validation": len(validation), **{n: len(t) for n, t in tests.items()}},
        "arms": {
            arm: {test: spread(values) for test, values in scores.items()} for arm, scores in arms.items()
        },
        "baseline": baseline(contest.task, train, validation, tests),
    }


def scores_of_run(
    name: str, contest: Contest, encoder: Path, *, arm: str, seed: int, data: tuple[Any, Any, dict[str, Any]]
) -> dict[str, float]:
    """Fine-tune once and return the score on each test set; the arm without pretraining is remembered."""
    settings = {
        **FINETUNE,
        "train.num_train_epochs": float(contest.epochs),
        "train.seed": seed,
        "train.metric_for_best_model": contest.metric,
        "data.from_scratch": arm == "scratch",
        **({"task.pooling": "mean"} if contest.task == "classification" else {}),
    }
    remembered = RUNS / "scratch" / f"{name}-{fingerprint(encoder, settings)}.json"
    if arm == "scratch" and remembered.is_file():
        return dict(read_json(remembered))
    folder = RUNS / "finetuned" / f"{name}-{arm}-{seed}"
    train, validation, tests = data
    model = finetune(
        encoder,
        task=contest.task,
        train=train,
        validation=validation,
        output_dir=folder,
        settings=settings,
        overwrite_output_dir=True,
    )
    scores = {test: float(model.evaluate(rows)[contest.metric]) for test, rows in tests.items()}
    print(f"{name}, {arm}, seed {seed}: {scores}", flush=True)
    if arm == "scratch":
        remembered.parent.mkdir(parents=True, exist_ok=True)
        write_json(remembered, scores)
    return scores


def fingerprint(encoder: Path, settings: dict[str, Any]) -> str:
    """Return what decides the arm without pretraining: shape, tokenizer and fine-tuning recipe."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name in ("config.json", "spiece.model"):
        digest.update((encoder / name).read_bytes())
    return digest.hexdigest()[:16]


def baseline(
    task: str, train: list[Any], validation: list[Any], tests: dict[str, list[Any]]
) -> dict[str, Any]:
    """Score what needs no encoder: the best bag of words, or the most frequent tag of each word."""
    if task == "classification":
        chosen = strongest(train, validation)
        scores = {
            test: accuracy([row.label for row in rows], chosen.baseline.predict(rows))
            for test, rows in tests.items()
        }
        return {"name": f"bag of words ({chosen.name})", **scores}
    model = MostFrequentTag()
    model.fit(train)
    scheme = detect_scheme([row.tags for row in train])
    scores = {}
    for test, rows in tests.items():
        gold, predicted = [row.tags for row in rows], model.predict(rows)
        if scheme is not None:
            gold, predicted = ([to_bio(tags, scheme) for tags in part] for part in (gold, predicted))
        scores[test] = span_scores(gold, predicted)["f1"]
    return {"name": "most frequent tag of the word", **scores}


def spread(values: list[float]) -> dict[str, Any]:
    """Return mean, sample standard deviation and the values."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "spread": deviation, "values": values}


def table(tasks: dict[str, Any]) -> str:
    """Return the results for a terminal, in percent."""
    lines = []
    for name, task in tasks.items():
        for test in task["arms"]["pretrained"]:
            cells = [task["arms"][arm][test] for arm in ("pretrained", "scratch")]
            shown = [f"{100 * c['mean']:.1f} ± {100 * (c['spread'] or 0):.1f}" for c in cells]
            lines.append(
                f"{name:>16} {test:<9} {task['metric']:<9} pretrained {shown[0]:<12} scratch {shown[1]:<12} "
                f"{task['baseline']['name']} {100 * task['baseline'][test]:.1f}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
