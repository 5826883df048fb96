"""What an attribution explains where the answer is no label of a list.

    question_answering     the log-odds of the answer's start and those of its end, in the window with it
    multiple_choice        the log-odds of a choice, while the others stay as they are
    similarity, retrieval  the likeness of a text (a query) to another, whose vector stays as it is
    seq2seq                log p of a target, the one that the model writes or another

Letters: N copies of a window, M rows of all of them, m rows of one, K choices, D channels.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minibert.data.examples import ChoiceExample, NumberExample, ParallelExample, SearchExample, as_example
from minibert.errors import InputError
from minibert.model.cross_attention import Memory
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.tasks.answer_spans import best_places
from minibert.tasks.full_width import widened
from minibert.tasks.model import Model
from minibert.tasks.multiple_choice import ChoiceWindow, MultipleChoice
from minibert.tasks.question_answering import QuestionAnswering
from minibert.tasks.retrieval import Retrieval
from minibert.tasks.seq2seq import Seq2Seq
from minibert.tasks.similarity import Similarity
from minibert.tasks.task import Task, Window
from minibert.tasks.teacher_forcing import TeacherForcing

Score = Callable[[Packed, Sequence[Window]], Tensor]  # f of each window of a batch, (N,)
SHOWN = 60  # characters of a text that names what is explained
LOGITS_OF_A_TOKEN = 1024  # logits that take about the room of a token in the encoder


@dataclass(frozen=True)
class Explained:
    """What is explained: a window, the name of the score, the score, and the texts in the window.

    beside  a text that stands in a window of its own
    cost    what a copy of the window takes to compute, as so many tokens of the encoder
    """

    window: Window
    name: str
    score: Score
    text: str
    pair: str | None = None
    beside: str | None = None
    cost: int = 0


def answer_of(model: Model, example: Any, label: str | None) -> Explained:
    """Return the best answer of a passage; stderr says which window, and if the model gives none."""
    refuse_label(model.task, label, "answers from its passage")
    task = model.task
    assert isinstance(task, QuestionAnswering)
    windows = task.encode(example)
    spans = [best_answer(model, window) for window in windows]
    chosen = max(range(len(windows)), key=lambda number: spans[number][2])
    window, (start, end, _) = windows[chosen], spans[chosen]
    first, last = (window.tokens.offsets[window.rows[at]] for at in (start, end))
    if not model.predict([example])[0].text:
        print("  the model gives no answer; explained is the best that it could give", file=sys.stderr)
    tell_window(chosen, windows)
    score = answer_score(task, model.encoder, window, first=start, last=end)
    return Explained(window, example.passage[first[0] : last[1]], score, example.question, example.passage)


def choice_of(model: Model, example: Any, label: str | None) -> Explained:
    """Return a choice, named by its place from 0 or by its text; the model's own where none is named."""
    task = model.task
    assert isinstance(task, MultipleChoice)
    (whole,) = task.encode(example)
    assert isinstance(whole, ChoiceWindow)
    example = as_example(ChoiceExample, example)
    chosen = model.predict([example])[0].label if label is None else place_of(label, example.choices)
    tokens = whole.choices[chosen]
    window = replace(whole, tokens=tokens, rows=whole.rows[:1], units=whole.units[:1], choices=(tokens,))
    with torch.no_grad():
        batch = task.pack([whole]).to(device_of(model))
        scores_K = task.scores(model.encoder, batch, [len(whole.choices)])[0].double()
    others = torch.cat([scores_K[:chosen], scores_K[chosen + 1 :]]).logsumexp(0)

    def score(batch: Packed, windows: Sequence[Window]) -> Tensor:
        return task.scores(model.encoder, batch, [1] * len(windows))[:, 0].double() - others

    asked = "" if example.question is None else f"{example.question} "
    return Explained(window, example.choices[chosen], score, example.text, asked + example.choices[chosen])


def place_of(label: str, choices: Sequence[str]) -> int:
    """Return the place of a choice that is named by it, from 0, or by its text."""
    if label.isdecimal() and int(label) < len(choices):
        return int(label)
    if label in choices:
        return list(choices).index(label)
    raise InputError(f"label {label!r} is no choice; name its place from 0, or one of {', '.join(choices)}")


def likeness_of(model: Model, example: Any, label: str | None) -> Explained:
    """Return how like the first text is to the second."""
    task = model.task
    assert isinstance(task, Similarity | Retrieval)
    refuse_label(task, label, "compares two texts")
    if isinstance(task, Similarity):
        text, other = (example := as_example(NumberExample, example)).text, example.pair
    else:
        text, other = (example := as_example(SearchExample, example)).text, example.positive
    if other is None:
        raise InputError(
            f"{text[:SHOWN]!r} stands alone, and {task.name} compares two texts; give a file with both, and "
            "name the column of the second (pair_column, --pair-column)"
        )
    window, second = Window(task.tokens(text)), Window(task.tokens(other))
    with torch.no_grad():
        (vector_D,) = task.vectors(model.encoder, task.pack([second]).to(device_of(model)))

    def score(batch: Packed, windows: Sequence[Window]) -> Tensor:
        return (task.vectors(model.encoder, batch) @ vector_D).double()

    return Explained(window, f"likeness to {other[:SHOWN]!r}", score, text, beside=other)


def target_of(model: Model, example: Any, label: str | None) -> Explained:
    """Return the target that a label spells, or that the model writes."""
    task = model.task
    assert isinstance(task, Seq2Seq)
    if task.pointer is not None:
        raise InputError(
            "a model with copy_attention copies tokens as they are, which the slopes of their vectors do not "
            "tell; it cannot be explained"
        )
    source = as_example(ParallelExample, example).source
    window, target = spelled_target(model, source, label)

    def score(batch: Packed, windows: Sequence[Window]) -> Tensor:
        targets = TeacherForcing.of([target] * len(windows), task.tokenizer.cls_id).to(batch.ids.device)
        memory = Memory(model.encoder(batch), batch.layout)
        hidden_TD = task.hidden(model.encoder, memory, targets)
        logits_TV = task.logits(hidden_TD, task.table(model.encoder)).masked_fill(task.never_V, -torch.inf)
        log_p_T = logits_TV.double().log_softmax(-1).gather(1, targets.labels[:, None])[:, 0]
        return log_p_T.unflatten(0, (len(windows), len(target))).sum(1)

    written = widened(task.tokenizer.decode(target[:-1].tolist()), task.full_width)
    name = written if label is None else label
    cost = len(target) * task.tokenizer.vocab_size // LOGITS_OF_A_TOKEN
    return Explained(window, name, score, source, cost=cost)


def spelled_target(model: Model, source: str, label: str | None) -> tuple[Window, np.ndarray]:
    """Return a source's window, and the ids of the target with its end: those of a label, or as written."""
    task = model.task
    assert isinstance(task, Seq2Seq)
    (whole,) = task.encode(ParallelExample(source, label))
    window = Window(whole.tokens)
    if label is None:
        with torch.no_grad():
            (written,) = task.predict(model.encoder, task.pack([window]).to(device_of(model)), [window])
        return window, np.array([*written.ids, task.tokenizer.sep_id])
    if whole.cut:
        raise InputError(
            f"label {label[:SHOWN]!r} is longer than the {task.options.max_target_length} tokens of a target"
            "; shorten it"
        )
    if task.never_V.cpu()[torch.from_numpy(whole.target)].any():
        raise InputError(f"label {label[:SHOWN]!r} holds what this vocabulary cannot write")
    return window, whole.target


ANSWERS: dict[type[Task], Callable[[Model, Any, str | None], Explained]] = {
    QuestionAnswering: answer_of,
    MultipleChoice: choice_of,
    Similarity: likeness_of,
    Retrieval: likeness_of,
    Seq2Seq: target_of,
}


def refuse_label(task: Task, label: str | None, does: str) -> None:
    """Raise InputError for a label where there are none."""
    if label is not None:
        raise InputError(f"label {label!r}: {task.name} {does}; leave it out")


def tell_window(chosen: int, windows: Sequence[Window]) -> None:
    """Say on stderr which of several windows is explained."""
    if len(windows) > 1:
        told = f"the model reads the text in {len(windows)} windows; explained is number {chosen + 1}"
        print(f"  {told}", file=sys.stderr)


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


def device_of(model: Model) -> torch.device:
    """Return where a model computes."""
    return next(model.parameters()).device
