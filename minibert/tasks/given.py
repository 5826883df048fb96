"""Examples as somebody hands them over: whatever held them, and whether they say what is right."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from minibert.data.fields import spelled
from minibert.data.remote import local
from minibert.errors import InputError
from minibert.tasks.task import Task

Source = str | Path | Sequence[Any]  # a file, or examples


def listed(examples: Iterable[Any]) -> Sequence[Any]:
    """Return examples as a list: those of a list, a generator, a column of a table.

    Raises InputError for one text, which is a row of letters, and for what holds nothing.

    >>> listed(text for text in ("a cat", "a dog"))
    ['a cat', 'a dog']
    """
    if isinstance(examples, str | bytes | Path):
        raise InputError(f"{str(examples)[:60]!r} came where a list is wanted; put it into one: [text]")
    if not isinstance(examples, Iterable):
        raise InputError(f"{spelled(examples)} came where a list of examples is wanted")
    return examples if isinstance(examples, Sequence) else list(examples)


def refuse_unanswered(kind: type[Task], examples: Sequence[Any], *, what: str = "training example") -> None:
    """Raise InputError for the first of the examples that does not say what is right."""
    for number, example in enumerate(examples, 1):
        if isinstance(example, str) or not answered(kind, example):
            raise InputError(
                f"{kind.name}: {what} {number} does not say what is right: {str(example)[:80]}; "
                "leave it out, or name the column that does"
            )


def answered(kind: type[Task], example: Any) -> bool:
    """Whether an example says what is right; what is no example of the kind is told where it is encoded."""
    try:
        return kind.answered(example)
    except AttributeError:
        return True


def read_examples(kind: type[Task], source: Source) -> list[Any]:
    """Return the examples of a file, or the ones that are given."""
    examples = kind.read(local(source)) if isinstance(source, str | Path) else list(listed(source))
    if not examples:
        raise InputError(f"no examples in {source!r}")
    return examples


def read_answered(kind: type[Task], source: Source, *, what: str = "training example") -> list[Any]:
    """Return the examples of a file, or the given ones, all of which say what is right."""
    examples = read_examples(kind, source)
    refuse_unanswered(kind, examples, what=what)
    return examples


def read_held(
    kind: type[Task], source: Source | None, *, options: Mapping[str, Any] | None = None
) -> list[Any]:
    """Return the validation examples, none without a source.

    options  of the task, of which `calibrate` cannot do without
    """
    if source is not None:
        return read_answered(kind, source, what="validation example")
    if options and options.get("calibrate"):
        raise InputError("calibrate needs validation data; give some, or leave it out")
    return []
