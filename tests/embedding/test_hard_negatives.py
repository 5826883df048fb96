"""What is mined is wrong, stands high, and is not as similar as what is right."""

import pytest
import tiny_runs

import minibert as mb
from minibert.data.examples import SearchExample
from minibert.embedding.hard_negatives import mine_hard_negatives
from minibert.errors import InputError

PASSAGES = [tiny_runs.sentence(number) for number in range(23)]
SEARCHES = [SearchExample(tiny_runs.sentence(number)[4:13], PASSAGES[number]) for number in range(11)]
SEARCHES.append(SearchExample(SEARCHES[0].text, PASSAGES[12]))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return mb.load_encoder(tiny_runs.make_encoder(tmp_path_factory.mktemp("mining") / "enc"))


@pytest.mark.parametrize("margin", [-2.0, 0.0, 0.02])
@pytest.mark.parametrize("passages", [None, PASSAGES])
def test_negatives_are_the_best_wrong_passages_below_the_margin(encoder, margin, passages):
    mined = mine_hard_negatives(encoder, SEARCHES, passages=passages, negatives=3, margin=margin)
    pool = passages or [search.positive for search in SEARCHES]
    for before, after in zip(SEARCHES, mined, strict=True):
        right = {other.positive for other in SEARCHES if other.text == before.text}
        rows = encoder.embed([before.text, before.positive, *pool])
        limit = rows[0] @ rows[1] - margin
        scored = [(float(rows[0] @ row), text) for row, text in zip(rows[2:], pool, strict=True)]
        wanted = sorted((s, t) for s, t in scored if t not in right and s < limit)[::-1][:3]
        assert (after.text, after.positive) == (before.text, before.positive)
        assert not right & set(after.negatives)
        found = {text: score for score, text in scored}
        assert [found[text] for text in after.negatives] == pytest.approx([s for s, _ in wanted], abs=1e-5)


def test_examples_without_an_answer_are_left_out_and_depth_limits(encoder):
    mined = mine_hard_negatives(encoder, [*SEARCHES, SearchExample("x")], negatives=9, margin=-2, depth=4)
    assert len(mined) == len(SEARCHES)
    assert all(2 <= len(search.negatives) <= 4 for search in mined)


def test_numbers_that_mean_nothing_are_refused(encoder):
    with pytest.raises(InputError, match="negatives 0"):
        mine_hard_negatives(encoder, SEARCHES, negatives=0)
