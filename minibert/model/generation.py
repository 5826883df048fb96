"""Writing a sequence when all that is known is how likely each next token is.

Greedy search takes the likeliest token each time. Beam search (Graves, 2012; Sutskever et al., 2014) keeps
the B likeliest beginnings of each source and lets all of them go on; what has ended is compared by::

    score(y) = log p(y) / lp(L)       lp(L) = ((5 + L) / 6)^a       (Wu et al., 2016, equation 14)

where L counts the tokens, the end among them, and a is `length_penalty`: 0 compares plain probabilities and
likes short texts, 1 nearly the mean over the tokens. A source is done when B of its sequences have ended and
none that goes on is better by now than the best of them (a model that is nearly certain ends B unlikely ones
long before the likely one), or when none can go on. Sequences of sources that are done leave the batch.

The model is a function `advance(tokens, state)` that returns the log-probabilities (R, V) of what follows the
newest tokens (R,) and the next state; R rows are B beams for each source, side by side.
Left out: sampling, diverse beams, and coverage penalties.

Letters: R rows (sequences that are written), N sources, B beams, L tokens so far, V vocabulary.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from minibert.errors import InputError


class Selectable(Protocol):
    """What `advance` keeps between two steps: its rows can be chosen, and its sources."""

    def select(self: "S", rows: Tensor, sources: list[int] | None = None) -> "S": ...


S = TypeVar("S", bound=Selectable)
Advance = Callable[[Tensor, S], tuple[Tensor, S]]


@dataclass(frozen=True)
class Generation:
    """How sequences are written, under the names of Hugging Face's generation settings.

    max_length            tokens of a sequence at most, its end included
    min_length            tokens before which it must not end
    no_repeat_ngram_size  no run of so many tokens comes twice in a sequence; 0 allows all
    """

    num_beams: int = 1
    length_penalty: float = 1.0
    max_length: int = 128
    min_length: int = 0
    no_repeat_ngram_size: int = 0

    def __post_init__(self) -> None:
        for name, least in (
            ("num_beams", 1),
            ("max_length", 1),
            ("min_length", 0),
            ("no_repeat_ngram_size", 0),
        ):
            if getattr(self, name) < least:
                raise InputError(f"{name} {getattr(self, name)} must be at least {least}")
        if self.min_length >= self.max_length:
            raise InputError(f"min_length {self.min_length} must be below max_length {self.max_length}")


@dataclass(frozen=True)
class Written:
    """One sequence: its ids without the end, log p(y), and the score that beams are compared by."""

    ids: tuple[int, ...]
    log_p: float
    score: float


def generate(
    advance: Advance[S], state: S, how: Generation, *, start: int, end: int, limits: Sequence[int]
) -> list[Written]:
    """Write one sequence for each source.

    state       of `num_beams` rows for each source, before the first token
    start, end  the token that stands before each sequence, and the one that ends it
    limits      for each source, tokens at most, the end included; at least 1
    """
    search = greedy if how.num_beams == 1 else beam_search
    return search(advance, state, how, start=start, end=end, limits=limits)


def greedy(
    advance: Advance[S], state: S, how: Generation, *, start: int, end: int, limits: Sequence[int]
) -> list[Written]:
    """Take the likeliest token each time."""
    written: list[Written | None] = [None] * len(limits)
    going = list(range(len(limits)))  # the source of each row
    ids_RL = torch.full((len(going), 1), start)
    log_p_R = torch.zeros(len(going))
    while going:
        next_RV, state = advance(ids_RL[:, -1], state)
        next_RV = forbid(next_RV, ids_RL, how, end=end, limits=[limits[source] for source in going])
        best_R, token_R = next_RV.cpu().max(-1)
        ids_RL = torch.cat([ids_RL, token_R[:, None]], dim=1)
        log_p_R = log_p_R + best_R
        ended_R = token_R == end
        for row in ended_R.nonzero().flatten().tolist():
            written[going[row]] = finished(ids_RL[row], float(log_p_R[row]), how)
        stay_R = (~ended_R).nonzero().flatten()
        if len(stay_R) < len(going):
            rows = stay_R.tolist()
            going = [going[row] for row in rows]
            ids_RL, log_p_R = ids_RL[stay_R], log_p_R[stay_R]
            state = state.select(stay_R, rows) if rows else state
    return [sequence for sequence in written if sequence is not None]


def beam_search(
    advance: Advance[S], state: S, how: Generation, *, start: int, end: int, limits: Sequence[int]
) -> list[Written]:
    """Keep the likeliest `num_beams` beginnings of each source; return its best ended sequence."""
    beams = how.num_beams
    ended: list[list[Written]] = [[] for _ in limits]
    going = list(range(len(limits)))
    ids_RL = torch.full((len(going) * beams, 1), start)
    log_p_NB = torch.full((len(going), beams), -math.inf)
    log_p_NB[:, 0] = 0.0  # all beams are alike at first: one of them speaks
    while going:
        next_RV, state = advance(ids_RL[:, -1], state)
        row_limits = [limits[source] for source in going for _ in range(beams)]
        next_RV = forbid(next_RV, ids_RL, how, end=end, limits=row_limits)
        likeliest = extend(log_p_NB, next_RV.cpu())
        for place, source in enumerate(going):
            for log_p, parent, token in likeliest[place][:beams]:
                if token == end and log_p > -math.inf:
                    ids = torch.cat([ids_RL[place * beams + parent], torch.tensor([token])])
                    ended[source].append(finished(ids, log_p, how))
        open_ones = [[one for one in ones if one[2] != end][:beams] for ones in likeliest]
        best_open = [normed(ones[0][0], ids_RL.shape[1], how) for ones in open_ones]
        stay = [
            place for place, source in enumerate(going) if best_open[place] > best_of(ended[source], beams)
        ]
        chosen = [(place * beams + parent, token) for place in stay for _, parent, token in open_ones[place]]
        rows_R, tokens_R = torch.tensor(chosen, dtype=torch.int64).reshape(-1, 2).unbind(1)
        ids_RL = torch.cat([ids_RL[rows_R], tokens_R[:, None]], dim=1)
        log_p_NB = torch.tensor([[log_p for log_p, _, _ in open_ones[place]] for place in stay])
        all_stay = len(stay) == len(going)
        going = [going[place] for place in stay]
        state = state.select(rows_R, None if all_stay else stay) if going else state
    nothing = Written((), math.nan, math.nan)  # of weights that are no numbers
    return [max(sequences, key=lambda one: one.score, default=nothing) for sequences in ended]


def best_of(ended: Sequence[Written], beams: int) -> float:
    """Return the best score of what has ended; minus infinity until so many have."""
    return max((one.score for one in ended), default=-math.inf) if len(ended) >= beams else -math.inf


def extend(log_p_NB: Tensor, next_RV: Tensor) -> list[list[tuple[float, int, int]]]:
    """Return for each source its likeliest longer beginnings as (log p, beam, token), the likeliest first.

    There are twice as many as beams: each beam can end only once, so that enough of them go on.
    """
    sources, beams = log_p_NB.shape
    total_NC = (log_p_NB.reshape(-1, 1) + next_RV).reshape(sources, -1)
    vocabulary = next_RV.shape[1]
    best_NC, place_NC = total_NC.topk(min(2 * beams, total_NC.shape[1]), dim=1)
    return [
        [(log_p, place // vocabulary, place % vocabulary) for log_p, place in zip(*row, strict=True)]
        for row in zip(best_NC.tolist(), place_NC.tolist(), strict=True)
    ]


def forbid(next_RV: Tensor, ids_RL: Tensor, how: Generation, *, end: int, limits: Sequence[int]) -> Tensor:
    """Return the log-probabilities with those at minus infinity that must not be next.

    The end before `min_length`, whatever repeats an n-gram, and at a row's limit all but the end.
    """
    length = ids_RL.shape[1]  # tokens with the next one, the start not counted
    next_RV = next_RV.clone()
    if how.no_repeat_ngram_size:
        for row, ids in enumerate(ids_RL[:, 1:].tolist()):
            next_RV[row, repeats(ids, how.no_repeat_ngram_size)] = -math.inf
    last_R = torch.tensor([length >= limit for limit in limits], device=next_RV.device)
    if length <= how.min_length:
        next_RV[~last_R, end] = -math.inf
    if last_R.any():
        at_end = next_RV[last_R, end]
        next_RV[last_R] = -math.inf
        next_RV[last_R, end] = at_end
    return next_RV


def repeats(ids: Sequence[int], size: int) -> list[int]:
    """Return the tokens that would complete an n-gram of this size a second time.

    >>> repeats([5, 7, 5, 8, 5], 2)
    [7, 8]
    """
    if len(ids) < size:
        return []
    tail = list(ids[len(ids) - size + 1 :])
    starts = range(len(ids) - size + 1)
    return [ids[start + size - 1] for start in starts if list(ids[start : start + size - 1]) == tail]


def finished(ids: Tensor, log_p: float, how: Generation) -> Written:
    """Return an ended sequence: its ids without start and end, and its score."""
    return Written(tuple(ids[1:-1].tolist()), log_p, normed(log_p, len(ids) - 1, how))


def normed(log_p: float, length: int, how: Generation) -> float:
    """Return the score of a sequence of so many tokens."""
    return log_p / ((5 + length) / 6) ** how.length_penalty
