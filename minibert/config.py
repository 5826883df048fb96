"""Settings as frozen dataclasses, to and from JSON and TOML.

A key that no field has is an error that names the nearest field; a value of the wrong type is an error that
names the key. What is written is complete: every field with its value, so that a file alone says what ran.
"""

import dataclasses
import difflib
import json
import re
import sys
import tomllib
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from minibert.errors import InputError

C = TypeVar("C")


def from_dict(kind: type[C], values: dict[str, Any], *, where: str = "the settings") -> C:
    """Build a settings dataclass; `where` names the source of the values in errors.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Settings:
    ...     seed: int = 0
    >>> from_dict(Settings, {"seed": 7}).seed
    7
    """
    types_of = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    checked = {}
    for key, value in values.items():
        if key not in names:
            raise InputError(f"{where}: unknown key {key!r}; {_nearest(key, names)}")
        checked[key] = _fit(key, value, types_of[key], where)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        has_default = (field.default, field.default_factory) != (dataclasses.MISSING, dataclasses.MISSING)
        if field.name not in checked and not has_default:
            raise InputError(f"{where}: {field.name} is missing and has no default; give its value")
    return kind(**checked)


def to_dict(settings: Any) -> dict[str, Any]:
    """Turn a settings dataclass into plain values."""
    return dataclasses.asdict(settings)


def group(values: dict[str, Any], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Sort dotted keys and nested tables into named groups.

    >>> group({"train.seed": 1, "data": {"workers": 2}}, ["train", "data"])
    {'train': {'seed': 1}, 'data': {'workers': 2}}
    """
    groups: dict[str, dict[str, Any]] = {name: {} for name in names}
    for key, value in values.items():
        name, dot, rest = key.partition(".")
        if name not in groups or (not dot and not isinstance(value, dict)):
            raise InputError(
                f"unknown setting {key!r}; settings are GROUP.KEY with a group of {', '.join(names)}"
            )
        groups[name].update({rest: value} if dot else value)
    return groups


def parse_setting(text: str) -> Any:
    """Read a value typed on a command line: a number, true, false, null, or else the text itself.

    >>> parse_setting("1e-3"), parse_setting("true"), parse_setting("cosine")
    (0.001, True, 'cosine')
    """
    try:
        return json.loads(text.lower() if text.lower() in ("true", "false") else text)
    except (ValueError, RecursionError):
        return text


def parse_seconds(budget: str | float) -> float:
    """Read a duration: a number of seconds, or a text such as 90s, 30m or 1.5h.

    >>> parse_seconds("30m"), parse_seconds(12)
    (1800.0, 12.0)
    """
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([smh]?)", str(budget).strip())
    if not match or float(match[1]) <= 0:
        raise InputError(f"budget {budget!r} is no duration; write 90s, 30m or 1h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def read_file(path: str | Path) -> dict[str, Any]:
    """Read a .toml or .json file of settings into a dict."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such settings file")
    if path.suffix not in (".toml", ".json"):
        raise InputError(f"{path}: settings are read from .toml and .json, and this is neither")
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
        values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid {path.suffix.lstrip('.')}: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a table of keys and values, found {type(values).__name__}")
    return values


def _nearest(key: str, names: list[str]) -> str:
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(names))}"


def _fit(key: str, value: Any, wanted: Any, where: str) -> Any:
    """Return the value if it is of the wanted type: an int as a float and "none" as None where those fit.

    Infinity and NaN, which JSON and TOML can spell, are no numbers of a setting.
    """
    for option in _options(wanted):
        if typing.get_origin(option) is typing.Literal:
            if value in typing.get_args(option):
                return value
        elif option is float and isinstance(value, int | float) and not isinstance(value, bool):
            if not abs(value) <= sys.float_info.max:
                raise InputError(f"{where}: {key} is {value!r:.40}, expected a finite number")
            return float(value)
        elif option is int and isinstance(value, bool):
            continue
        elif isinstance(value, typing.get_origin(option) or option):
            return tuple(value) if option is tuple else value
    if str(value).lower() == "none" and type(None) in _options(wanted):
        return None
    raise InputError(f"{where}: {key} is {value!r}, expected {_type_name(wanted)}")


def _options(wanted: Any) -> tuple[Any, ...]:
    # `int | Literal["x"]` is a typing.Union, `int | str` a types.UnionType.
    is_union = typing.get_origin(wanted) in (typing.Union, types.UnionType)
    return typing.get_args(wanted) if is_union else (wanted,)


def _type_name(wanted: Any) -> str:
    names = []
    for option in _options(wanted):
        if typing.get_origin(option) is typing.Literal:
            names += [repr(value) for value in typing.get_args(option)]
        else:
            names.append("none" if option is type(None) else option.__name__)
    return " or ".join(names)
