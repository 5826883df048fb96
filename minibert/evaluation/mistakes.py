"""The mistakes that a model is surest of: wrong labels in the data, or what it has not understood."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minibert.evaluation.claims import Claim

LONGEST = 200  # characters of a text that is shown


@dataclass(frozen=True)
class Mistake:
    """A text, what it was taken for and with which probability, and what it is."""

    text: str
    predicted: str
    gold: str
    probability: float


def surest_mistakes(claims: Sequence[Sequence[Claim]], examples: Sequence[Any], limit: int) -> list[Mistake]:
    """Return the surest wrong claims, the surest first: at most `limit`, and of an example at most one."""
    found = []
    for own, example in zip(claims, examples, strict=True):
        wrong = [claim for claim in own if not claim.right]
        if wrong:
            one = max(wrong, key=lambda claim: claim.probability)
            found.append(Mistake(shown(example), one.predicted, one.gold, one.probability))
    return sorted(found, key=lambda mistake: -mistake.probability)[:limit]


def shown(example: Any) -> str:
    """Return what a person reads of an example: its text, with what belongs to it."""
    parts = [getattr(example, name, None) for name in ("question", "passage", "text", "pair")]
    text = " / ".join(part for part in parts if part)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
