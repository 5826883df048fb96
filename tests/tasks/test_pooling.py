"""One vector for each text, by hand and as exact in bfloat16 as plain PyTorch."""

import pytest
import torch

from minibert.errors import InputError
from minibert.packed import Layout
from minibert.tasks.model import TASKS
from minibert.tasks.pooling import pool
from minibert.tasks.question_options import QuestionAnsweringOptions

LENGTHS = [3, 1, 97]
BY_THEIR_TASK = (QuestionAnsweringOptions,)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_first_and_mean_are_those_of_each_text_alone(dtype):
    layout = Layout.of(LENGTHS)
    hidden = torch.randn(layout.tokens, 5, dtype=dtype)
    parts = hidden.split(LENGTHS)
    assert torch.equal(pool("first", hidden, layout), torch.stack([part[0] for part in parts]))
    torch.testing.assert_close(pool("mean", hidden, layout), torch.stack([part.mean(0) for part in parts]))


def test_a_mean_in_bfloat16_is_at_most_twice_as_far_off_as_plain_pytorchs():
    lengths = [509, 499]
    hidden = (torch.randn(sum(lengths), 31) + 1).bfloat16()
    exact = torch.stack([part.double().mean(0) for part in hidden.split(lengths)])
    plain = torch.stack([part.mean(0) for part in hidden.split(lengths)])
    mine = pool("mean", hidden, Layout.of(lengths))
    assert mine.dtype == torch.bfloat16
    assert (mine.double() - exact).norm() <= 2 * (plain.double() - exact).norm()


@pytest.mark.parametrize("name", ["classifier_dropout", "label_smoothing"])
@pytest.mark.parametrize("value", [-0.1, 1.0, 1.5, float("nan")])
def test_a_share_that_cannot_be_is_refused_when_the_options_of_any_task_are_made(name, value):
    with_it = [task.Options for task in TASKS.values() if task.Options and name in vars(task.Options())]
    assert len(with_it) >= 6
    for options in with_it:
        if options not in BY_THEIR_TASK:
            with pytest.raises(InputError, match=f"{name} {value}"):
                options(**{name: value})
            assert vars(options(**{name: 0.9}))[name] == 0.9
