"""An example of any task, as the checks see it: its texts, the names of its labels, and a key.

The data classes of `data/examples` use few words for what is right (label, tags, answers ...). Every other
field is part of what is asked, so that a task that is added later is checked without a line here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

NAMES = ("label", "labels", "intent", "tags")  # fields that hold names of classes
RIGHT = (*NAMES, "target", "summary", "answers", "positive", "negatives", "relations", "score")
IGNORED = ("id",)


@dataclass(frozen=True)
class Row:
    """An example apart: what is asked, and what is right.

    texts   all texts of what is asked
    key     all that is asked: two rows of one key ask the same
    answer  all that is right
    """

    texts: tuple[str, ...]
    key: tuple[Any, ...]
    answer: tuple[Any, ...]


def row_of(example: Any) -> Row:
    """Take an example apart; a bare text asks and answers nothing.

    >>> from minibert.data.examples import TextExample
    >>> row_of(TextExample("a cat", None, "animal"))
    Row(texts=('a cat',), key=('a cat', None), answer=('animal',))
    """
    if isinstance(example, str):
        return Row((example,), (example,), ())
    values = {field.name: getattr(example, field.name) for field in fields(example)}
    key = tuple(value for name, value in values.items() if name not in RIGHT and name not in IGNORED)
    return Row(tuple(_texts(key)), key, tuple(values[name] for name in RIGHT if name in values))


def _texts(values: Sequence[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple):
            yield from _texts(value)


def names_of(example: Any) -> list[str]:
    """Return the names of classes in an example's answer, none where numbers or texts are asked for.

    >>> from minibert.data.examples import NumberExample, TaggedExample
    >>> names_of(TaggedExample("Anna", ((0, 4),), ("B-PER",))), names_of(NumberExample("good", None, 4.5))
    (['B-PER'], [])
    """
    found: list[str] = []
    for field in NAMES:
        value = getattr(example, field, None)
        values = value if isinstance(value, tuple) else (value,)
        found += [name for name in values if isinstance(name, str)]
    return found


def single_name(example: Any) -> str | None:
    """Return the one class of an example, or None where there is not exactly one field for it."""
    for field in ("label", "intent"):
        value = getattr(example, field, None)
        if isinstance(value, str):
            return value
    return None


def sample(rows: Sequence[Any], limit: int) -> Sequence[Any]:
    """Return at most `limit` rows, evenly spaced: a file is often sorted by class.

    >>> sample("abcdefg", 3)
    'adg'
    """
    return rows if len(rows) <= limit else rows[:: -(-len(rows) // limit)]
