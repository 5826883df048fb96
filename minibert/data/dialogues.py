"""Dialogues, and the questions that they pose: given what was said so far, which of these comes next?

A dialogue is a row of .jsonl with a list under "turns" (or under a name that is given): texts, or objects
with a "text" each. The context of an answer is the last few turns, the oldest first, on lines of their own.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from minibert.data.examples import SearchExample
from minibert.data.rows import rows_of
from minibert.errors import InputError

TURNS = "turns"
Dialogue = tuple[str, ...]


def read_dialogues(path: str | Path, *, turns_column: str = TURNS) -> list[Dialogue]:
    """Read the turns of each dialogue.

    Raises InputError with file and line where the list is missing, or a turn is no text or is empty.

    >>> Path("talk.jsonl").write_text('{"turns": ["Tea?", {"role": "b", "text": "Yes, please."}]}') and None
    >>> read_dialogues("talk.jsonl")
    [('Tea?', 'Yes, please.')]
    """
    path, found = Path(path), []
    for number, row in rows_of(path):
        place = f"{path}, line {number}"
        turns = row.get(turns_column)
        if not isinstance(turns, list):
            raise InputError(
                f"{place}: no list of turns under {turns_column!r}; there are {', '.join(row)}; "
                "name it: turns_column"
            )
        found.append(tuple(_text(turn, f"{place}, turn {at}") for at, turn in enumerate(turns, 1)))
    return found


def _text(turn: Any, place: str) -> str:
    text = turn.get("text") if isinstance(turn, dict) else turn
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{place}: {turn!r:.60}; a text is wanted, or an object with one under 'text'")
    return text


def responses(dialogues: Iterable[Sequence[str]], *, context: int = 3) -> list[SearchExample]:
    """Return one search for each turn but the first: its last `context` turns ask, the turn answers.

    >>> responses([("Tea?", "Yes.", "Milk?")], context=2)[1]
    SearchExample(text='Tea?\\nYes.', positive='Milk?', negatives=())
    """
    if context < 1:
        raise InputError(f"context is {context}; at least one turn must ask")
    return [
        SearchExample("\n".join(turns[max(0, at - context) : at]), turns[at])
        for turns in dialogues
        for at in range(1, len(turns))
    ]
