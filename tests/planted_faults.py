"""A clean set of examples, and the same set with one fault planted in it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import tiny_runs

from minibert.data.examples import TextExample

CHINESE = "这部电影很好看，我还想再看一遍。"
SETTINGS = {"train.num_train_epochs": 10, "train.train_batch_size": 16, "train.precision": "fp32"}
Rows = list[TextExample]


@dataclass(frozen=True)
class Case:
    """What a run is told."""

    train: Rows
    held: Rows
    settings: dict[str, Any]


def rows(first: int, count: int) -> Rows:
    """Return different texts of two classes."""
    texts = [tiny_runs.sentence(number) for number in range(first, first + count)]
    assert len(set(texts)) == count
    return [TextExample(text, None, ("even", "odd")[n % 2]) for n, text in enumerate(texts)]


def clean() -> Case:
    """Return a run that nothing is wrong with."""
    return Case(rows(0, 200), rows(300, 40), SETTINGS)


def _train(change: Callable[[Rows], Rows]) -> Callable[[Case], Case]:
    return lambda case: replace(case, train=change(case.train))


def _held(change: Callable[[Case], Rows]) -> Callable[[Case], Case]:
    return lambda case: replace(case, held=change(case))


def _told(**settings: Any) -> Callable[[Case], Case]:
    named = {name.replace("__", "."): value for name, value in settings.items()}
    return lambda case: replace(case, settings={**case.settings, **named})


def _labelled(label: Callable[[int], str]) -> Callable[[Case], Case]:
    return _train(lambda all_rows: [replace(row, label=label(n)) for n, row in enumerate(all_rows)])


FAULTS: dict[str, Callable[[Case], Case]] = {
    "unknown-label": _held(lambda case: [*case.held, TextExample("the dog", None, "neither")]),
    "similar-labels": _train(lambda all_rows: [*all_rows, TextExample("a tree", None, "Odd ")]),
    "one-label": _labelled(lambda n: "even"),
    "imbalance": _labelled(lambda n: "odd" if n % 20 == 0 else "even"),
    "rare-labels": _train(lambda all_rows: [*all_rows, TextExample("a tree", None, "third")]),
    "too-many-labels": _labelled(lambda n: f"id {n}"),
    "no-label": _train(lambda all_rows: [*all_rows, TextExample("a tree")]),
    "empty-text": _train(lambda all_rows: [*all_rows, TextExample(" \n", None, "odd")]),
    "duplicates": _train(lambda all_rows: all_rows + all_rows[:9]),
    "contradictions": _train(lambda all_rows: [*all_rows, replace(all_rows[0], label="odd")]),
    "leakage": _held(lambda case: case.held + case.train[:5]),
    "near-leakage": _held(
        lambda case: [*case.held, replace(case.train[3], text=case.train[3].text.upper().replace(" ", "  "))]
    ),
    "truncated": _told(task__max_length=6),
    "split": _told(task__max_length=6, task__on_long="split"),
    "unknown-tokens": _train(
        lambda all_rows: [replace(row, text=f"{CHINESE}{n}") for n, row in enumerate(all_rows)]
    ),
    "learning-rate": _told(train__learning_rate=0.3),
    "batch-size": _told(train__train_batch_size=150),
    "few-steps": _told(train__max_steps=4),
    "warmup": _told(train__warmup_steps=5000),
    "many-epochs": _told(train__num_train_epochs=300),
    "attention": _told(train__attention="flash"),
    "device": _told(train__device="cuda:63"),
}
