"""Masking: rates over a million tokens, units that stay whole, and special tokens that stay what they are."""

from itertools import groupby

import numpy as np
import pytest
from fakes import FakeTokenizer
from hypothesis import given
from hypothesis import strategies as st

from minibert.errors import InputError
from minibert.tasks.masking import LONGEST_SPAN, Masker, Masking

VOCABULARY = 503
CLS, SEP, MASK = FakeTokenizer.cls_id, FakeTokenizer.sep_id, FakeTokenizer.mask_id
SPECIAL = 5


def random_for(seed: int, step: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, step]))


def word_tokenizer(share: float = 0.5) -> FakeTokenizer:
    """Return a tokenizer in whose vocabulary this share of the ordinary pieces begins a word."""
    starts = np.arange(VOCABULARY) < SPECIAL + share * (VOCABULARY - SPECIAL)
    return FakeTokenizer(VOCABULARY, word_starts=starts)


def documents(tokens: int, seed: int = 0, longest: int = 97) -> np.ndarray:
    """Return packed documents of ordinary ids, each between [CLS] and [SEP], some of them empty."""
    random = np.random.default_rng(seed)
    ids = random.integers(SPECIAL, VOCABULARY, size=tokens)
    cuts = np.cumsum(random.integers(2, longest, size=tokens))
    cuts = cuts[cuts < tokens - 1]
    ids[[0, *cuts]] = CLS
    ids[[*(cuts - 1), tokens - 1]] = SEP
    return ids


@pytest.fixture(scope="module")
def million() -> np.ndarray:
    return documents(1_000_000)


def within_four_sigma(found: int, trials: int, share: float) -> bool:
    return abs(found - trials * share) <= 4 * np.sqrt(trials * share * (1 - share))


@pytest.mark.parametrize(
    ("mask_share", "random_share"), [(0.8, 0.1), (0.5, 0.3), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)]
)
def test_rates_over_a_million_tokens(million, mask_share, random_share):
    masking = Masking(mask_share=mask_share, random_share=random_share)
    hidden, places = Masker(FakeTokenizer(VOCABULARY), masking)(million, random_for(1), 0.15)
    ordinary = int((million >= SPECIAL).sum())
    assert abs(len(places) - 0.15 * ordinary) <= 1
    assert len(np.unique(places)) == len(places)
    before, after = million[places], hidden[places]
    masked, changed = after == MASK, (after != before) & (after != MASK)
    # A random token is the true one once in every count of ordinary tokens.
    really_random = random_share * (1 - 1 / (VOCABULARY - SPECIAL))
    assert within_four_sigma(int(masked.sum()), len(places), mask_share)
    assert within_four_sigma(int(changed.sum()), len(places), really_random)
    untouched = np.setdiff1d(np.arange(len(million)), places)
    assert (hidden[untouched] == million[untouched]).all()


@pytest.mark.parametrize("unit", ["token", "word", "span"])
def test_special_tokens_are_never_chosen_and_never_drawn(million, unit):
    masking = Masking(unit=unit, mask_share=0.1, random_share=0.9)
    hidden, places = Masker(word_tokenizer(), masking)(million, random_for(2), 0.3)
    assert (million[places] >= SPECIAL).all()
    drawn = hidden[places][hidden[places] != MASK]
    assert (drawn >= SPECIAL).all()
    counts = np.bincount(drawn, minlength=VOCABULARY)[SPECIAL:]
    assert (counts > 0).all()
    assert abs(counts - counts.mean()).max() < 6 * np.sqrt(counts.mean())


def test_every_ordinary_token_is_as_likely_to_be_chosen(million):
    chosen = np.zeros(1009)
    masker = Masker(FakeTokenizer(VOCABULARY), Masking())
    ids = np.full(1009, SPECIAL)
    for step in range(400):
        chosen[masker.choose(ids, random_for(3, step), 0.15)] += 1
    assert abs(chosen - 60).max() < 5 * np.sqrt(400 * 0.15 * 0.85)


@given(st.integers(0, 10**6), st.integers(1, 3000), st.floats(0.01, 0.9))
def test_the_number_of_chosen_tokens_is_exact(seed, size, rate):
    ids = documents(size + 2, seed)
    places = Masker(FakeTokenizer(VOCABULARY), Masking()).choose(ids, random_for(seed), rate)
    assert len(places) == round(rate * int((ids >= SPECIAL).sum()))
    assert (np.diff(places) > 0).all()


def words_of(ids: np.ndarray, starts: np.ndarray) -> list[list[int]]:
    """Return the places of each word, one by one."""
    words: list[list[int]] = []
    for place, token in enumerate(ids):
        if token < SPECIAL:
            continue
        if starts[token] or ids[place - 1] < SPECIAL:
            words.append([])
        words[-1].append(place)
    return words


@pytest.mark.parametrize("unit", ["word", "span"])
def test_words_are_chosen_whole_or_not_at_all(unit):
    tokenizer = word_tokenizer(0.4)
    ids = documents(20_011, seed=5)
    places = set(Masker(tokenizer, Masking(unit=unit)).choose(ids, random_for(5), 0.2).tolist())
    shares = [len(places & set(word)) / len(word) for word in words_of(ids, tokenizer.word_starts)]
    assert set(shares) == {0.0, 1.0}
    assert abs(len(places) / (ids >= SPECIAL).sum() - 0.2) < 0.01


def test_spans_have_the_papers_lengths():
    """SpanBERT: Geo(0.2) over 1 .. 10, mean 3.8; at this rate two spans rarely touch by chance."""
    ids = np.full(1_000_003, SPECIAL)
    ids[[0, -1]] = CLS, SEP
    places = Masker(FakeTokenizer(VOCABULARY), Masking(unit="span")).choose(ids, random_for(6), 0.002)
    runs = [len(list(run)) for _, run in groupby(enumerate(places), key=lambda pair: pair[1] - pair[0])]
    lengths = np.array([run for run in runs if run <= LONGEST_SPAN])
    assert len(lengths) > 0.98 * len(runs)
    law = 0.8 ** np.arange(10)
    mean = float((np.arange(1, 11) * law / law.sum()).sum())
    assert mean == pytest.approx(3.8, abs=0.01)
    assert abs(lengths.mean() - mean) < 5 * lengths.std() / np.sqrt(len(lengths))
    assert set(lengths) == set(range(1, LONGEST_SPAN + 1))


def test_no_span_is_longer_than_its_limit_or_crosses_a_special_token():
    tokenizer = FakeTokenizer(VOCABULARY)
    masker = Masker(tokenizer, Masking(unit="span"))
    ids = documents(10_007, seed=7, longest=23)
    ordinary = np.flatnonzero(ids >= SPECIAL)
    units = masker._units(ids, ordinary, random_for(7))
    for unit in np.split(ordinary, np.flatnonzero(np.diff(units)) + 1):
        assert len(unit) <= LONGEST_SPAN
        assert (np.diff(unit) == 1).all()
    assert units[0] == 0
    assert set(np.diff(units)) == {0, 1}


@pytest.mark.parametrize("unit", ["token", "word", "span"])
def test_masks_are_a_pure_function_of_seed_and_step(unit):
    masker = Masker(word_tokenizer(), Masking(unit=unit))
    ids = documents(1_009)
    kept = ids.copy()
    first = masker(ids, random_for(1, 4), 0.2)
    assert all(np.array_equal(a, b) for a, b in zip(first, masker(ids, random_for(1, 4), 0.2), strict=True))
    assert not np.array_equal(first[1], masker(ids, random_for(1, 5), 0.2)[1])
    assert not np.array_equal(first[1], masker(ids, random_for(2, 4), 0.2)[1])
    assert np.array_equal(ids, kept)


@pytest.mark.parametrize("unit", ["token", "word", "span"])
@pytest.mark.parametrize("ids", [[], [CLS, SEP], [CLS, 9, SEP], [CLS, SEP, CLS, 9, 8, SEP]])
def test_texts_with_almost_nothing_in_them_pass(unit, ids):
    hidden, places = Masker(word_tokenizer(), Masking(unit=unit))(
        np.array(ids, np.int64), random_for(1), 0.15
    )
    assert len(hidden) == len(ids)
    assert len(places) <= 1


@pytest.mark.parametrize("unit", ["word", "span"])
def test_whole_units_need_a_tokenizer_that_tells_words(unit):
    with pytest.raises(InputError, match=unit):
        Masker(FakeTokenizer(VOCABULARY, tells_words=False), Masking(unit=unit))
    Masker(FakeTokenizer(VOCABULARY, tells_words=False), Masking(unit="token"))


def test_the_rate_goes_straight_from_its_start_to_its_end():
    schedule = Masking(mlm_probability=0.3, mlm_probability_end=0.1)
    assert [schedule.rate(progress) for progress in (0.0, 0.25, 0.5, 1.0)] == pytest.approx(
        [0.3, 0.25, 0.2, 0.1]
    )
    assert Masking(mlm_probability=0.3).rate(0.7) == pytest.approx(0.3)


@pytest.mark.parametrize("values", [{"mlm_probability": 1.5}, {"mlm_probability_end": -0.25}])
def test_a_rate_outside_its_range_is_named(values):
    with pytest.raises(InputError, match=str(next(iter(values.values())))):
        Masking(**values)


@pytest.mark.parametrize("shares", [(0.8, 0.3), (-0.3, 0.9), (0.9, -0.3)])
def test_shares_that_are_no_shares_are_named(shares):
    with pytest.raises(InputError, match=f"{shares[0]}.*{shares[1]}"):
        Masking(mask_share=shares[0], random_share=shares[1])
