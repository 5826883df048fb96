"""From the rows of a file to texts with choices: a column for each choice, or all in one as a list.

Columns of choices are named choice_0, choice_1 ... (also choice0, option1, ending2, answer_a), or simply A,
B, C. What the label says is then the end of such a name; of a list it is the place, from 0, or a letter from
A. The text of the right choice will do as well.
"""

import json
import re
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minibert.data.columns import NO_LABEL
from minibert.data.examples import ChoiceExample
from minibert.data.rows import rows_of
from minibert.errors import InputError

TEXTS = ("text", "context", "article", "passage", "sentence", "premise")
LISTS = ("choices", "options", "endings", "candidates")
LABELS = ("label", "answer", "answerKey", "labels")
NUMBERED = re.compile(r"(?:choice|option|ending|answer|candidate)_?([0-9]+|[a-zA-Z])")


def read_choices(
    path: str | Path,
    *,
    text_column: str | None = None,
    question_column: str | None = None,
    choices_column: str | None = None,
    label_column: str | None = None,
) -> list[ChoiceExample]:
    """Read texts with their choices, and which of them is right if the file says so.

    label_column  NO_LABEL leaves labels alone

    A column `question` stands between text and choice; where there is no text, it is the text. Rows may have
    different numbers of choices; an empty cell is none. Raises InputError with file and line for a row with
    fewer than two, and for a label that names no choice, or two.
    """
    rows = list(rows_of(Path(path)))
    if not rows:
        raise InputError(f"{path}: empty; a file of examples is wanted")
    names = list(rows[0][1])
    for named in (text_column, question_column, choices_column, label_column):
        if named not in (None, NO_LABEL) and named not in names:
            raise InputError(f"{path}: no column {named!r}; there are {', '.join(names)}")
    question = question_column or ("question" if "question" in names else None)
    text = text_column or _one_of(TEXTS, names, f"{path}: the text", otherwise=question)
    question = None if question == text else question
    keys = _choice_keys(names, choices_column, str(path))
    label = label_column
    if label is None:
        label = next((name for name in LABELS if name in names and name not in keys), NO_LABEL)
    examples = []
    for number, row in rows:
        place = f"{path}, line {number}"
        choices = _choices(row, keys, place)
        found = None if label == NO_LABEL else place_of(row.get(label), choices, f"{place}: {label!r}")
        asked = None if question is None else _words(row.get(question), question, place)
        examples.append(
            ChoiceExample(_words(row.get(text), text, place), tuple(choices.values()), found, asked)
        )
    return examples


def place_of(value: Any, choices: dict[str, str], place: str) -> int:
    """Return the place of the choice that a label names, by its key or by its text.

    >>> place_of("b", {"a": "red", "b": "blue"}, "line 2"), place_of("red", {"0": "red"}, "line 3")
    (1, 0)
    """
    word = str(value).strip()
    keys = list(choices)
    by_key = {number for number, key in enumerate(keys) if key.lower() == word.lower()}
    if all(key.isdigit() for key in keys) and len(word) == 1 and word in string.ascii_letters:
        by_key = {ord(word.upper()) - ord("A")} & set(range(len(keys)))
    found = by_key | {number for number, text in enumerate(choices.values()) if text.strip() == word}
    if len(found) != 1:
        told = "names no choice" if not found else "names one choice and is the text of another"
        advice = "give its letter, A for the first" if found else "give one of them"
        raise InputError(f"{place} is {value!r:.60}, which {told}; there are {', '.join(keys)}; {advice}")
    return found.pop()


def _choice_keys(names: Sequence[str], named: str | None, where: str) -> dict[str, str]:
    """Return column -> key of the choices, or the one column of lists with an empty key."""
    if named is not None:
        return {named: ""}
    lists = [name for name in LISTS if name in names]
    numbered = {name: match[1] for name in names if (match := NUMBERED.fullmatch(name))}
    letters = {name: name for name in names if len(name) == 1 and name in string.ascii_uppercase}
    found = [{name: ""} for name in lists] + [keys for keys in (numbered, letters) if len(keys) > 1]
    if len(found) != 1:
        told = " or ".join("+".join(keys) for keys in found)
        problem = (
            f"the choices may be {told}" if found else "no columns choice_0, choice_1 ... and no 'choices'"
        )
        raise InputError(
            f"{where}: {problem}; there are {', '.join(names)}; "
            "name the list: choices_column (--choices-column)"
        )
    return found[0]


def _choices(row: dict[str, Any], keys: dict[str, str], place: str) -> dict[str, str]:
    """Return key -> text of the choices of a row."""
    listed = next((name for name, key in keys.items() if not key), None)
    if listed is None:
        cells = {key: row.get(name) for name, key in keys.items()}
        found = {key: str(cell) for key, cell in cells.items() if cell is not None and str(cell).strip()}
    else:
        found = dict(zip(map(str, range(10_000)), _listed(row.get(listed), listed, place), strict=False))
    if len(found) < 2:
        raise InputError(f"{place}: {len(found)} choices in {', '.join(keys)}; at least 2 are needed")
    return found


def _listed(value: Any, column: str, place: str) -> list[str]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise InputError(f"{place}: {column!r} is {value[:60]!r}: no list in JSON: {error}") from error
    texts = isinstance(value, list) and all(isinstance(text, str | int | float) for text in value)
    if not texts or not all(str(text).strip() for text in value):
        raise InputError(
            f"{place}: {column!r} is {value!r:.60}; a list of texts is wanted, none of them empty"
        )
    return [str(text) for text in value]


def _one_of(usual: Sequence[str], names: Sequence[str], what: str, *, otherwise: str | None) -> str:
    found = [name for name in usual if name in names] or ([otherwise] if otherwise else [])
    if len(found) != 1:
        problem = f"may be {' or '.join(found)}" if found else "is in no column that is known"
        raise InputError(
            f"{what} {problem}; there are {', '.join(names)}; name it: text_column (--text-column)"
        )
    return found[0]


def _words(value: Any, column: str, place: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{place}: {column!r} is {value!r:.60}; a text is wanted")
    return value
