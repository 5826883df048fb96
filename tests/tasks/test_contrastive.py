"""The contrastive loss by hand and in float64, and which passages count as wrong."""

import math

import numpy as np
import pytest
import torch

from minibert.tasks.contrastive import SearchTargets, info_nce, wrong_answers
from minibert.text.encoded import Encoded


def text(*ids):
    numbers = np.array(ids, np.int32)
    return Encoded(numbers, np.zeros((len(ids), 2), np.int32), numbers, np.zeros(len(ids), np.int8))


def test_the_loss_by_hand():
    """Query 0 has two wrong answers, query 1 only the last: exp(s) are 2, 1, 3 and 1, 4, 4."""
    scores_NM = torch.tensor([[2.0, 1.0, 3.0], [1.0, 4.0, 4.0]]).log()
    wrong_NM = torch.tensor([[False, True, True], [False, False, True]])
    assert info_nce(scores_NM, wrong_NM).item() == pytest.approx(math.log(6 / 2) + math.log(8 / 4), rel=1e-6)


def test_the_loss_and_its_gradient_are_those_of_the_equation_in_float64():
    draw = torch.Generator().manual_seed(0)
    scores_NM = torch.randn(5, 11, dtype=torch.float64, generator=draw, requires_grad=True)
    wrong_NM = torch.rand(5, 11, generator=draw) > 0.3
    wrong_NM.fill_diagonal_(False)
    ours = info_nce(scores_NM, wrong_NM)
    right_N = scores_NM.diagonal().exp()
    plain = -(right_N / (right_N + (scores_NM.exp() * wrong_NM).sum(1))).log().sum()
    (mine,) = torch.autograd.grad(ours, scores_NM)
    (theirs,) = torch.autograd.grad(plain, scores_NM)
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(mine, theirs)
    assert (mine[~wrong_NM & ~torch.eye(5, 11, dtype=torch.bool)] == 0).all()


def test_a_query_without_wrong_answers_costs_nothing():
    assert info_nce(torch.tensor([[3.0]]), torch.tensor([[False]])).item() == 0


def test_what_answers_a_query_anywhere_in_the_batch_is_not_wrong():
    """Queries 0 and 2 are the same text; passage 1 has the text of passage 3, which is a given negative."""
    queries = [text(7, 8), text(9), text(7, 8)]
    answers, negatives = [text(1), text(2), text(3)], [text(2), text(4)]
    assert wrong_answers(queries, answers, negatives).tolist() == [
        [False, True, False, True, True],
        [True, False, True, False, True],
        [False, True, False, True, True],
    ]


def test_targets_count_queries_and_move():
    targets = SearchTargets(torch.zeros(3, 5, dtype=torch.bool))
    assert targets.counts == {"loss": 3}
    assert targets.to("meta").wrong_NM.device.type == "meta"
