"""What an attribution explains: which part of a text, and the score of which label there.

A long text is read in windows (`on_long="split"`), and its answer is the mean over them. Explained is the
window that speaks loudest for the label; of a tag, the window in which its word was asked. Answers that are
no labels stand in `explained_answers.py`.
"""

import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from minibert.errors import InputError
from minibert.evaluation.explained_answers import ANSWERS, Explained, Score, device_of, one_of, tell_window
from minibert.packed import Packed
from minibert.tasks.classification import Classification
from minibert.tasks.cloze import Cloze
from minibert.tasks.intent_slots import IntentSlots
from minibert.tasks.model import Model
from minibert.tasks.multi_label import MultiLabel
from minibert.tasks.regression import Regression
from minibert.tasks.relations import Relations
from minibert.tasks.tagging import Tagging
from minibert.tasks.task import Window, rows_of


def explained(model: Model, example: Any, *, label: str | None, word: int | None) -> Explained:
    """Return the window that is explained, and the score of a label, or of what the model answers."""
    if word is not None and not isinstance(model.task, Tagging):
        raise InputError(f"word {word}: {model.task.name} has no words to choose from; leave it out")
    if type(model.task) in ANSWERS:
        return ANSWERS[type(model.task)](model, example, label)
    window, label, word = window_of(model, example, label=label, word=word)
    return Explained(window, *score_of(model, window, label=label, word=word), *texts_of(model, example))


def texts_of(model: Model, example: Any) -> tuple[str, str | None]:
    """Return the text that a task reads of an example, and its pair; None where there is no second one.

    A cloze reads its filled template, a relation its text without markers.
    """
    task = model.task
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
    if len(windows) == 1:
        return windows[0], label, word
    if isinstance(model.task, Tagging):
        chosen = 0 if word is None else next((n for n, part in enumerate(windows) if word in part.units), 0)
        if word is not None and word in windows[chosen].units:
            word = windows[chosen].units.tolist().index(word)
    else:
        if label is None and isinstance(model.task, Classification | MultiLabel | IntentSlots):
            shares = model.predict([example])[0].probabilities
            label = max(shares, key=lambda name: shares[name])
        chosen = max(range(len(windows)), key=lambda number: value_of(model, windows[number], label))
    tell_window(chosen, windows)
    return windows[chosen], label, word


@torch.no_grad()
def value_of(model: Model, window: Window, label: str | None) -> float:
    """Return the score of a label in one window."""
    _, score = score_of(model, window, label=label, word=None)
    return float(score(model.task.pack([window]).to(device_of(model)), [window])[0])


def score_of(model: Model, window: Window, *, label: str | None, word: int | None) -> tuple[str, Score]:
    """Return the label that is explained, and its score as a function of a batch."""
    task, encoder = model.task, model.encoder
    if isinstance(task, Regression):
        if label is not None:
            raise InputError(f"label {label!r}: regression answers with a number; leave the label out")
        return "value", lambda batch, windows: task.numbers(task.scores(encoder, batch))
    if isinstance(task, Tagging):
        return tag_score(model, task, window, label=label, word=word)
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
            f"{task.name} cannot be explained; tasks that choose labels, tags, numbers, answers or choices, "
            "that compare two texts or write one can"
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
