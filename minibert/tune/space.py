"""What may be tried for each setting, as a person types it or writes it into a .toml.

    train.learning_rate=1e-5..5e-4:log     a range; with :log, evenly over its magnitudes
    train.num_train_epochs=2..6            whole numbers where both ends are
    task.pooling=first|mean                one of several values
    recipe=plain|few_rows                  a recipe of `finetune --recipe`; what else is tried wins over it

In a .toml, tables hold the same texts, or lists: `[train]`, `learning_rate = "1e-5..5e-4:log"`,
`train_batch_size = [16, 32]`.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minibert.config import from_dict, parse_setting, read_file
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.tasks.task import Task
from minibert.training.finetuning import Settings, adapters_with
from minibert.training.recipes import recipe_for

RECIPE, ADAPTER = "recipe", "adapt.adapter"
FORM = "KEY=LOW..HIGH, KEY=LOW..HIGH:log or KEY=ONE|TWO"


@dataclass(frozen=True)
class Range:
    """All numbers from low to high, both included; whole ones where both ends are."""

    low: float
    high: float
    log: bool = False

    @property
    def ends(self) -> tuple[Any, ...]:
        return (self.low, self.high)


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        return self.values


Space = dict[str, Range | Choice]


def parse_space(typed: Iterable[str], file: str | Path | None = None) -> Space:
    """Read a search space from KEY=WHAT texts and a .toml; what is typed wins.

    Raises InputError for an empty space and for what is not of the form above.

    >>> parse_space(["train.learning_rate=1e-5..5e-4:log", "task.pooling=first|mean"])["task.pooling"]
    Choice(values=('first', 'mean'))
    """
    space = {} if file is None else space_of_file(file)
    for text in typed:
        key, equals, value = text.partition("=")
        if not equals or not value.strip():
            raise InputError(f"--search {text!r}: expected {FORM}")
        name = key.strip().replace("-", "_")
        space[name] = parse_dimension(name, value.strip())
    if not space:
        raise InputError(f"nothing to search: give --search {FORM}, once or more, or --space FILE")
    return space


def space_of_file(path: str | Path) -> Space:
    """Read the tables of a .toml or .json."""
    space: Space = {}
    for group, table in read_file(path).items():
        entries = table.items() if isinstance(table, dict) else [("", table)]
        for key, value in entries:
            name = f"{group}.{key}" if key else group
            if isinstance(value, list):
                space[name] = choice(name, value)
            elif isinstance(value, str):
                space[name] = parse_dimension(name, value)
            else:
                raise InputError(f'{path}: {name} is {value!r}; expected "LOW..HIGH" or a list of values')
    return space


def parse_dimension(key: str, text: str) -> Range | Choice:
    """Read what may be tried for one setting.

    >>> parse_dimension("train.num_train_epochs", "2..6"), parse_dimension("train.seed", "1|2")
    (Range(low=2, high=6, log=False), Choice(values=(1, 2)))
    """
    if ".." not in text:
        return choice(key, [parse_setting(part.strip()) for part in text.split("|")])
    ends, colon, scale = text.partition(":")
    low, high = (parse_setting(end.strip()) for end in ends.split("..", 1))
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))
    if not numbers or (colon and scale != "log"):
        raise InputError(f"{key}={text}: expected {FORM}")
    if not all(abs(end) <= sys.float_info.max for end in (low, high)):
        raise InputError(f"{key}={text}: the ends of a range must be finite numbers")
    if not low < high:
        raise InputError(f"{key}={text}: {low:g} is not below {high:g}; turn them round, or give one value")
    if scale and low <= 0:
        raise InputError(f"{key}={text}: a range over magnitudes begins above 0; raise {low:g}, or drop :log")
    return Range(low, high, bool(scale))


def choice(key: str, values: list[Any]) -> Choice:
    """Return a choice; raises InputError where there is nothing to choose."""
    if len(values) < 2 or len({*map(repr, values)}) < len(values):
        raise InputError(f"{key}: {values} is no choice; give at least two values, each once")
    return Choice(tuple(values))


def check_space(space: Space, kind: type[Task], *, same: dict[str, Any] | None = None) -> None:
    """Raise InputError for a key that no setting has, and for a value that it does not take.

    same  settings of all trials, beside which the ends of a range, and every value of a choice, are tried
    """
    for key, what in space.items():
        for value in what.ends:
            try:
                check_value(key, value, kind, {**(same or {}), **adapter_for(key, space)})
            except InputError as error:
                raise InputError(f"--search {spell({key: value})}: {error}") from error


def adapter_for(key: str, space: Space) -> dict[str, Any]:
    """Return an adapter that is tried and that a setting goes with; nothing for one that needs none."""
    tried = space[ADAPTER].ends if ADAPTER in space and key.startswith("adapt.") and key != ADAPTER else ()
    fitting = [adapter for adapter in tried if goes_with(key, adapter)]
    return {ADAPTER: fitting[0]} if fitting else {}


def check_value(key: str, value: Any, kind: type[Task], same: dict[str, Any]) -> None:
    """Try a value on the settings alone."""
    group, _, name = key.partition(".")
    if key == RECIPE:
        recipe_for(kind, str(value))
        return
    Settings.of({**same, key: value})
    if group == "task":
        options = known(name, kind.Options)
        from_dict(options, {name: value}, where="task")
    elif group == "model":
        known(name, EncoderConfig)


def check_ends(space: Space, ready: Callable[[dict[str, Any]], None]) -> None:
    """Raise InputError for a value that no trial can have, with its key, before any has begun.

    The first of all values is made ready together, and then every other choice, or end of a range, beside
    the first of all others: a trial may draw each of them.
    ready  makes a trial of some values ready, {} for what is the same in all; raises InputError if it cannot
    """
    first = {key: what.ends[0] for key, what in space.items()}
    for change in ({}, *({key: value} for key, what in space.items() for value in what.ends[1:])):
        try:
            ready({**first, **change})
        except InputError as error:
            if not change and complaint(ready) == str(error):
                raise
            raise InputError(
                f"--search {spell(change or first)}: no trial can be made of it: {error}"
            ) from error


def complaint(ready: Callable[[dict[str, Any]], None]) -> str:
    """Return what is wrong with what all trials have in common; nothing mostly."""
    try:
        ready({})
    except InputError as error:
        return str(error)
    return ""


def joined(values: dict[str, Any], same: dict[str, Any], kind: type[Task]) -> dict[str, Any]:
    """Join the recipe, what is the same in all trials, and what is tried, which wins.

    Where the adapter is tried as well, options of another one than this trial's are left out.
    """
    recipe = recipe_for(kind, values[RECIPE]) if RECIPE in values else {}
    tried = {key: value for key, value in values.items() if key != RECIPE}
    if ADAPTER in tried:
        tried = {key: value for key, value in tried.items() if goes_with(key, tried[ADAPTER])}
    return {**recipe, **same, **tried}


def goes_with(key: str, adapter: str) -> bool:
    """Whether a setting means something beside an adapter.

    >>> goes_with("adapt.lora_rank", "lora"), goes_with("adapt.lora_rank", "bitfit")
    (True, False)
    """
    return key == ADAPTER or not key.startswith("adapt.") or adapter in adapters_with(key[6:], (adapter,))


def spell(values: dict[str, Any]) -> str:
    """Spell what is tried.

    >>> spell({"train.learning_rate": 3.14159e-5, "train.seed": 1})
    'train.learning_rate 3.14e-05, train.seed 1'
    """
    return ", ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in values.items()
    )


def known(name: str, kind: type[Any] | None) -> type[Any]:
    """Return a data class that has a field of this name; raises InputError where it has none."""
    names = [] if kind is None else sorted(field.name for field in dataclasses.fields(kind))
    if kind is None or name not in names:
        raise InputError(f"unknown key {name!r}; known keys: {', '.join(names)}")
    return kind
