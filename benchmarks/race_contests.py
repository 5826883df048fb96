"""What the race is run on: the corpora, the data sets with their splits, and what needs no encoder at all.

The files are those of ../shared/data (its README says what they are); nothing of them is copied.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minibert.evaluation.baselines import MostFrequentTag, strongest
from minibert.tasks.metrics import accuracy
from minibert.tasks.model import TASKS
from minibert.tasks.spans import detect_scheme, span_scores, to_bio

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
MOST_TRAIN_ROWS = 15_000


@dataclass(frozen=True)
class Contest:
    """A data set of the race: the task, its files, the metric, and the fine-tuning epochs.

    validation and tests are files, or "1/10" for every tenth training row
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


@dataclass(frozen=True)
class Parts:
    """The rows of a contest."""

    train: list[Any]
    validation: list[Any]
    tests: dict[str, list[Any]]

    @property
    def sizes(self) -> dict[str, int]:
        """How many rows each part has."""
        return {
            "train": len(self.train),
            "validation": len(self.validation),
            **{name: len(rows) for name, rows in self.tests.items()},
        }


def read_parts(contest: Contest) -> Parts:
    """Read a contest's rows; training takes at most MOST_TRAIN_ROWS of them, drawn with a fixed seed."""
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
    return Parts([train[i] for i in order], validation, tests)


def cut(rows: list[Any], share: str) -> tuple[list[Any], list[Any]]:
    """Return all but every n-th row, and every n-th; the share is "1/n"."""
    every = int(share.rpartition("/")[2])
    return [row for i, row in enumerate(rows) if i % every], rows[::every]


def baseline(task: str, parts: Parts) -> dict[str, Any]:
    """Score what needs no encoder: the best bag of words, or the most frequent tag of each word."""
    if task == "classification":
        chosen = strongest(parts.train, parts.validation)
        scores = {
            test: accuracy([row.label for row in rows], chosen.baseline.predict(rows))
            for test, rows in parts.tests.items()
        }
        return {"name": f"bag of words ({chosen.name})", **scores}
    model = MostFrequentTag()
    model.fit(parts.train)
    scheme = detect_scheme([row.tags for row in parts.train])
    scores = {}
    for test, rows in parts.tests.items():
        gold, predicted = [row.tags for row in rows], model.predict(rows)
        if scheme is not None:
            gold, predicted = ([to_bio(tags, scheme) for tags in part] for part in (gold, predicted))
        scores[test] = span_scores(gold, predicted)["f1"]
    return {"name": "most frequent tag of the word", **scores}
