"""The field against a sum over every path of tags, in float64."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from minibert.errors import InputError
from minibert.tasks.crf import LinearChainCRF
from minibert.tasks.spans import allowed_transitions

CLASSES = 3
LENGTHS = [2, 0, 5, 1, 5, 3, 0]


def field(*, classes: int = CLASSES, seed: int = 0) -> LinearChainCRF:
    """Make a float64 field with random scores."""
    draw = torch.Generator().manual_seed(seed)
    crf = LinearChainCRF(classes).double()
    for parameter in crf.parameters():
        parameter.data.normal_(0, 1.5, generator=draw)
    return crf


def batch(lengths: list[int] = LENGTHS, *, classes: int = CLASSES, seed: int = 1) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    emissions = 2 * torch.randn(sum(lengths), classes, dtype=torch.float64, generator=draw)
    return emissions, torch.randint(0, classes, (sum(lengths),), generator=draw)


def path_score(crf: LinearChainCRF, emissions: Tensor, tags: tuple[int, ...]) -> Tensor:
    """Add up the score of one path through one sentence, term by term."""
    score = torch.zeros((), dtype=torch.float64)
    for position, tag in enumerate(tags):
        score = score + emissions[position, tag]
        score = score + (crf.transitions_CC[tags[position - 1], tag] if position else crf.start_C[tag])
    return score + crf.end_C[tags[-1]] if tags else score


def every_path(crf: LinearChainCRF, emissions: Tensor) -> tuple[list[tuple[int, ...]], Tensor]:
    paths = list(itertools.product(range(emissions.shape[1]), repeat=len(emissions)))
    return paths, torch.stack([path_score(crf, emissions, path) for path in paths])


def test_log_likelihood_is_the_softmax_over_every_path() -> None:
    crf = field()
    emissions, tags = batch()
    expected = []
    for sentence, gold in zip(emissions.split(LENGTHS), tags.split(LENGTHS), strict=True):
        _, scores = every_path(crf, sentence)
        expected.append(path_score(crf, sentence, tuple(gold.tolist())) - scores.logsumexp(0))
    found = crf.log_likelihood(emissions, tags, LENGTHS)
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-12, atol=1e-12)
    assert found[LENGTHS.index(0)] == 0


def test_gradients_are_those_of_the_sum_over_every_path() -> None:
    crf = field()
    emissions, tags = batch()
    emissions.requires_grad_()
    inputs = [emissions, *crf.parameters()]
    expected = torch.zeros((), dtype=torch.float64)
    for sentence, gold in zip(emissions.split(LENGTHS), tags.split(LENGTHS), strict=True):
        _, scores = every_path(crf, sentence)
        expected = expected + path_score(crf, sentence, tuple(gold.tolist())) - scores.logsumexp(0)
    found = crf.log_likelihood(emissions, tags, LENGTHS).sum()
    for ours, theirs in zip(
        torch.autograd.grad(found, inputs), torch.autograd.grad(expected, inputs), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


def test_gradients_pass_gradcheck() -> None:
    crf = field(classes=2)
    lengths = [3, 0, 1, 2]
    emissions, tags = batch(lengths, classes=2)
    inputs = (emissions.requires_grad_(), *crf.parameters())
    assert torch.autograd.gradcheck(lambda *_: crf.log_likelihood(emissions, tags, lengths), inputs)


def test_decode_finds_the_best_of_every_path() -> None:
    for seed in range(10):
        crf = field(seed=seed)
        emissions, _ = batch(seed=seed + 50)
        decoded = crf.decode(emissions, LENGTHS)
        for sentence, found in zip(emissions.split(LENGTHS), decoded, strict=True):
            paths, scores = every_path(crf, sentence)
            assert tuple(found) == paths[int(scores.argmax())]


def test_constrained_decode_finds_the_best_of_the_allowed_paths() -> None:
    labels = ["O", "B-X", "I-X", "I-Y", "B-Y"]
    lengths = [4, 1, 0, 3]
    allowed, start = (torch.from_numpy(mask) for mask in allowed_transitions(labels))
    changed = 0
    for seed in range(10):
        crf = field(classes=5, seed=seed)
        emissions, _ = batch(lengths, classes=5, seed=seed + 50)
        free = crf.decode(emissions, lengths)
        decoded = crf.decode(emissions, lengths=lengths, allowed_CC=allowed, allowed_start_C=start)
        changed += free != decoded
        for sentence, found in zip(emissions.split(lengths), decoded, strict=True):
            paths, scores = every_path(crf, sentence)
            legal = [
                all(start[tag] for tag in path[:1])
                and all(allowed[a, b] for a, b in itertools.pairwise(path))
                for path in paths
            ]
            scores = scores.masked_fill(~torch.tensor(legal), -torch.inf)
            assert tuple(found) == paths[int(scores.argmax())]
    assert changed > 3


def test_marginals_are_those_of_every_path_and_sum_to_one() -> None:
    crf = field()
    emissions, _ = batch()
    marginals = crf.marginals(emissions, LENGTHS)
    torch.testing.assert_close(marginals.sum(1), torch.ones(sum(LENGTHS), dtype=torch.float64))
    for sentence, found in zip(emissions.split(LENGTHS), marginals.split(LENGTHS), strict=True):
        paths, scores = every_path(crf, sentence)
        expected = torch.zeros_like(sentence)
        for path, probability in zip(paths, scores.softmax(0).detach(), strict=True):
            for position, tag in enumerate(path):
                expected[position, tag] += probability
        torch.testing.assert_close(found, expected)


def test_marginals_work_inside_inference_mode_and_leave_no_gradient() -> None:
    crf = field()
    expected = crf.marginals(batch()[0], LENGTHS)
    with torch.inference_mode():
        found = crf.marginals(batch()[0], LENGTHS)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert not expected.requires_grad
    assert all(parameter.grad is None for parameter in crf.parameters())


def test_packed_neighbours_do_not_change_a_sentence() -> None:
    crf = field()
    emissions, tags = batch()
    emissions.requires_grad_()
    together = crf.log_likelihood(emissions, tags, LENGTHS)
    decoded = crf.decode(emissions, LENGTHS)
    (slope,) = torch.autograd.grad(together.sum(), emissions)
    starts = [0, *itertools.accumulate(LENGTHS)]
    for number, length in enumerate(LENGTHS):
        part = slice(starts[number], starts[number] + length)
        own = emissions[part].detach().requires_grad_()
        alone = crf.log_likelihood(own, tags[part], lengths=[length])
        torch.testing.assert_close(alone[0], together[number], rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(
            torch.autograd.grad(alone.sum(), own)[0], slope[part], rtol=1e-12, atol=1e-13
        )
        assert crf.decode(own, [length]) == [decoded[number]]


def test_an_untrained_field_is_a_softmax_for_each_token() -> None:
    emissions, tags = batch()
    crf = LinearChainCRF(CLASSES)
    each = emissions.log_softmax(1).gather(1, tags[:, None])[:, 0]
    expected = torch.stack([part.sum() for part in each.split(LENGTHS)])
    torch.testing.assert_close(crf.log_likelihood(emissions, tags, LENGTHS), expected)
    assert crf.decode(emissions, LENGTHS) == [part.tolist() for part in emissions.argmax(1).split(LENGTHS)]


def test_the_field_learns_what_emissions_cannot_say() -> None:
    # Tags go round 0 1 2 0 1 2 from a tag that the first emission names; all later emissions are silent.
    lengths = [5, 7, 6]
    tags = torch.cat([(torch.arange(length) + first) % 3 for first, length in enumerate(lengths)])
    emissions = torch.zeros(sum(lengths), 3)
    for first, position in enumerate([0, 5, 12]):
        emissions[position, first] = 4.0
    crf = LinearChainCRF(3)
    optimizer = torch.optim.Adam(crf.parameters(), lr=0.3)
    for _ in range(40):
        optimizer.zero_grad()
        (-crf.log_likelihood(emissions, tags, lengths).sum()).backward()
        optimizer.step()
    assert crf.decode(emissions, lengths) == [part.tolist() for part in tags.split(lengths)]
    assert torch.equal(crf.transitions_CC.argmax(1), torch.tensor([1, 2, 0]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_emissions_are_computed_in_float32(dtype: torch.dtype) -> None:
    crf = LinearChainCRF(CLASSES)
    crf.load_state_dict(field().state_dict())
    emissions, tags = batch()
    emissions = (8 * emissions).to(dtype)
    found = crf.log_likelihood(emissions, tags, LENGTHS)
    assert found.dtype == torch.float32
    exact = field().log_likelihood(emissions.double(), tags, LENGTHS)
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-5)
    # The parameters may be in low precision too (a whole model moved to it).
    assert crf.to(dtype).log_likelihood(emissions, tags, LENGTHS).dtype == torch.float32


def test_large_scores_do_not_overflow() -> None:
    emissions, tags = batch()
    crf = LinearChainCRF(CLASSES)
    found = crf.log_likelihood((1e4 * emissions).float().requires_grad_(), tags, LENGTHS)
    assert found.isfinite().all()
    assert (found <= 0).all()


@pytest.mark.parametrize("lengths", [[], [0], [0, 0, 0]])
def test_nothing_to_tag_is_fine(lengths: list[int]) -> None:
    crf = field()
    nothing, no_tags = torch.zeros(0, CLASSES), torch.zeros(0, dtype=torch.int64)
    found = crf.log_likelihood(nothing, no_tags, lengths)
    assert found.tolist() == [0.0] * len(lengths)
    assert crf.decode(nothing, lengths) == [[] for _ in lengths]
    assert crf.marginals(nothing, lengths).shape == (0, CLASSES)


def test_lengths_may_be_a_tensor() -> None:
    crf = field()
    emissions, tags = batch()
    listed = crf.log_likelihood(emissions, tags, LENGTHS)
    for lengths in (torch.tensor(LENGTHS), torch.tensor(LENGTHS, dtype=torch.int32), np.array(LENGTHS)):
        assert torch.equal(crf.log_likelihood(emissions, tags, lengths), listed)
        assert crf.decode(emissions, lengths) == crf.decode(emissions, LENGTHS)


def test_masks_without_a_path_are_refused() -> None:
    nowhere = torch.zeros(CLASSES, dtype=torch.bool)
    with pytest.raises(InputError, match="leave no path"):
        field().decode(batch()[0], lengths=LENGTHS, allowed_start_C=nowhere)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LinearChainCRF(0), "num_classes is 0"),
        (lambda: field().decode(torch.zeros(3, 5), lengths=[3]), r"\(3, 5\), wanted \(T, 3\)"),
        (lambda: field().decode(torch.zeros(3, 3), lengths=[3, 1]), r"\[3, 1\] sum to 4.*sum to 3 tokens"),
        (lambda: field().decode(torch.zeros(3, 3), lengths=[4, -1]), r"\[4, -1\]"),
        (
            lambda: field().log_likelihood(torch.zeros(3, 3), torch.zeros(2).long(), lengths=[3]),
            r"\(2,\).*of 3",
        ),
        (
            lambda: field().decode(torch.zeros(1, 3), lengths=[1], allowed_CC=torch.ones(2, 2).bool()),
            r"\(2, 2\)",
        ),
        (lambda: field().decode(torch.zeros(1, 3), lengths=[1], allowed_start_C=torch.ones(3)), "float32"),
    ],
)
def test_unusable_input_is_named(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("length", [128, 400])
def test_marginals_of_long_sentences_that_are_sure_stay_exact(length):
    torch.manual_seed(0)
    crf = field(classes=9).float()
    emissions = torch.randn(length, 9) - 1
    emissions[torch.arange(length), torch.randint(0, 9, (length,))] += 12
    rough = crf.marginals(emissions, [length])
    exact = crf.double().marginals(emissions.double(), [length])
    assert rough.max() <= 1
    torch.testing.assert_close(rough.double(), exact, atol=3e-5, rtol=0)
    torch.testing.assert_close(exact.sum(1), torch.ones(length, dtype=torch.float64), atol=1e-9, rtol=0)
