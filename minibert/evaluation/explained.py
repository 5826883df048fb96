"""What an attribution explains: which part of a text, and the score of which label there.

A long text is read in windows (`on_long="split"`), and its answer is the mean over them. Explained is the
window that speaks loudest for the label; of a tag, the window in which its word was asked; of an answer in a
passage, the window in which it was found.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from minibert.errors import InputError
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.tasks.answer_spans import best_places
from minibert.tasks.classification import Classification
from minibert.tasks.cloze import Cloze
from minibert.tasks.intent_slots import IntentSlots
from minibert.tasks.model import Model
from minibert.tasks.multi_label import MultiLabel
from minibert.tasks.question_answering import QuestionAnswering
from minibert.tasks.regression import Regression
from minibert.tasks.relations import Relations
from minibert.tasks.tagging import Tagging
from minibert.tasks.task import Window, rows_of

Score = Callable[[Packed, Sequence[Window]], Tensor]  # f of each window of a batch, (N,)


def texts_of(model: Model, example: Any) -> tuple[str, str | None]:
    """Return the text that a task reads of an example, and its pair; None where there is no second one.

    A cloze reads its filled template, a relation its text without markers, a question its passage as pair.
    """
    task = model.task
    if isinstance(task, QuestionAnswering):
        return example.question, example.passage
    if isinstance(task, Relations):
        return task.example(example).text, None
    text = example if isinstance(example, str) else example.text
    pair = None if isinstance(example, str) else getattr(example, "pair", None)
    return (task.template.fill(text, pair).text, None) if isinstance(task, Cloze) else (text, pair)


def window_of(
    model: Model, example: Any, *, label: str | None, word: int | None
) -> tuple[Window, str | None, int | None]:
    """Return the window that is explained, the label, and the word's number there; stderr says which."""
    windows = model.task.encode(example)
    reject = model.task.options.reject_label if isinstance(model.task, Classification) else ""
    if reject and label is None and model.predict([example])[0].label == reject:
        print(f"  the model answers {reject}; explained is the likeliest class", file=sys.stderr)
    if isinstance(model.task, QuestionAnswering):
        if label is not None:
            raise InputError(f"label {label!r}: question_answering answers from its passage; leave it out")
        spans = [best_answer(model, window) for window in windows]
        chosen = max(range(len(windows)), key=lambda number: spans[number][2])
        first, last = (windows[chosen].tokens.offsets[windows[chosen].rows[at]] for at in spans[chosen][:2])
        label = example.passage[first[0] : last[1]]
        if not model.predict([example])[0].text:
            print("  the model gives no answer; explained is the best that it could give", file=sys.stderr)
    elif len(windows) == 1:
        return windows[0], label, word
    elif isinstance(model.task, Tagging):
        chosen = 0 if word is None else next((n for n, part in enumerate(windows) if word in part.units), 0)
        if word is not None and word in windows[chosen].units:
            word = windows[chosen].units.tolist().index(word)
    else:
        if label is None and isinstance(model.task, Classification | MultiLabel | IntentSlots):
            shares = model.predict([example])[0].probabilities
            label = max(shares, key=lambda name: shares[name])
        chosen = max(range(len(windows)), key=lambda number: value_of(model, windows[number], label))
    if len(windows) > 1:
        told = f"the model reads the text in {len(windows)} windows; explained is number {chosen + 1}"
        print(f"  {told}", file=sys.stderr)
    return windows[chosen], label, word


@torch.no_grad()
def value_of(model: Model, window: Window, label: str | None) -> float:
    """Return the score of a label in one window."""
    _, score = score_of(model, window, label=label, word=None)
    return float(score(model.task.pack([window]).to(device_of(model)), [window])[0])


def score_of(model: Model, window: Window, *, label: str | None, word: int | None) -> tuple[str, Score]:
    """Return the label that is explained, and its score as a function of a batch."""
    task, encoder = model.task, model.encoder
    if word is not None and not isinstance(task, Tagging):
        raise InputError(f"word {word}: {task.name} has no words to choose from; leave it out")
    if isinstance(task, Regression):
        if label is not None:
            raise InputError(f"label {label!r}: regression answers with a number; leave the label out")
        return "value", lambda batch, windows: task.numbers(task.scores(encoder, batch))
    if isinstance(task, Tagging):
        return tag_score(model, task, window, label=label, word=word)
    if isinstance(task, QuestionAnswering):
        first, last, _ = best_answer(model, window)
        return str(label), answer_score(task, encoder, window, first=first, last=last)
    logits: Score
    if isinstance(task, Classification | MultiLabel):
        names, logits = task.labels, lambda batch, windows: task.logits(encoder, batch)
    elif isinstance(task, Relations | Cloze):
        names, logits = (
            tuple(task.labels),
            lambda batch, windows: task.logits(encoder, batch, rows_of(windows).to(batch.ids.device)),
        )
    elif isinstance(task, IntentSlots):
        names, logits = (
            tuple(task.intents),
            lambda batch, windows: task.intent_logits(encoder(batch), batch.layout),
        )
    else:
        raise InputError(
            f"{task.name} cannot be explained; tasks that choose labels, tags, numbers or answers can"
        )
    return labelled(model, window, logits, names=names, label=label)


def tag_score(
    model: Model, task: Tagging, window: Window, *, label: str | None, word: int | None
) -> tuple[str, Score]:
    """Return the tag of a word that is explained, and its log-odds as a function of a batch."""
    encoder = model.encoder
    if not len(window.rows):
        raise InputError("the text has no words; give one with words")
    with torch.no_grad():
        ((tags, _),) = task.predict(encoder, task.pack([window]).to(device_of(model)), [window])
    names = [task.labels[int(tag)] for tag in tags]
    place = next((at for at, name in enumerate(names) if name != "O"), 0) if word is None else word
    if not 0 <= place < len(names):
        raise InputError(f"word {place}: the text has {len(names)} words, 0 to {len(names) - 1}")

    def emissions(batch: Packed, windows: Sequence[Window]) -> Tensor:
        rows = torch.arange(len(windows)) * len(window) + int(window.rows[place])
        return task.emissions(encoder, batch, rows.to(batch.ids.device))

    return labelled(
        model, window, emissions, names=task.labels, label=names[place] if label is None else label
    )


@torch.no_grad()
def best_answer(model: Model, window: Window) -> tuple[int, int, float]:
    """Return the numbers of the rows in which the best answer of a window begins and ends, and its score."""
    task = model.task
    assert isinstance(task, QuestionAnswering)
    (logits_m2,) = task.predict(model.encoder, task.pack([window]).to(device_of(model)), [window])
    first, last, score = best_places(logits_m2[1:], longest=task.options.max_answer_length, count=1)
    if not len(first):
        raise InputError("the passage has no tokens to answer with; give one with words")
    return 1 + int(first[0]), 1 + int(last[0]), float(score[0])


def answer_score(
    task: QuestionAnswering, encoder: Encoder, window: Window, *, first: int, last: int
) -> Score:
    """Return the log-odds of an answer's start and those of its end, added, as a function of a batch."""

    def log_odds(batch: Packed, windows: Sequence[Window]) -> Tensor:
        rows_Nm = torch.arange(len(windows))[:, None] * len(window) + torch.from_numpy(window.rows)
        logits_M2 = task.logits(encoder, batch, rows_Nm.flatten().to(batch.ids.device)).double()
        logits_Nm2 = logits_M2.unflatten(0, rows_Nm.shape)
        return one_of(logits_Nm2[..., 0], first) + one_of(logits_Nm2[..., 1], last)

    return log_odds


def one_of(logits_NC: Tensor, number: int) -> Tensor:
    """Return the log-odds of one of C classes, (N,)."""
    others = [other for other in range(logits_NC.shape[1]) if other != number]
    return logits_NC[:, number] - logits_NC[:, others].logsumexp(-1)


def labelled(
    model: Model, window: Window, logits: Score, *, names: Sequence[str], label: str | None
) -> tuple[str, Score]:
    """Return a label, the likeliest where none is named, and its log-odds as a function of a batch."""
    if label is None:
        with torch.no_grad():
            batch = model.task.pack([window]).to(device_of(model))
            label = names[int(logits(batch, [window])[0].argmax())]
    if label not in names:
        raise InputError(f"label {label!r} is unknown; this model knows {', '.join(names)}")
    number = list(names).index(label)
    if isinstance(model.task, MultiLabel):
        return label, lambda batch, windows: logits(batch, windows)[:, number]
    return label, lambda batch, windows: one_of(logits(batch, windows).double(), number)


def device_of(model: Model) -> torch.device:
    """Return where a model computes."""
    return next(model.parameters()).device
