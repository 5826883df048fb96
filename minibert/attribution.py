"""Which tokens speak for an answer: gradient times input, and integrated gradients.

Let x be the token vectors of a text, x' those of a text that says nothing, and f the score in question::

    gradient x input       a_t = x_t . df/dx_t (x)
    integrated gradients   a_t = (x_t - x'_t) . integral over s in 0..1 of df/dx_t (x' + s (x - x'))

The second is *complete*: its a_t sum to f(x) - f(x'), so nothing is left unexplained. A token that x and x'
share gets 0. f is the log-odds of a label or a choice, log p / (1 - p), those of an answer's start and end
together, the number of a regression, how like two texts are, or log p of a text that is written. The vectors
are those of the token table, before places and norm; the integral is a sum over Gauss-Legendre nodes.

Source: M. Sundararajan, A. Taly, Q. Yan (2017), Axiomatic Attribution for Deep Networks.
Letters: T tokens, D channels, N texts. Left out: attention as an explanation (see `minibert.inspect`), CRFs'
transitions, summaries made of sentences.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from minibert.errors import InputError
from minibert.evaluation.explained import explained
from minibert.evaluation.explained_answers import Explained
from minibert.tasks.model import Model
from minibert.tasks.task import Task, Window
from minibert.training.objectives import moved

Method = Literal["integrated_gradients", "gradient_x_input"]
Nothing = Literal["mask", "pad", "zero"]
AT_ONCE = 8192  # tokens of the copies that are computed together


@dataclass(frozen=True)
class Piece:
    """A token or a word, its place [start, end) in its text, and what it adds.

    segment  1 for the second text of a pair
    word     the number of the word that a token belongs to; -1 for a control token
    """

    text: str
    start: int
    end: int
    segment: int
    word: int
    score: float


@dataclass(frozen=True)
class Attribution:
    """What each token of a text adds to the score of a label.

    pair     the second text of the window, or the text that this one was compared with
    value    f(x)
    nothing  f(x'); with "gradient_x_input" what the sum of the pieces leaves of f(x)
    """

    text: str
    pair: str | None
    label: str
    method: Method
    value: float
    nothing: float
    pieces: tuple[Piece, ...]
    window: Window = field(repr=False, compare=False)

    @property
    def gap(self) -> float:
        """How far the sum of the pieces is from f(x) - f(x')."""
        return abs(sum(piece.score for piece in self.pieces) - (self.value - self.nothing))

    def by_words(self) -> "Attribution":
        """Return the same with the tokens of each word as one piece, their scores added up."""
        groups = [list(group) for _, group in groupby(self.pieces, lambda piece: (piece.segment, piece.word))]
        return replace(self, pieces=tuple(map(self._joined, groups)))

    def _joined(self, group: Sequence[Piece]) -> Piece:
        whole = (self.text, self.pair or "")[group[0].segment]
        start, end = min(piece.start for piece in group), max(piece.end for piece in group)
        return replace(
            group[0], text=whole[start:end], start=start, end=end, score=sum(p.score for p in group)
        )


def explain(
    model: Model,
    example: Any,
    *,
    label: str | None = None,
    word: int | None = None,
    method: Method = "integrated_gradients",
    nothing: Nothing = "mask",
    steps: int = 50,
) -> Attribution:
    """Say what each token adds to the score of a label, that of the model's answer where none is named.

    word     tagging: the number of the word whose tag is explained; the first with a tag but "O"
             A text that the model reads in several windows is explained by that which says most for the label
    nothing  the text that says nothing: each token becomes the mask, padding, or a vector of zeros
    steps    nodes of the integral; where `gap` is large, take more

    Raises InputError for an unknown label or word, and for a task that cannot be explained.

    >>> from minibert.tasks.model import load
    >>> found = explain(load("runs/clf"), "a wonderful film", label="positive", steps=400)
    >>> found.gap < 0.05 and [piece.text for piece in found.pieces][:2]
    ['', 'a']
    """
    check(method, steps)
    model.eval()
    asked = explained(model, example, label=label, word=word)
    window = asked.window
    nodes = nodes_of(steps) if method == "integrated_gradients" else [(1.0, 1.0)]
    away_TD = rows_of_table(model, window.tokens.ids)
    if method == "integrated_gradients":
        away_TD = away_TD - nothing_of(model, window, nothing)
    values, slope_TD = slopes(model, asked, away_TD=away_TD, nodes=nodes)
    scores_T = (away_TD * slope_TD).double().sum(-1)
    value = values[-1]
    left = values[-2] if len(values) > 1 else value - float(scores_T.sum())
    texts = (asked.text, asked.pair)
    pieces = tuple(pieces_of(model.task, window, scores_T.cpu().numpy(), texts))
    shown = asked.beside if asked.pair is None else asked.pair
    return Attribution(asked.text, shown, asked.name, method, value, left, pieces, window)


def check(method: str, steps: int) -> None:
    """Raise InputError for a method that is unknown, or too few nodes."""
    if steps < 1:
        raise InputError(f"steps is {steps}; at least 1 is needed, 50 are usual")
    if method not in get_args(Method):
        raise InputError(f"method {method!r} is unknown; use {' or '.join(get_args(Method))}")


def nodes_of(steps: int) -> list[tuple[float, float]]:
    """Return places in 0..1 with their weights in an integral, then both ends with none (Gauss-Legendre)."""
    places, weights = np.polynomial.legendre.leggauss(steps)
    return [*zip((places + 1) / 2, weights / 2, strict=True), (0.0, 0.0), (1.0, 0.0)]


def rows_of_table(model: Model, ids: np.ndarray) -> Tensor:
    """Return the rows (T, D) of the token table."""
    weight_VD = model.encoder.embeddings.token.weight.detach()
    return weight_VD[torch.from_numpy(ids.astype(np.int64)).to(weight_VD.device)]


def nothing_of(model: Model, window: Window, nothing: Nothing) -> Tensor:
    """Return the vectors (T, D) of a text that says nothing; control tokens stay what they are."""
    tokenizer, tokens = model.task.tokenizer, window.tokens
    if nothing == "zero":
        inside = torch.from_numpy(tokens.words >= 0)
        rows_TD = rows_of_table(model, tokens.ids)
        return torch.where(inside.to(rows_TD.device)[:, None], 0.0, rows_TD)
    other = {"mask": tokenizer.mask_id, "pad": tokenizer.pad_id}.get(nothing)
    if other is None:
        raise InputError(f"nothing {nothing!r} is unknown; use mask, pad or zero")
    return rows_of_table(model, np.where(tokens.words >= 0, other, tokens.ids))


def slopes(
    model: Model,
    asked: Explained,
    *,
    away_TD: Tensor,
    nodes: Sequence[tuple[float, float]],
) -> tuple[list[float], Tensor]:
    """Evaluate f along x - (1 - s) away for nodes (s, weight).

    Returns f at each node, and the weighted sum of df/dx there, (T, D).
    """
    window, values, total_TD = asked.window, [], torch.zeros_like(away_TD)
    size = max(1, AT_ONCE // (len(window) + asked.cost))
    for start in range(0, len(nodes), size):
        part = nodes[start : start + size]
        share_N, weight_N = (away_TD.new_tensor(column) for column in zip(*part, strict=True))
        move_NTD = ((share_N - 1)[:, None, None] * away_TD).requires_grad_()
        windows = [window] * len(part)
        with torch.enable_grad(), moved(model.encoder.embeddings.token, move_NTD.flatten(0, 1)):
            value_N = asked.score(model.task.pack(windows).to(away_TD.device), windows)
            (slope_NTD,) = torch.autograd.grad(value_N.sum(), move_NTD)
        values += value_N.tolist()
        total_TD += (weight_N[:, None, None] * slope_NTD).sum(0)
    return values, total_TD


def pieces_of(task: Task, window: Window, scores_T: np.ndarray, texts: Sequence[Any]) -> Iterator[Piece]:
    """Spell out the tokens as stretches of a text and its pair or None; control tokens are empty ones."""
    tokens = window.tokens
    second = len(tokens) if texts[1] is None else task.tokenizer.second_text(tokens)
    columns = zip(tokens.offsets.tolist(), tokens.words.tolist(), scores_T.tolist(), strict=True)
    for place, ((start, end), word, score) in enumerate(columns):
        segment = int(place >= second)
        yield Piece((texts[segment] or "")[start:end], start, end, segment, word, score)
