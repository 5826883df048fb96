"""Write docs/settings.md: every setting with its flag, its default and its meaning.

    python docs/settings.py

Read off the parsers of the commands, which are made from the settings classes and from the texts of
`minibert.commands.flag_help`; what tasks have is read off their options. A test compares the page with what
this makes of them.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from minibert.commands.arguments import build_parser
from minibert.commands.finetune import options_of_tasks
from minibert.commands.flag_help import HELP

PAGE = Path(__file__).resolve().parent / "settings.md"
COMMANDS = ("pretrain", "finetune", "learn", "distill", "update")  # what others have is among theirs
INTRODUCTION = """# Settings

Made by `docs/settings.py` from the commands; do not edit it by hand. A setting has a key of two parts,
`GROUP.NAME`. What is said in several places is taken from the first of these:

| where | how |
|---|---|
| the command line, by key | `--set train.learning_rate=1e-3`, as often as you like |
| the command line, by flag | `--learning-rate 1e-3`, or `--learning_rate 1e-3` |
| a file | `--config run.toml`, where a table `[train]` holds `learning_rate = 1e-3`; also a `run.json` |
| a recipe | `minibert finetune --recipe few_rows` ([page 07](07-training.md)) |
| the default | the tables below |

In Python: `settings={"train.learning_rate": 1e-3}`. A key that does not exist is an error, which names the
nearest one; so is a value of the wrong kind. `model.NAME` has no flag and changes a field of the encoder's
`config.json` ([model/config.py](../minibert/model/config.py)), as in `--set model.num_hidden_layers=6`. What
a run was told, defaults included, is in its `run.json`."""
GROUPS = {
    "tokenizer": "The vocabulary, where none is given",
    "data": "The data",
    "masking": "What is hidden in pretraining",
    "train": "Training",
    "task": "The task",
    "adapt": "Adapters",
    "learn": "Learning part after part",
    "distill": "A student and its teachers",
    "update": "Whether a newer model is taken",
}
NOTES = {
    "task": "`learn` and `distill` have flags for the options of classification alone.",
    "adapt": "In `learn` they are for `--method adapters`, and the adapter is lora where none is named.",
}


@dataclass(frozen=True)
class Flag:
    """A setting as one command shows it."""

    names: tuple[str, ...]
    meaning: str
    default: str
    choices: tuple[str, ...]


def flags_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, Flag]]:
    """Yield key and flag of each setting of a command; --bf16 is another name of --precision."""
    actions = [action for action in parser._actions if "." in action.dest]
    for action in actions:
        if action.const is None:
            names = [name for other in actions if other.dest == action.dest for name in other.option_strings]
            meaning, _, default = (action.help or "").replace("%%", "%").rpartition(" (default: ")
            yield action.dest, Flag(tuple(names), meaning, default[:-1], tuple(action.choices or ()))


def settings() -> dict[str, dict[str, Flag]]:
    """Return for each key what each command says that has a flag for it."""
    [commands] = (action.choices for action in build_parser()._actions if isinstance(action.choices, dict))
    found: dict[str, dict[str, Flag]] = {}
    for command in COMMANDS:
        for key, flag in flags_of(commands[command]):
            found.setdefault(key, {})[command] = flag
    return found


def build() -> str:
    """Return the page."""
    found, parts = settings(), [INTRODUCTION]
    for group, title in GROUPS.items():
        rows = {key: flags for key, flags in found.items() if key.startswith(f"{group}.")}
        commands = [command for command in COMMANDS if any(command in flags for flags in rows.values())]
        head, lines = ["flag", "setting", "default", "meaning"], []
        if group == "task":
            head.append("tasks")
            lines = [task_row(key, flags["finetune"]) for key, flags in rows.items()]
        else:
            lines = [row(key, flags, commands) for key, flags in rows.items()]
        table = [line_of(head), "|" + "---|" * len(head), *map(line_of, lines)]
        told = f"Flags of {listed(commands)}. {NOTES.get(group, '')}".strip()
        parts += [f"## {title}: `{group}`", told, "\n".join(table)]
    return "\n\n".join(parts) + "\n"


def row(key: str, flags: Mapping[str, Flag], commands: list[str]) -> list[str]:
    """Return the cells of a setting; where some of the commands lack its flag, the meaning says so."""
    flag = next(iter(flags.values()))
    lacking = [command for command in commands if command not in flags]
    who = f"{listed(flags)} only" if len(flags) <= len(lacking) else f"not {listed(lacking)}"
    default = default_of(key, flag, {command: flag.default for command, flag in flags.items()})
    return [listed(flag.names), f"`{key}`", default, meaning_of(flag) + (f" ({who})" if lacking else "")]


def task_row(key: str, flag: Flag) -> list[str]:
    """Return the cells of an option of tasks; the tasks that have it stand in a column of their own."""
    name, options = key.removeprefix("task."), options_of_tasks()
    values = {task: vars(shape)[name] for task, shape in options.items() if name in vars(shape)}
    shown = {
        task: str(value).lower() if value in (True, False) else str(value) for task, value in values.items()
    }
    if len(set(shown.values())) == 1:
        shown = dict.fromkeys(shown, flag.default)  # as the command writes it
    tasks, colon, after = flag.meaning.partition(": ")
    is_named = colon and tasks.split()[0].rstrip(",") in options  # the column says it better
    who = "all" if len(values) == len(options) else listed(values)
    meaning = meaning_of(replace(flag, meaning=after) if is_named else flag)
    return [listed(flag.names), f"`{key}`", default_of(key, flag, shown), meaning, who]


def default_of(key: str, flag: Flag, values: Mapping[str, str]) -> str:
    """Write the default that a text names itself, or who has which: "`pretrain` 0.1, else 0.01"."""
    if "default" in HELP[key]:
        return flag.default
    groups: dict[str, list[str]] = {}
    for who, value in values.items():
        groups.setdefault(value or "nothing", []).append(who)
    *few, most = sorted(groups, key=lambda value: len(groups[value]))
    return ", ".join([*(f"{listed(groups[value])} {value}" for value in few), "else " * bool(few) + most])


def meaning_of(flag: Flag) -> str:
    """Write what a setting means, and its values where they can be listed."""
    return flag.meaning + (f": {listed(flag.choices)}" if flag.choices else "")


def listed(names: Iterable[str]) -> str:
    """Write names with commas between."""
    return ", ".join(f"`{name}`" for name in names)


def line_of(cells: list[str]) -> str:
    """Write a line of a table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    """Write the page."""
    PAGE.write_text(build(), encoding="utf-8")


if __name__ == "__main__":
    main()
