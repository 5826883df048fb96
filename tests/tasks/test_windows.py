"""Which tokens of a long text a model is shown."""

import pytest

from minibert.tasks.windows import fit_text


@pytest.mark.parametrize("pair", [None, "a b c"])
def test_the_head_and_the_tail_of_a_long_text_stay(english, pair):
    text = " ".join(f"word{number}" for number in range(40))
    whole = english.encode(text)
    room = (
        20 - english.special_count(pair=pair is not None) - (0 if pair is None else len(english.encode(pair)))
    )
    [window] = fit_text(english, text, pair, max_length=20, on_long="head_tail")
    assert len(window) == 20
    mine = window[(window.words >= 0) & (window.segments == 0)]
    kept = [*range(room // 4), *range(len(whole) - room + room // 4, len(whole))]
    assert mine.ids.tolist() == whole.ids[kept].tolist()
    assert mine.offsets.tolist() == whole.offsets[kept].tolist()
    assert mine.offsets[-1, 1] == len(text)
    if pair is not None:
        second = window[(window.words >= 0) & (window.segments == 1)]
        assert second.ids.tolist() == english.encode(pair).ids.tolist()


@pytest.mark.parametrize("on_long", ["truncate", "head_tail"])
def test_a_text_that_just_fits_is_left_alone(english, on_long):
    text = "alpha beta gamma delta"
    longest = len(english.encode(text)) + english.special_count()
    [window] = fit_text(english, text, None, max_length=longest, on_long=on_long)
    assert window.ids.tolist() == english.build(english.encode(text)).ids.tolist()
