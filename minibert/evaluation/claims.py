"""What a model claims about an example: each thing it says, how sure it is, and what is right.

    the class of a text, a relation, an intent, a choice   one claim
    the labels of a text                                   each that is given or held back wrongly
    the tags of a text                                     each entity that is given; of plain tags, each word
    the answer to a question                               that it is the answer, or that there is none

An entity that is overlooked is no claim, nor is the label of no class, which has no probability. Numbers,
vectors, chosen sentences and written texts claim nothing; of intents with slots the intent does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minibert.data.examples import QuestionExample, TaggedExample
from minibert.tasks.answer_scores import match
from minibert.tasks.answer_spans import Answer
from minibert.tasks.classification import Classified
from minibert.tasks.metrics import calibration_error, confidence_error
from minibert.tasks.multi_label import MultiLabelled
from minibert.tasks.multiple_choice import Chosen
from minibert.tasks.relations import Related
from minibert.tasks.requests import Understood
from minibert.tasks.spans import Span, spans_of
from minibert.tasks.tagging import Tagged, Tagging
from minibert.tasks.task import Task


@dataclass(frozen=True)
class Claim:
    """One thing that a model says: what, what is right instead or as well, and with which probability."""

    predicted: str
    gold: str
    probability: float
    right: bool


def claims_of(task: Task, answer: Any, example: Any) -> list[Claim]:
    """Return what an answer claims about an example whose answer is known."""
    if isinstance(answer, Classified | Related):
        return _of_label(answer.label, example.label, answer.probabilities)
    if isinstance(answer, Understood):
        return _of_label(answer.intent, example.intent, answer.probabilities)
    if isinstance(answer, Chosen):
        gold, right = example.choices[example.label], answer.label == example.label
        return [Claim(answer.choice, gold, answer.probabilities[answer.label], right)]
    if isinstance(answer, MultiLabelled):
        return _of_labels(answer, set(example.labels or ()))
    if isinstance(answer, Answer):
        return [_of_answer(answer, example)]
    if isinstance(answer, Tagged) and isinstance(task, Tagging):
        told = task.example(example)
        return _of_words(answer, told) if task.scheme is None else _of_entities(answer, told)
    return []


def calibration_of(claims: Sequence[Claim]) -> float | None:
    """Return the calibration error of what was claimed; None without claims, or of weights that blew up."""
    sure = np.array([claim.probability for claim in claims])
    if not len(sure) or not np.isfinite(sure).all():
        return None
    return confidence_error(sure, np.array([claim.right for claim in claims]))


def calibration_of_labels(answers: Sequence[MultiLabelled], examples: Sequence[Any]) -> float | None:
    """Return the calibration error of each yes or no to each label; None of weights that blew up."""
    share = np.array([[*answer.probabilities.values()] for answer in answers]).ravel()
    if not np.isfinite(share).all():
        return None
    wanted = [label in (one.labels or ()) for answer, one in zip(answers, examples, strict=True)
              for label in answer.probabilities]  # fmt: skip
    return calibration_error(np.stack([1 - share, share], axis=1), np.array(wanted, dtype=np.int64))


def _of_label(label: str, gold: str | None, probabilities: dict[str, float]) -> list[Claim]:
    if label not in probabilities:
        return []
    return [Claim(label, str(gold), probabilities[label], label == str(gold))]


def _of_labels(answer: MultiLabelled, gold: set[str]) -> list[Claim]:
    """Return a claim for each label that is wrong; all of them show the same two sets."""
    shown = ", ".join(answer.labels) or "none", ", ".join(sorted(gold)) or "none"
    wrong = gold ^ set(answer.labels)
    return [
        Claim(*shown, share if label in answer.labels else 1 - share, right=False)
        for label, share in answer.probabilities.items()
        if label in wrong
    ]


def _of_answer(answer: Answer, example: QuestionExample) -> Claim:
    golds = [gold.text for gold in example.answers or ()]
    right = match(answer.text, golds, question=example.question).exact == 1
    said, wanted = answer.text or "no answer", golds[0] if golds else "no answer"
    return Claim(said, wanted, answer.probability, right)


def _of_words(answer: Tagged, told: TaggedExample) -> list[Claim]:
    """Return a claim for each word that was asked."""
    rows = zip(told.spans, answer.tags, told.tags or (), answer.probabilities, strict=True)
    return [
        Claim(f"{tag} {told.text[start:end]!r}", gold, sure, tag == gold)
        for (start, end), tag, gold, sure in rows
        if sure
    ]


def _of_entities(answer: Tagged, told: TaggedExample) -> list[Claim]:
    """Return a claim for each entity that was given; what is right are the entities that it touches."""
    gold = spans_of(told.tags or ())
    claims = []
    for span, entity in zip(spans_of(answer.tags), answer.entities, strict=True):
        touched = [_shown(other, told) for other in gold if other.start < span.end and span.start < other.end]
        right = ", ".join(touched) or "no entity"
        claims.append(Claim(_shown(span, told), right, entity.probability, span in gold))
    return claims


def _shown(span: Span, told: TaggedExample) -> str:
    return f"{span.label} {told.text[told.spans[span.start][0] : told.spans[span.end - 1][1]]!r}"
