"""What a field of an example may hold: a text, or a label; what came instead is told."""

import math
from typing import Any

from minibert.errors import InputError


def spelled(value: Any) -> str:
    """Spell a value that was given in place of another, cut off, with its type."""
    return f"{value!r:.60} ({type(value).__name__})"


def need_texts(example: Any, *names: str) -> None:
    """Raise InputError for a field of an example that is no text, nor None where None is its default."""
    for name in names:
        value = getattr(example, name)
        if isinstance(value, str):
            continue
        optional = getattr(type(example), name, name) is None  # a default stands in the class
        if value is not None or not optional:
            wanted = "a text, or None for none," if optional else "a text"
            raise InputError(f"{type(example).__name__}: {name} is {spelled(value)}; {wanted} is wanted")


def need_label(example: Any, name: str = "label") -> None:
    """Raise InputError for a label that is NaN, an empty cell; write true and false as files have them."""
    label = getattr(example, name)
    if isinstance(label, bool):
        object.__setattr__(example, name, str(label).lower())
    if isinstance(label, float) and math.isnan(label):
        raise InputError("label is nan, an empty cell; give the label, or None where it is to be predicted")
