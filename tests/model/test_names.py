"""Patterns name parts of a model; one that names nothing is told what there is."""

import pytest

from minibert.errors import InputError
from minibert.model.names import matches, matching

NAMES = ["embeddings.token", "blocks.0.attention.qkv", "blocks.10.attention.qkv", "blocks.0.attention_norm"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("attention", NAMES[1:3]),
        ("blocks.0", [NAMES[1], NAMES[3]]),
        ("blocks.1", []),
        ("*norm", NAMES[3:]),
        ("blocks.*.qkv", []),
        ("blocks.*.*.qkv", NAMES[1:3]),
        ("embeddings", NAMES[:1]),
    ],
)
def test_a_pattern_is_a_run_of_whole_parts(pattern, found):
    assert [name for name in NAMES if matches(name, pattern)] == found


def test_names_keep_their_order_and_come_once():
    assert matching(NAMES, ["qkv", "blocks.0"], setting="freeze") == NAMES[1:]


def test_a_pattern_that_names_nothing_tells_the_nearest_and_the_setting():
    with pytest.raises(InputError, match=r"freeze 'embedings' names nothing here; did you mean embeddings"):
        matching(NAMES, ["qkv", "embedings"], setting="freeze")
