"""Two rankings made one: by hand, and with an index of which each half finds what the other misses."""

import numpy as np
import pytest
import tiny_runs

import minibert as mb
from minibert.embedding.bm25 import BM25
from minibert.embedding.fusion import fuse, hybrid_search
from minibert.embedding.index import build_index

TEXTS = [f"{tiny_runs.sentence(number)} No {number}." for number in range(200)]


def test_reciprocal_ranks_by_hand():
    found = fuse([["a", "b", "c"], ["c", "a", "d"]], constant=1)
    assert found == [
        ("a", pytest.approx(1 / 2 + 1 / 3)),
        ("c", pytest.approx(1 / 4 + 1 / 2)),
        ("b", pytest.approx(1 / 3)),
        ("d", pytest.approx(1 / 4)),
    ]
    assert fuse([]) == fuse([[], []]) == []


def test_equal_scores_keep_one_order():
    assert [name for name, _ in fuse([[7, 3], [3, 7]])] == [3, 7]


def test_words_and_vectors_are_searched_together(tmp_path):
    encoder = mb.load_encoder(tiny_runs.make_encoder(tmp_path / "enc"))
    index = build_index(encoder, TEXTS, tmp_path / "idx", dtype="float32")
    assert list(index.texts()) == TEXTS
    query, words = "which has No 137", BM25(index.texts())
    vectors = encoder.embed([query])
    [hits] = hybrid_search(index, words, [query], vectors, top_k=5)
    near = index.nearest(vectors, 100)[1][0].tolist()
    by_words = [row for row, _ in words.search(query, 100)]
    assert by_words[0] == 137
    wanted = fuse([near, by_words])[:5]
    assert [(hit.row, hit.score) for hit in hits] == wanted
    assert [hit.text for hit in hits] == [TEXTS[row] for row, _ in wanted]
    [nothing] = hybrid_search(index, words, ["zzz"], encoder.embed(["zzz"]), top_k=3)
    assert [hit.row for hit in nothing] == index.nearest(encoder.embed(["zzz"]), 3)[1][0].tolist()
    assert np.isclose(nothing[0].score, 1 / 61)
