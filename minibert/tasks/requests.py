"""What goes in and out of the task of intents and slots: a window, its targets, an answer, and the scores.

A sentence is right as a whole if its intent and the tags of all its words are (the measure of Chen, Zhuo and
Wang, 2019). Slots are scored as spans.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minibert.data.examples import IntentExample
from minibert.errors import InputError
from minibert.tasks.spans import span_scores
from minibert.tasks.tags import Entity
from minibert.tasks.task import Targets, Window
from minibert.text.encoded import Encoded


@dataclass(frozen=True)
class IntentWindow:
    """A window of words, and the number of the intent of its text; -1 where nobody knows."""

    words: Window
    intent: int

    @property
    def tokens(self) -> Encoded:
        return self.words.tokens

    @property
    def rows(self) -> np.ndarray:
        return self.words.rows

    def __len__(self) -> int:
        return len(self.words)


@dataclass(frozen=True)
class IntentTargets:
    """The tags of a batch's M words, and the intents (N,) int64 of its windows."""

    slots: Targets
    intents: Tensor

    @property
    def counts(self) -> dict[str, int]:
        return {"intent": self.intents.shape[0], "slots": self.slots.labels.shape[0]}

    def to(self, device: torch.device | str) -> "IntentTargets":
        return IntentTargets(self.slots.to(device), self.intents.to(device))


@dataclass(frozen=True)
class Understood:
    """The answer for one text: its intent, the probability of every intent, and the slots."""

    intent: str
    probabilities: dict[str, float]
    spans: tuple[tuple[int, int], ...]
    tags: tuple[str, ...]
    slots: tuple[Entity, ...]


def request_scores(answers: Sequence[Understood], gold: Sequence[IntentExample]) -> dict[str, Any]:
    """Return the shares of sentences and of intents that are right, and the slots' strict F1, all in 0..1.

    gold  requests with their intents and with tags in BIO
    Raises InputError where one lacks them, or has another number of tags than its answer.

    >>> gold = [IntentExample("Rome", ((0, 4),), ("B-city",), "weather")]
    >>> slots = (Entity(0, 4, "city", "Rome"),)
    >>> request_scores([Understood("travel", {}, ((0, 4),), ("B-city",), slots)], gold)["slot_f1"]
    1.0
    """
    for wanted in gold:
        if wanted.tags is None or wanted.intent is None:
            raise InputError(f"{wanted.text[:60]!r} lacks its intent or its tags; scores need both")
    spans = span_scores([wanted.tags or () for wanted in gold], [answer.tags for answer in answers])
    pairs = list(zip(answers, gold, strict=True))
    intents = [answer.intent == str(wanted.intent) for answer, wanted in pairs]
    tags = [answer.tags == wanted.tags for answer, wanted in pairs]
    return {
        "sentence_accuracy": sum(map(all, zip(intents, tags, strict=True))) / len(pairs),
        "intent_accuracy": sum(intents) / len(pairs),
        "slot_f1": spans["f1"],
        "slot_precision": spans["precision"],
        "slot_recall": spans["recall"],
        "per_type": spans["per_type"],
    }
