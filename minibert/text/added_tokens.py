"""Tokens that somebody added to a vocabulary after it was learnt, where no `tokenizer.json` holds them.

`tokenizer_config.json` lists them by their ids (`added_tokens_decoder`), and says how each is found in a
text. Older folders have `added_tokens.json`, from token to id. The ids have to be what the library gives
when the tokens are added in their order: the id that the vocabulary has, or the next free one.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minibert.errors import InputError
from minibert.text.tokenizer import SETTINGS_FILE

FILE, KEY = "added_tokens.json", "added_tokens_decoder"
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


@dataclass(frozen=True)
class Added:
    """One added token: its id and its letters, how it is found in a text, and the file that says so."""

    number: int
    content: str
    flags: Mapping[str, bool]
    where: str


def read_added(folder: Path, settings: Mapping[str, Any]) -> list[Added]:
    """Return the added tokens of a folder by their ids; settings are its tokenizer_config.json.

    A token of the older file is special where the settings call it so. Raises InputError for what is no table
    of tokens.
    """
    told = settings.get(KEY)
    if told is not None:
        where = f"{SETTINGS_FILE}, {KEY}"
        return sorted((_described(*pair, where) for pair in _pairs(told, where)), key=lambda one: one.number)
    path = folder / FILE
    if not path.is_file():
        return []
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error
    special = set(_called_special(settings))
    found = []
    for content, number in _pairs(values, FILE):
        if type(number) is not int:
            raise InputError(f"{path}: {content!r} has the id {number!r:.60}; a whole number is wanted")
        flags = {"special": content in special, "normalized": content not in special}
        found.append(Added(number, content, flags, FILE))
    return sorted(found, key=lambda one: one.number)


def add_tokens(library: Any, engine: Any, added: Sequence[Added], names: Iterable[str]) -> None:
    """Add the tokens to an engine, and the names of the control tokens, which are special whatever is said.

    Raises InputError for a token whose id is not the one that its place gives it.
    """
    names = set(names)
    tokens = []
    for one in added:
        flags = {**one.flags, "special": one.flags.get("special", False) or one.content in names}
        tokens.append(library.AddedToken(one.content, **flags))
    engine.add_tokens(tokens)
    engine.add_special_tokens(sorted(names - {one.content for one in added}))
    for one in added:
        place = engine.token_to_id(one.content)
        if place != one.number:
            raise InputError(
                f"{one.where}: {one.content!r} has the id {one.number}, and its place behind the vocabulary "
                f"is {place}; correct the id, or complete the list of pieces"
            )


def _pairs(values: Any, where: str) -> list[tuple[str, Any]]:
    if not isinstance(values, dict):
        raise InputError(f"{where} holds {values!r:.60}; a table of tokens and their ids is wanted")
    return list(values.items())


def _described(number: str, token: Any, where: str) -> Added:
    """Read one entry of the newer list: the id, and a table of the token's letters and flags."""
    content = token.get("content") if isinstance(token, dict) else None
    if not isinstance(content, str) or not (number.isascii() and number.isdigit()):
        raise InputError(
            f"{where}: {number!r} is {token!r:.60}; an id and a token with its content are wanted"
        )
    flags = {flag: token[flag] for flag in FLAGS if flag in token}
    for flag, value in flags.items():
        if not isinstance(value, bool):
            raise InputError(f"{where}: {flag} of {content!r} is {value!r:.60}; true or false is wanted")
    return Added(int(number), content, flags, where)


def _called_special(settings: Mapping[str, Any]) -> Iterable[str]:
    """Return the letters of all tokens that the settings call special, by a name or in a list."""
    more = settings.get("extra_special_tokens") or settings.get("additional_special_tokens") or []
    named = [value for key, value in settings.items() if key.endswith("_token")]
    for token in [*named, *(more.values() if isinstance(more, dict) else more)]:
        content = token.get("content") if isinstance(token, dict) else token
        if isinstance(content, str):
            yield content
