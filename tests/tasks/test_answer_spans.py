"""The best spans are the best of all pairs, and the loss is a softmax over each window alone."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from minibert.tasks.answer_spans import (
    Scored,
    SpanTargets,
    choose,
    join_windows,
    log_softmax_within,
    shares_of,
    spans_of_window,
)


@pytest.mark.parametrize("lengths", [(1,), (5, 1, 7), (3, 2, 2, 11)])
def test_log_probabilities_are_those_of_each_window_alone(lengths):
    scores_M2 = torch.randn(sum(lengths), 2, dtype=torch.float64) * 40
    found = log_softmax_within(scores_M2, lengths)
    for one, scores in zip(found.split(lengths), scores_M2.split(lengths), strict=True):
        torch.testing.assert_close(one, scores.log_softmax(0), atol=1e-12, rtol=0)


def test_the_loss_and_its_gradient_are_those_of_two_cross_entropies_a_window():
    lengths, starts, ends = (5, 3, 7), (1, 0, 4), (3, 0, 4)
    scores_M2 = torch.randn(15, 2, dtype=torch.float64, requires_grad=True)
    shares_M2 = torch.zeros(15, 2, dtype=torch.float64)
    firsts = (0, 5, 8)
    for first, start, end in zip(firsts, starts, ends, strict=True):
        shares_M2[first + start, 0] = shares_M2[first + end, 1] = 1
    loss = -(shares_M2 * log_softmax_within(scores_M2, lengths)).sum() / 2
    (found,) = torch.autograd.grad(loss, scores_M2)
    wanted = sum(
        cross_entropy(part.T, torch.tensor(gold), reduction="sum") / 2
        for part, gold in zip(scores_M2.split(lengths), zip(starts, ends, strict=True), strict=True)
    )
    torch.testing.assert_close(loss, wanted)
    torch.testing.assert_close(found, torch.autograd.grad(wanted, scores_M2)[0])


def every_span(logits_P2, offsets_P2, longest):
    size = len(logits_P2)
    pairs = [(a, b) for a in range(size) for b in range(a, min(size, a + longest))]
    scored = [
        Scored(int(offsets_P2[a, 0]), int(offsets_P2[b, 1]), float(logits_P2[a, 0] + logits_P2[b, 1]))
        for a, b in pairs
    ]
    return sorted(scored, key=lambda span: -span.score)


@pytest.mark.parametrize("size", [1, 2, 3, 17])
@pytest.mark.parametrize("longest", [1, 2, 5, 40])
@pytest.mark.parametrize("count", [1, 4, 1000])
def test_the_best_spans_are_the_best_of_all_pairs(size, longest, count):
    draw = np.random.default_rng(size * 100 + longest)
    logits_P2 = draw.normal(size=(size, 2))
    starts = np.cumsum(draw.integers(1, 4, size))
    offsets_P2 = np.stack([starts, starts + 1], axis=1)
    found = spans_of_window(logits_P2, offsets_P2, longest=longest, count=count)
    wanted = every_span(logits_P2, offsets_P2, longest)[:count]
    assert [(span.start, span.end) for span in found] == [(span.start, span.end) for span in wanted]
    assert [span.score for span in found] == pytest.approx([span.score for span in wanted])


def test_a_window_without_tokens_has_no_spans():
    assert spans_of_window(np.zeros((0, 2)), np.zeros((0, 2), np.int32), longest=3, count=2) == []


def test_a_span_that_two_windows_hold_counts_once_as_the_better():
    left, right = [Scored(0, 3, 5.0), Scored(4, 5, 1.0)], [Scored(4, 5, 2.0), Scored(7, 9, 1.5)]
    assert join_windows([left, right], 9) == [Scored(0, 3, 5.0), Scored(4, 5, 2.0), Scored(7, 9, 1.5)]
    assert join_windows([left, right], 1) == [Scored(0, 3, 5.0)]
    assert join_windows([[], []], 3) == []


PASSAGE = "a cat sat"
SPANS = [Scored(2, 5, 3.0), Scored(6, 9, 1.0)]


def test_the_best_span_is_the_answer_with_its_share_of_the_scores():
    answer = choose(PASSAGE, SPANS, 9.0, threshold=None)
    assert (answer.text, answer.start, answer.end, answer.margin) == ("cat", 2, 5, 6.0)
    assert answer.probability == pytest.approx(1 / (1 + math.exp(-2)))
    assert [candidate.text for candidate in answer.candidates] == ["cat", "sat"]
    assert sum(candidate.probability for candidate in answer.candidates) == pytest.approx(1)


@pytest.mark.parametrize(("threshold", "text"), [(1.9, ""), (2.0, "cat"), (2.1, "cat")])
def test_no_answer_is_given_above_the_threshold_alone(threshold, text):
    answer = choose(PASSAGE, SPANS, 5.0, threshold=threshold)
    assert answer.text == text == PASSAGE[answer.start : answer.end]
    assert answer.best_span == "cat"
    assert [candidate.text for candidate in answer.candidates] == ["", "cat", "sat"]
    chosen = next(candidate for candidate in answer.candidates if candidate.text == text)
    assert answer.probability == chosen.probability


@pytest.mark.parametrize("threshold", [None, 0.0])
def test_without_spans_there_is_no_answer(threshold):
    answer = choose(PASSAGE, [], 1.0, threshold=threshold)
    assert (answer.text, answer.start, answer.end, answer.best_span) == ("", 0, 0, "")
    assert answer.probability == 1


UNITS = np.array([-1, 10, 11, 13, 14])  # token 12 is white space alone, and no row


@pytest.mark.parametrize(
    ("golds", "starts", "ends"),
    [
        (None, [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]),
        ([], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0]),
        ([(11, 13)], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]),
        ([(11, 13), (11, 14)], [0, 0, 1, 0, 0], [0, 0, 0, 0.5, 0.5]),
        ([(9, 11)], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0]),  # begins before the window
        ([(13, 15)], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0]),  # ends behind it
        ([(10, 10), (13, 15)], [0, 1, 0, 0, 0], [0, 1, 0, 0, 0]),  # the one inside counts
    ],
)
def test_wanted_shares_are_those_of_the_answers_inside_or_the_first_token(golds, starts, ends):
    shares_m2 = shares_of(golds, UNITS, inside=(10, 15))
    assert shares_m2.dtype == np.float32
    assert shares_m2.T.tolist() == [starts, ends]


def test_targets_count_the_windows_that_are_known():
    targets = SpanTargets(torch.arange(3), torch.zeros(3, 2), (2, 1), known=(True, False)).to("cpu")
    assert targets.counts == {"loss": 1}
