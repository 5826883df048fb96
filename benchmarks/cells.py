"""A table of quality, cell by cell: what was done is kept, a run that was cut goes on where it stopped.

A cell is one row of the table (a data set), one contestant and one seed; what comes out of it is one line of
JSON. Scores are no timings: cells may run beside other work, and their minutes are told but not compared.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from measure import machine, say

from minibert.durable import replace_text
from minibert.tasks.metrics import mean_and_spread

Line = dict[str, Any]
Table = list[list[str]]


class NotHere(Exception):
    """A contestant cannot run here; the message says what it lacks."""


@dataclass(frozen=True)
class Places:
    """Where things are: the data sets, the pretrained encoders, and room for models that nobody keeps."""

    data: Path
    english: Path
    chinese: Path | None
    scratch: Path


@dataclass(frozen=True)
class Cell:
    """One row and one contestant, for some seeds.

    run     seed -> scores; the first is the measure of the row
    note    what the record must not hide: a cap on rows or epochs, a single seed for its minutes
    """

    row: str
    contestant: str
    run: Callable[[int], dict[str, float]]
    seeds: Sequence[int] = (0, 1, 2)
    note: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)


def read_lines(store: Path) -> list[Line]:
    """Return the lines of a store, none if there is no such file."""
    return [json.loads(line) for line in store.read_text("utf-8").splitlines()] if store.is_file() else []


def key(line: Line) -> tuple[str, str, int]:
    """Return which cell a line is of."""
    return line["row"], line["contestant"], line["seed"]


def run_cells(cells: Iterable[Cell], store: Path, *, seeds: int | None = None) -> list[Line]:
    """Run what the store does not hold yet, first seeds first, and add a line for each; return all lines.

    A line by another recipe than its cell's is not it (see `is_of`): the cell is run, and its line takes that
    one's place.
    """
    done = {key(line): line for line in read_lines(store)}
    wanted = [(seed, cell) for cell in cells for seed in list(cell.seeds)[:seeds]]
    store.parent.mkdir(parents=True, exist_ok=True)
    for seed, cell in sorted(wanted, key=lambda pair: pair[0]):
        old = done.get((cell.row, cell.contestant, seed))
        if old is not None and is_of(old, cell):
            continue
        say(
            f"{cell.row}, {cell.contestant}, seed {seed}" + (", by another recipe than before" if old else "")
        )
        try:
            line = run_cell(cell, seed)
        except NotHere as error:
            say(f"  left out: {error}")
            continue
        if old is not None:
            others = [other for other in read_lines(store) if key(other) != key(line)]
            replace_text(store, "".join(map(written, others)))
        with store.open("a", encoding="utf-8") as file:
            file.write(written(line))
        say(f"  {line['scores']}  {line['minutes']} min")
    return read_lines(store)


def is_of(line: Line, cell: Cell) -> bool:
    """Tell whether a line was made as its cell says; what needs no recipe has its rows in the note."""
    same = line["recipe"] == json.loads(json.dumps(cell.recipe))
    return same and (bool(cell.recipe) or line["note"] == cell.note)


def written(line: Line) -> str:
    """Return a line as the store has it."""
    return json.dumps(line, ensure_ascii=False) + "\n"


def run_cell(cell: Cell, seed: int) -> Line:
    """Run one cell and return its line."""
    start = time.perf_counter()
    scores = cell.run(seed)
    return {
        "row": cell.row,
        "contestant": cell.contestant,
        "seed": seed,
        "scores": {name: round(float(value), 5) for name, value in scores.items()},
        "minutes": round((time.perf_counter() - start) / 60, 2),
        "threads": torch.get_num_threads(),
        "note": cell.note,
        "recipe": cell.recipe,
        "machine": machine(),
    }


def table_of(lines: Sequence[Line]) -> Table:
    """Return one line for each row and contestant: its measure and its other scores, mean and spread.

    Scores between 0 and 1 are shown in percent; the spread is the sample standard deviation over the seeds.
    """
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in sorted(lines, key=lambda line: line["row"]):
        groups.setdefault((line["row"], line["contestant"]), []).append(line)
    table = [["data", "contestant", "measure", "score", "other scores", "seeds", "minutes", ""]]
    for (row, contestant), group in groups.items():
        measure, *others = dict.fromkeys(name for line in group for name in line["scores"])
        told = ", ".join(f"{name} {spelled(group, name)}" for name in others)
        minutes = f"{sum(line['minutes'] for line in group) / len(group):.1f}"
        note = group[-1]["note"]
        table.append(
            [row, contestant, measure, spelled(group, measure), told, str(len(group)), minutes, note]
        )
    return table


NO_SHARES = ("mean_squared_error", "mean_absolute_error", "speed")  # which may be below 1 all the same


def spelled(group: Sequence[Line], name: str) -> str:
    """Write a score's mean and spread."""
    values = [line["scores"][name] for line in group if name in line["scores"]]
    mean, spread = mean_and_spread(values)
    plain = name in NO_SHARES
    scale = 100 if not plain and all(-1 <= value <= 1 for value in values) else 1
    form = ".2f" if plain else ",.0f" if scale * mean >= 1000 else ".1f"
    beside = f" ± {scale * spread:{form}}" if len(values) > 1 else ""
    return f"{scale * mean:{form}}{beside}"
