"""Parts of a model by patterns: what a person writes to choose layers and weights.

A pattern is a run of dotted parts, each as the shell's: "value", "blocks.0", "blocks.[0-2].attention",
"*norm". It names everything in whose dotted name such a run occurs.
"""

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from minibert.errors import InputError


def matches(name: str, pattern: str) -> bool:
    """Whether a pattern's parts occur, next to each other, in a dotted name.

    >>> [matches("blocks.1.attention.query", pattern) for pattern in ("query", "blocks.[01].*", "block", "1")]
    [True, True, False, True]
    """
    parts, wanted = name.split("."), pattern.split(".")
    return any(all(map(fnmatchcase, parts[start:], wanted)) for start in range(len(parts) - len(wanted) + 1))


def patterns_of(text: str) -> list[str]:
    """Take a list with commas apart.

    >>> patterns_of("query, value")
    ['query', 'value']
    """
    return [part.strip() for part in text.split(",") if part.strip()]


def matching(names: Sequence[str], patterns: Iterable[str], *, setting: str) -> list[str]:
    """Return the names that one of the patterns means, in their order.

    setting  where the patterns are from, for errors
    Raises InputError for a pattern that means none of them, with the nearest parts that there are.
    """
    found: set[str] = set()
    for pattern in patterns:
        meant = {name for name in names if matches(name, pattern)}
        if not meant:
            parts = sorted({part for name in names for part in name.split(".") if not part.isdigit()})
            near = difflib.get_close_matches(pattern.rpartition(".")[2], parts, n=3, cutoff=0.5)
            told = f"did you mean {' or '.join(near)}? " if near else ""
            shown = ", ".join(parts[:20])
            raise InputError(
                f"{setting} {pattern!r} names nothing here; {told}The parts of names are {shown}"
            )
        found |= meant
    return [name for name in names if name in found]
