"""Greedy and beam search on models small enough to try every sequence there is."""

import itertools
import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from minibert.errors import InputError
from minibert.model.generation import Generation, Written, beam_search, generate, greedy, repeats

START, END, VOCABULARY = 4, 0, 5


@dataclass(frozen=True)
class Path:
    """Everything that was written, and the source of each row: a state that forgets nothing."""

    ids: Tensor
    sources: Tensor
    beams: int

    def select(self, rows: Tensor, sources: list[int] | None = None) -> "Path":
        kept = self.sources.view(-1, self.beams)
        kept = kept if sources is None else kept[sources]
        assert len(rows) == kept.numel()
        assert torch.equal(self.sources[rows], kept.flatten()), "a row went over to another source"
        return Path(self.ids[rows], kept.flatten(), self.beams)


def start(sources: int, beams: int) -> Path:
    return Path(
        torch.zeros(sources * beams, 0, dtype=torch.int64),
        torch.arange(sources).repeat_interleave(beams),
        beams,
    )


class Odd:
    """A model whose next token depends on all tokens so far, in an arbitrary way, and on the source."""

    def __init__(self, seed: int, sharpness: float = 2.0) -> None:
        self.seed, self.sharpness = seed, sharpness
        self.rows: list[int] = []

    def next(self, source: int, ids: tuple[int, ...]) -> Tensor:
        number = hash((self.seed, source, ids)) % 2**31
        draws = torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(number))
        return (self.sharpness * draws).log_softmax(-1)

    def __call__(self, ids: Tensor, state: Path) -> tuple[Tensor, Path]:
        state = Path(torch.cat([state.ids, ids[:, None]], dim=1), state.sources, state.beams)
        self.rows.append(len(ids))
        rows = zip(state.sources.tolist(), state.ids.tolist(), strict=True)
        return torch.stack([self.next(source, tuple(path[1:])) for source, path in rows]), state

    def log_p(self, source: int, ids: tuple[int, ...]) -> float:
        """Return log p of a sequence with its end."""
        return sum(float(self.next(source, ids[:i])[token]) for i, token in enumerate(ids))


def every_sequence(limit: int) -> list[tuple[int, ...]]:
    """Return all ended sequences of at most `limit` tokens; START may be written like any other."""
    letters = [token for token in range(VOCABULARY) if token != END]
    return [(*body, END) for length in range(limit) for body in itertools.product(letters, repeat=length)]


def lp(length: int, exponent: float) -> float:
    return ((5 + length) / 6) ** exponent


def plain_greedy(model: Odd, source: int, limit: int) -> tuple[int, ...]:
    ids: tuple[int, ...] = ()
    while len(ids) < limit - 1:
        token = int(model.next(source, ids).argmax())
        if token == END:
            return ids
        ids = (*ids, token)
    return ids


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 6))
def test_greedy_takes_the_likeliest_token_and_a_beam_of_one_does_the_same(seed, sources, limit):
    limits = [limit + number for number in range(sources)]
    how = Generation(max_length=20)
    mine = greedy(Odd(seed), start(sources, 1), how, start=START, end=END, limits=limits)
    assert [one.ids for one in mine] == [plain_greedy(Odd(seed), n, limits[n]) for n in range(sources)]
    for source, one in enumerate(mine):
        log_p = Odd(seed).log_p(source, (*one.ids, END))
        assert one.log_p == pytest.approx(log_p, abs=1e-4)
        assert one.score == pytest.approx(log_p / lp(len(one.ids) + 1, 1.0), abs=1e-4)
    beam = beam_search(Odd(seed), start(sources, 1), how, start=START, end=END, limits=limits)
    assert [one.ids for one in beam] == [one.ids for one in mine]
    assert [one.score for one in beam] == pytest.approx([one.score for one in mine], abs=1e-5)


@pytest.mark.parametrize("exponent", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_beam_as_wide_as_the_tree_finds_the_best_sequence_of_all(seed, exponent):
    limit, sources = 3, 2
    model = Odd(seed)
    how = Generation(num_beams=VOCABULARY**limit, length_penalty=exponent, max_length=limit)
    found = generate(
        model, start(sources, how.num_beams), how, start=START, end=END, limits=[limit] * sources
    )
    for source, one in enumerate(found):
        scores = {ids: model.log_p(source, ids) / lp(len(ids), exponent) for ids in every_sequence(limit)}
        best = max(scores, key=scores.__getitem__)
        assert one.ids == best[:-1]
        assert one.score == pytest.approx(scores[best], abs=1e-5)


@given(st.integers(0, 10_000), st.integers(2, 4))
def test_sources_do_not_change_each_other(seed, beams):
    how = Generation(num_beams=beams, max_length=7)
    together = generate(Odd(seed), start(3, beams), how, start=START, end=END, limits=[7, 3, 5])
    for source, limit in enumerate([7, 3, 5]):
        state = Path(torch.zeros(beams, 0, dtype=torch.int64), torch.full((beams,), source), beams)
        (alone,) = generate(Odd(seed), state, how, start=START, end=END, limits=[limit])
        assert alone.ids == together[source].ids
        assert alone.log_p == pytest.approx(together[source].log_p, abs=1e-5)


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 6))
def test_the_probability_that_is_told_is_that_of_the_sequence(seed, beams, limit):
    how = Generation(num_beams=beams, max_length=limit, length_penalty=0.7)
    (one,) = generate(Odd(seed), start(1, beams), how, start=START, end=END, limits=[limit])
    assert len(one.ids) < limit
    assert END not in one.ids
    log_p = Odd(seed).log_p(0, (*one.ids, END))
    assert one.log_p == pytest.approx(log_p, abs=1e-4)
    assert one.score == pytest.approx(log_p / lp(len(one.ids) + 1, 0.7), abs=1e-4)


def test_sources_that_are_done_leave_the_batch():
    model = Odd(3)
    generate(model, start(4, 1), Generation(), start=START, end=END, limits=[1, 2, 2, 9])
    assert model.rows[0] == 4
    assert model.rows[1] <= 3
    assert model.rows[2:] == sorted(model.rows[2:], reverse=True)
    assert all(rows <= 1 for rows in model.rows[2:])


def chain(*rows: list[float]) -> "Table":
    return Table(torch.tensor(rows).log())


class Table:
    """A model whose next token depends on the newest alone: row START is the beginning."""

    def __init__(self, log_p: Tensor) -> None:
        self.log_p = log_p

    def __call__(self, ids: Tensor, state: Path) -> tuple[Tensor, Path]:
        return self.log_p[ids], state


def test_a_beam_sees_past_a_first_step_that_greedy_falls_for():
    # After 1 nothing is likely; after 2 the end is sure. p(1, end) = 0.6 * 0.28, p(2, end) = 0.4.
    sure = [1, 0, 0, 0, 0]
    table = chain(sure, [0.28, 0.24, 0.24, 0.24, 0], sure, sure, [0, 0.6, 0.4, 0, 0])
    limits = {"start": START, "end": END, "limits": [6]}
    (short,) = generate(table, start(1, 1), Generation(length_penalty=0.0), **limits)
    (wide,) = generate(table, start(1, 3), Generation(num_beams=3, length_penalty=0.0), **limits)
    assert short.ids == (1,) and short.log_p == pytest.approx(math.log(0.168))
    assert wide.ids == (2,) and wide.log_p == pytest.approx(math.log(0.4))


@pytest.mark.parametrize("beams", [2, 3, 4, 5])
def test_sequences_that_end_early_do_not_end_the_search_of_a_likelier_one(beams):
    # 1 2 3 and the end have 0.96 each; the end stands among the candidates of every step, at 0.01.
    rows = [[0.01] * 5 for _ in range(VOCABULARY)]
    for here, token in ((START, 1), (1, 2), (2, 3), (3, END)):
        rows[here][token] = 0.96
    for exponent in (0.0, 1.0):
        how = Generation(num_beams=beams, length_penalty=exponent)
        (one,) = generate(chain(*rows), start(1, beams), how, start=START, end=END, limits=[9])
        assert one.ids == (1, 2, 3) and one.log_p == pytest.approx(4 * math.log(0.96), abs=1e-5)


@given(st.integers(0, 10_000), st.integers(1, 4), st.floats(0.5, 6.0))
def test_of_plain_probabilities_the_best_is_found_that_a_search_to_the_limit_finds(seed, beams, sharpness):
    """Written down once more without stopping: a probability can only fall, so that nothing is lost by it."""
    model, limit = Odd(seed, sharpness), 7
    how = Generation(num_beams=beams, length_penalty=0.0)
    (found,) = generate(model, start(1, beams), how, start=START, end=END, limits=[limit])
    going: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    ended: list[tuple[float, tuple[int, ...]]] = []
    for length in range(1, limit + 1):
        tokens = [END] if length == limit else range(VOCABULARY)
        more = [
            (log_p + float(model.next(0, ids)[token]), (*ids, token))
            for log_p, ids in going
            for token in tokens
        ]
        more.sort(reverse=True)
        ended += [one for one in more[:beams] if one[1][-1] == END]
        going = [one for one in more[: 2 * beams] if one[1][-1] != END][:beams]
    assert found.log_p == pytest.approx(max(ended)[0], abs=1e-4)


def test_a_higher_length_penalty_prefers_the_longer_of_two():
    # ln p(end) = -0.69 for 1 token, ln p(1, 1, 1, end) = ln(0.5 * 0.6 * 0.6 * 0.4) = -2.63 for 4: with the
    # exponent 6 the latter is divided by (9 / 6)^6 = 11.4.
    sure = [1, 0, 0, 0, 0]
    table = chain(sure, [0.4, 0.6, 0, 0, 0], sure, sure, [0.5, 0.5, 0, 0, 0])
    lengths = []
    for exponent in (0.0, 6.0):
        how = Generation(num_beams=4, length_penalty=exponent)
        (one,) = generate(table, start(1, 4), how, start=START, end=END, limits=[4])
        lengths.append(len(one.ids))
    assert lengths == [0, 3]


@given(st.integers(0, 10_000), st.sampled_from([1, 3]))
def test_min_length_and_n_grams_are_kept(seed, beams):
    how = Generation(num_beams=beams, max_length=9, min_length=5, no_repeat_ngram_size=2)
    for one in generate(Odd(seed, 0.5), start(2, beams), how, start=START, end=END, limits=[9, 9]):
        assert 5 <= len(one.ids) <= 8
        pairs = list(itertools.pairwise(one.ids))
        assert len(set(pairs)) == len(pairs)


def test_a_limit_wins_over_min_length():
    how = Generation(max_length=9, min_length=5)
    (one,) = generate(Odd(1), start(1, 1), how, start=START, end=END, limits=[3])
    assert len(one.ids) == 2


@pytest.mark.parametrize("beams", [1, 3])
def test_weights_that_are_no_numbers_still_give_a_sequence_for_each_source(beams):
    model = Table(torch.full((VOCABULARY, VOCABULARY), math.nan))
    how = Generation(max_length=4, num_beams=beams)
    assert len(generate(model, start(2, beams), how, start=START, end=END, limits=[4, 4])) == 2


def test_no_source_gives_no_sequence():
    for beams in (1, 2):
        how = Generation(num_beams=beams)
        assert generate(Odd(0), start(0, beams), how, start=START, end=END, limits=[]) == []


@pytest.mark.parametrize(
    "size, wanted", [(1, {1, 2, 3}), (2, {2, 3}), (3, {2, 3}), (4, set()), (5, set()), (9, set())]
)
def test_repeats_are_what_would_complete_an_n_gram_again(size, wanted):
    assert set(repeats([2, 1, 2, 1, 3, 2, 1], size)) == wanted


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_beams": 0},
        {"max_length": 0},
        {"min_length": -1},
        {"min_length": 128},
        {"no_repeat_ngram_size": -2},
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Generation(**wrong)


def test_a_sequence_is_told_without_its_start_and_its_end():
    assert generate(
        chain(*[[1, 0, 0, 0, 0]] * 5), start(1, 1), Generation(), start=START, end=END, limits=[3]
    ) == [Written((), 0.0, 0.0)]
