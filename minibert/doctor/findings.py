"""A finding: what a check has seen, how bad it is, and what to do about it."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from minibert.errors import InputError

Severity = Literal["error", "warning", "note"]
ORDER: tuple[Severity, ...] = ("error", "warning", "note")
LISTED = 3  # names or rows in one sentence
CERTAIN = ("unreadable", "task", "device", "documents")  # what would stop the run without the doctor too
BROKEN = ("length", "model-folder", "damaged-weights")  # and so would these, which come with an advice


@dataclass(frozen=True)
class Finding:
    """What one check has found.

    name      of the check, as in docs/doctor.md
    severity  error: the run fails or is worth nothing; warning: look at it first; note: good to know
    seen      what there is, with its numbers
    advice    what to do

    >>> print(Finding("leakage", "warning", "3 of 90 rows are in both files", "remove them from one"))
    warning  leakage: 3 of 90 rows are in both files; remove them from one
    """

    name: str
    severity: Severity
    seen: str
    advice: str

    def __str__(self) -> str:
        return f"{self.severity:8} {self.name}: {self.seen}; {self.advice}"


@dataclass(frozen=True)
class Checkup:
    """All findings, the worst first, and what else was learnt: sizes, memory, seconds.

    >>> Checkup.of([Finding("duplicates", "note", "2 rows", "remove one")], {"rows": 9}).healthy
    True
    """

    findings: tuple[Finding, ...]
    facts: dict[str, Any]

    @staticmethod
    def of(findings: Iterable[Finding], facts: dict[str, Any]) -> "Checkup":
        """Sort the findings by severity; among equals the order stays."""
        return Checkup(tuple(sorted(findings, key=lambda found: ORDER.index(found.severity))), facts)

    @property
    def healthy(self) -> bool:
        """Whether no finding is an error."""
        return not self.errors

    @property
    def errors(self) -> list[Finding]:
        """The findings that would make the run fail, or worth nothing."""
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each severity."""
        return {f"{name}s": sum(found.severity == name for found in self.findings) for name in ORDER}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {**self.counts, "findings": [asdict(found) for found in self.findings], "facts": self.facts}


def unreadable(error: InputError) -> Checkup:
    """Return the one finding that there is where nothing can be read."""
    return Checkup.of([Finding("unreadable", "error", str(error), "mend that first")], {})


def look_first(checkup: Checkup) -> None:
    """Print the findings to stderr, a line each; raises InputError for the first that is an error."""
    first = next(iter(checkup.errors), None)
    for finding in checkup.findings:
        if finding is not first:
            print(f"  doctor: {finding}", file=sys.stderr)
    if first is not None:
        on = "" if first.name in BROKEN else "; --no-doctor goes on all the same"
        told = f"{first.seen}; {first.advice} ({first.name}{on})"
        raise InputError(first.seen if first.name in CERTAIN else told)


def some(things: Sequence[Any], limit: int = LISTED) -> str:
    """Return the first few things, and how many more there are.

    >>> some(["a", "b", "c", "d", "e"])
    "'a', 'b', 'c' and 2 more"
    """
    more = f" and {len(things) - limit} more" if len(things) > limit else ""
    return ", ".join(f"{thing!r:.60}" for thing in things[:limit]) + more


def share(part: int, whole: int) -> str:
    """Say how much a part is of a whole.

    >>> share(3, 60)
    '3 of 60 (5.0 %)'
    """
    return f"{part:,} of {whole:,} ({part / max(1, whole):.1%})".replace("%)", " %)")
