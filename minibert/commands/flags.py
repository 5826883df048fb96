"""Command-line flags made from the fields of settings classes, and settings made from flags.

A field `learning_rate` of the group `train` becomes the flag --learning-rate with the type, the choices and
the default of the field; what a person gives comes back under the dotted key "train.learning_rate". What is
not given leaves no trace, so that a settings file or the library's own defaults decide.
"""

import argparse
import dataclasses
import re
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any

from minibert.commands.flag_help import HELP
from minibert.config import parse_setting, read_file
from minibert.errors import InputError

RUN = "run"  # a table of a settings file that says what is run on: `minibert doctor` reads it
FLAG_NAMES = {
    "adapt.lora_rank": ("--lora-rank", "--lora-r"),
    "adapt.prompt_tokens": ("--prompt-tokens", "--num-virtual-tokens"),
    "data.progress": ("--progress",),
    "masking.unit": ("--masking-unit",),
    "task.max_length": ("--max-seq-length",),
    "task.label_smoothing": ("--label-smoothing-factor",),
    "train.train_batch_size": ("--per-device-train-batch-size", "--train-batch-size"),
}
PATTERNS = ("adapt.lora_target_modules",)  # names with commas or blanks between


def add_fields(
    parser: argparse.ArgumentParser, title: str, defaults: Any, *, group: str, without: Sequence[str] = ()
) -> None:
    """Add a titled group with one flag for each field of a settings dataclass, which holds the defaults."""
    section = parser.add_argument_group(title)
    hints = typing.get_type_hints(type(defaults))
    for field in dataclasses.fields(defaults):
        if field.name not in without:
            key = f"{group}.{field.name}"
            names = FLAG_NAMES.get(key, ("--" + field.name.replace("_", "-"),))
            add_field(section, names, key, hint=hints[field.name], default=getattr(defaults, field.name))
    if group == "train":
        for alias in ("bf16", "fp32"):
            section.add_argument(
                f"--{alias}",
                dest="train.precision",
                action="store_const",
                const=alias,
                default=argparse.SUPPRESS,
                help=f"the same as --precision {alias}",
            )


def add_field(section: Any, names: Sequence[str], key: str, *, hint: Any, default: Any) -> None:
    """Add the flag of one field."""
    shown = "none" if default is None else str(default).lower() if isinstance(default, bool) else default
    text = HELP[key]
    text = text if "default" in text else f"{text} (default: {shown})"
    if hint is bool:
        action = argparse.BooleanOptionalAction
        section.add_argument(*names, dest=key, action=action, default=argparse.SUPPRESS, help=text)
        return
    choices = typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else None
    several: dict[str, Any] = {"nargs": "+", "action": JoinedByCommas} if key in PATTERNS else {}
    section.add_argument(
        *names,
        dest=key,
        type=str if choices else reader(hint),
        choices=choices,
        metavar=None if choices else metavar(hint),
        default=argparse.SUPPRESS,
        help=text.replace("%", "%%"),
        **several,
    )


class JoinedByCommas(argparse.Action):
    """Takes `--flag a b` and `--flag a,b` alike."""

    def __call__(self, parser: Any, namespace: Any, values: Any, *spelled: Any) -> None:
        setattr(namespace, self.dest, ",".join(values))


def reader(hint: Any) -> Callable[[str], Any]:
    """Return what reads a flag's text: text stays text, numbers are read; settings check the rest."""
    options = (hint, *typing.get_args(hint))
    return str if str in options and int not in options else parse_setting


def metavar(hint: Any) -> str:
    """Return what stands for the value in a help text."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if str in options:
        return "NAME"
    return "N" if int in options else "X"


def add_settings_flags(parser: argparse.ArgumentParser) -> None:
    """Add --config and --set."""
    section = parser.add_argument_group("settings", "--set wins over flags, flags over the file")
    section.add_argument("--config", metavar="FILE", help="a .toml file of tables, or the run.json of a run")
    section.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any setting by its dotted key, such as train.learning_rate=1e-3; may be given again",
    )


def chosen_settings(args: argparse.Namespace, check: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Merge the settings file, the flags and --set; `check` raises InputError for what it does not know."""
    flags = {key: value for key, value in vars(args).items() if "." in key}
    return {**file_settings(args.config, check), **flags, **dict(map(parse_pair, args.set))}


def file_settings(path: str | None, check: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Read a settings file into dotted keys; errors name the file."""
    if path is None:
        return {}
    values = read_file(path)
    values = values.get("settings", values)  # a run.json keeps more than the settings
    values = {group: table for group, table in values.items() if group != RUN}
    try:
        check(values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return {
        f"{group}.{key}": value
        for group, table in values.items()
        for key, value in (table.items() if isinstance(table, dict) else ())
    } | {key: value for key, value in values.items() if not isinstance(value, dict)}


def parse_pair(text: str) -> tuple[str, Any]:
    """Take KEY=VALUE apart.

    >>> parse_pair("train.learning_rate=1e-3")
    ('train.learning_rate', 0.001)
    """
    key, equals, value = text.partition("=")
    if not equals or "." not in key:
        raise InputError(f"--set {text!r}: expected GROUP.KEY=VALUE, such as train.learning_rate=1e-3")
    return key.strip().replace("-", "_"), parse_setting(value.strip())


def with_dashes(argument: str) -> str:
    """Write the underscores of a flag's name as dashes; everything else stays.

    >>> with_dashes("--output_dir=my_runs"), with_dashes("my_file.txt")
    ('--output-dir=my_runs', 'my_file.txt')
    """
    name, equals, value = argument.partition("=")
    if not re.fullmatch(r"--[A-Za-z0-9_-]+", name):
        return argument
    return name.replace("_", "-") + equals + value
