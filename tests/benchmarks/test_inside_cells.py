"""The cells of looking inside: every way has its cell, and as many words go whoever chooses them."""

import random
from pathlib import Path

import pytest
from small_models import classifier

from minibert.finetune import Settings

TEXT = "w5 w17 w23 w9 w31 w8 w40 w12 w33 w20"


@pytest.fixture
def inside(benchmark):
    return benchmark("cells_inside")


def test_every_swap_every_way_and_every_update_has_a_cell(inside, benchmark):
    nowhere = Path("nowhere")
    found = list(inside.cells(benchmark("cells").Places(nowhere, nowhere, nowhere, nowhere)))
    assert len({(cell.row, cell.contestant) for cell in found}) == len(found) == 17
    english = list(inside.cells(benchmark("cells").Places(nowhere, nowhere, None, nowhere)))
    assert [cell.row for cell in english] == [cell.row for cell in found[:9]]
    for cell in found:
        Settings.of(cell.recipe)
        assert cell.note


@pytest.mark.parametrize("name", ["integrated gradients", "gradient x input", "at random"])
def test_a_fifth_of_the_words_goes_and_the_rest_keeps_its_order(inside, name):
    left = inside.without(classifier().eval(), TEXT, name, inside.WORD, random.Random(0)).split(" ")
    words = iter(TEXT.split(" "))
    assert len(left) == 8
    assert all(word in words for word in left)


def test_the_word_that_decides_goes_first(inside):
    model = classifier().eval()
    table = model.encoder.embeddings.token.weight.data
    table[5:] *= 0.01
    table[23] *= 1000  # w23
    left = inside.without(model, "w5 w17 w23 w9 w31", "integrated gradients", inside.WORD, random.Random(0))
    other = inside.without(model, "w5 w23 w17 w9 w31", "integrated gradients", inside.WORD, random.Random(0))
    assert "w23" not in (*left.split(), *other.split())


@pytest.mark.parametrize("name", ["integrated gradients", "at random"])
def test_a_word_may_be_a_character(inside, name):
    """Of w5w17w23w9 two of the ten characters go."""
    left = inside.without(classifier().eval(), "w5 w17 w23 w9", name, inside.CHARACTER, random.Random(0))
    assert len(left.replace(" ", "")) == 8
