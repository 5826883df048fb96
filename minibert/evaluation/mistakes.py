"""The mistakes that a model is surest of: wrong labels in the data, or what it has not understood."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minibert.tasks.classification import Classified
from minibert.tasks.multi_label import MultiLabelled

LONGEST = 200  # characters of a text that is shown


@dataclass(frozen=True)
class Mistake:
    """A text, what it was taken for and with which probability, and what it is."""

    text: str
    predicted: str
    gold: str
    probability: float


def surest_mistakes(answers: Sequence[Any], examples: Sequence[Any], limit: int) -> list[Mistake]:
    """Return the `limit` wrong answers with the highest probability; nothing for answers without any."""
    found = [
        mistake
        for answer, example in zip(answers, examples, strict=True)
        if (mistake := mistake_of(answer, example)) is not None
    ]
    return sorted(found, key=lambda mistake: -mistake.probability)[:limit]


def mistake_of(answer: Any, example: Any) -> Mistake | None:
    """Return what is wrong with an answer, None where nothing is.

    Of several labels, the surest that is wrong counts: one that was given, or one that was not.
    """
    if isinstance(answer, Classified) and answer.label != str(example.label):
        shown = (answer.label, str(example.label), answer.probabilities.get(answer.label, 0.0))
    elif isinstance(answer, MultiLabelled) and set(answer.labels) != set(example.labels or ()):
        wrong = set(answer.labels) ^ set(example.labels or ())
        sure = [abs((label not in answer.labels) - answer.probabilities[label]) for label in wrong]
        gold = ", ".join(example.labels or ()) or "none"
        shown = (", ".join(answer.labels) or "none", gold, max(sure))
    else:
        return None
    text = example.text if example.pair is None else f"{example.text} / {example.pair}"
    return Mistake(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…", *shown)
