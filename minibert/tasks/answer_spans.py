"""From a start and an end score for every token to the best stretches of a passage.

A span scores the sum of its start's and its end's logit (Devlin et al., 2019, section 4.2). Of all pairs
whose end does not come before the start and that are not too long, the best are kept, over all windows of a
passage; a stretch that two windows hold counts once, as the better of the two.

Letters: M rows of all windows, N windows, P tokens of a window's passage, L longest answer, 2 start and end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from minibert.data.examples import GoldAnswer
from minibert.packed import Layout
from minibert.tasks.task import NEVER, Window


@dataclass(frozen=True)
class SpanTargets:
    """Which rows of a packed batch may begin or end an answer, and how much each of them should.

    positions  (M,) int64, rows of the hidden states (T, D): the first token and the passage of each window
    shares_M2  (M, 2) share of the start and of the end that is wanted at each row; they sum to one in each
               window, to zero where nobody knows
    lengths    how many of the rows belong to each window
    known      of each window, whether its shares are known
    """

    positions: Tensor
    shares_M2: Tensor
    lengths: tuple[int, ...]
    known: tuple[bool, ...]

    @property
    def counts(self) -> dict[str, int]:
        return {"loss": sum(self.known)}

    def to(self, device: torch.device | str) -> "SpanTargets":
        return SpanTargets(self.positions.to(device), self.shares_M2.to(device), self.lengths, self.known)


def gold_spans(
    answers: Sequence[GoldAnswer] | None, offsets_P2: np.ndarray, *, first: bool
) -> list[tuple[int, int]] | None:
    """Return first and last token of each gold answer, [] for no answer; None where nobody knows.

    offsets_P2  [start, end) of each token in characters of the passage
    first       of several answers only the first counts
    """
    if not answers:
        return None if answers is None else []
    found = []
    for gold in answers[: 1 if first else None]:
        if gold.start is not None:
            end = gold.start + len(gold.text)
            over = (offsets_P2[:, 0] < end) & (offsets_P2[:, 1] > np.maximum(gold.start, offsets_P2[:, 0]))
            places = np.flatnonzero(over)
            if len(places):
                found.append((int(places[0]), int(places[-1])))
    return found or None


def shares_of(
    golds: list[tuple[int, int]] | None, units: np.ndarray, *, inside: tuple[int, int]
) -> np.ndarray:
    """Return the shares (m, 2) of starts and ends that are wanted at the rows of a window.

    golds   first and last token of each answer, [] for no answer, None where nobody knows
    units   (m,) the token of each row, ascending; -1 for the first row
    inside  the tokens [start, end) of the passage that the window shows
    """
    shares_m2 = np.zeros((len(units), 2), np.float32)
    if golds is None:
        return shares_m2
    here = [gold for gold in golds if inside[0] <= gold[0] and gold[1] < inside[1]]
    for gold in here or [(-1, -1)]:
        for column, token in enumerate(gold):
            shares_m2[np.searchsorted(units, token), column] += 1 / max(1, len(here))
    return shares_m2


def gives_some(windows: Sequence[Window], longest: int) -> bool:
    """Whether some answer of an example has at most `longest` tokens in some window, or it has none.

    An answer that is longer is learnt from and never given (see `spans_of_window`).
    """
    wanted = False
    for window in windows:
        starts, ends = (window.units[side > 0] for side in window.labels.T)
        starts, ends = starts[starts >= 0], ends[ends >= 0]
        size_SE = ends[None, :] - starts[:, None] + 1
        if ((size_SE > 0) & (size_SE <= longest)).any():
            return True
        wanted |= len(starts) > 0
    return not wanted


def log_softmax_within(scores_M2: Tensor, lengths: Sequence[int]) -> Tensor:
    """Return log probabilities (M, 2) of each column, window by window, without padding.

    >>> log_softmax_within(torch.zeros(3, 2), [2, 1]).exp().tolist()
    [[0.5, 0.5], [0.5, 0.5], [1.0, 1.0]]
    """
    window_M = Layout.of(lengths, scores_M2.device).sequence_T
    window_M2 = window_M[:, None].expand_as(scores_M2)
    empty_N2 = scores_M2.new_zeros(len(lengths), scores_M2.shape[1])
    highest_N2 = empty_N2.scatter_reduce(0, window_M2, scores_M2.detach(), "amax", include_self=False)
    shifted_M2 = scores_M2 - highest_N2[window_M]
    sums_N2 = empty_N2.scatter_add(0, window_M2, shifted_M2.exp())
    return shifted_M2 - sums_N2.log()[window_M]


def side_by_side(scores_M2: Tensor, targets: SpanTargets) -> Tensor:
    """Return the starts' scores and the ends' of each window whose shares are known, (N, 2, P).

    P is the length of the longest; behind the end of the others stands a score of nothing.
    """
    parts = scores_M2.split(targets.lengths)
    asked = [part for part, known in zip(parts, targets.known, strict=True) if known]
    if not asked:
        return scores_M2.new_zeros(0, 2, 1)
    return pad_sequence(asked, batch_first=True, padding_value=NEVER).transpose(1, 2)


@dataclass(frozen=True)
class Scored:
    """A stretch [start, end) in characters of the passage, and the sum of its two logits."""

    start: int
    end: int
    score: float


def spans_of_window(
    logits_P2: np.ndarray, offsets_P2: np.ndarray, *, longest: int, count: int
) -> list[Scored]:
    """Return the `count` best spans of at most `longest` tokens of a window, the best first.

    offsets_P2  [start, end) of each token in characters of the passage
    """
    first, last, score = best_places(logits_P2, longest=longest, count=count)
    begin, stop = offsets_P2[first, 0].tolist(), offsets_P2[last, 1].tolist()
    return [Scored(*span) for span in zip(begin, stop, score.tolist(), strict=True)]


def best_places(
    logits_P2: np.ndarray, *, longest: int, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the first and the last token and the score of the `count` best spans, the best first."""
    size = len(logits_P2)
    if not size:
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, np.zeros(0)
    width = min(longest, size)
    start_P, end_P = logits_P2.astype(np.float64).T
    padded = np.concatenate([end_P, np.full(width - 1, -np.inf)])
    scores_PL = start_P[:, None] + np.lib.stride_tricks.sliding_window_view(padded, width)
    flat = scores_PL.ravel()
    count = min(count, flat.size)
    kept = np.sort(np.argpartition(-flat, count - 1)[:count])
    kept = kept[np.argsort(-flat[kept], kind="stable")]
    first, more = np.divmod(kept[np.isfinite(flat[kept])], width)
    return first, first + more, scores_PL[first, more]


def join_windows(windows: Sequence[Sequence[Scored]], count: int) -> list[Scored]:
    """Return the `count` best spans of all windows of a passage, each stretch once.

    >>> join_windows([[Scored(0, 3, 1.0)], [Scored(0, 3, 2.0), Scored(4, 5, 0.0)]], 2)
    [Scored(start=0, end=3, score=2.0), Scored(start=4, end=5, score=0.0)]
    """
    best: dict[tuple[int, int], Scored] = {}
    for span in (span for spans in windows for span in spans):
        place = (span.start, span.end)
        if place not in best or span.score > best[place].score:
            best[place] = span
    return sorted(best.values(), key=lambda span: (-span.score, span.start, span.end))[:count]


@dataclass(frozen=True)
class Candidate:
    """A possible answer: text == passage[start:end], "" for none; its score, its probability among them."""

    text: str
    start: int
    end: int
    score: float
    probability: float


@dataclass(frozen=True)
class Answer:
    """The answer to a question: text == passage[start:end], "" where there is none.

    margin      by how much "no answer" scores above the best span
    candidates  the best spans, and "no answer" where it may be given; the best first
    """

    text: str
    start: int
    end: int
    probability: float
    margin: float
    candidates: tuple[Candidate, ...]

    @property
    def best_span(self) -> str:
        """The best text that is an answer, whether it was given or not."""
        return next((candidate.text for candidate in self.candidates if candidate.text), "")

    def at(self, threshold: float | None) -> "Answer":
        """Return the answer that is given where "no answer" must be better by more than a threshold."""
        refused = not self.best_span or (threshold is not None and self.margin > threshold)
        chosen = next(candidate for candidate in self.candidates if refused != bool(candidate.text))
        return Answer(chosen.text, chosen.start, chosen.end, chosen.probability, self.margin, self.candidates)


def choose(passage: str, spans: Sequence[Scored], nothing: float, *, threshold: float | None) -> Answer:
    """Answer with the best span, or with "" if `nothing`, the score of no answer, is above it by more.

    spans      the best first; without any, the answer is ""
    threshold  by how much no answer must be better; None if there always is one

    >>> choose("a cat sat", [Scored(2, 5, 1.0)], 1.5, threshold=1.0).text
    'cat'
    """
    margin = nothing - spans[0].score if spans else 0.0
    listed = list(spans)
    if threshold is not None or not spans:
        listed = sorted([*spans, Scored(0, 0, nothing)], key=lambda span: -span.score)
    shares = np.exp(np.array([span.score for span in listed]) - listed[0].score)
    candidates = tuple(
        Candidate(passage[span.start : span.end], span.start, span.end, span.score, float(share))
        for span, share in zip(listed, shares / shares.sum(), strict=True)
    )
    return Answer("", 0, 0, 0.0, margin, candidates).at(threshold)
