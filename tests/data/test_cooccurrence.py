"""Vectors from counts: the counts by hand, the factorisation against torch's own, what company tells."""

import numpy as np
import pytest
import torch

from minibert.data import cooccurrence
from minibert.data.cooccurrence import cooccurrence_vectors, count_companions, truncated_svd
from minibert.data.corpus import Corpus

TWO_DOCUMENTS = Corpus(np.array([1, 2, 1, 3, 3, 2]), np.array([0, 4, 6]))


def counted_by_loops(corpus: Corpus, vocab_size: int, reach: int) -> np.ndarray:
    counts = np.zeros((vocab_size, vocab_size))
    for document in range(len(corpus)):
        ids = corpus[document].tolist()
        for i, token in enumerate(ids):
            for j, companion in enumerate(ids):
                counts[token, companion] += i != j and abs(i - j) <= reach
    return counts


def test_two_small_documents_have_the_hand_computed_counts():
    counts = count_companions(TWO_DOCUMENTS, 4, reach=1)
    # columns: companions from the commonest; 1, 2 and 3 stand there twice each, 0 never
    assert counts[1].tolist() == [0, 2, 1, 0]  # 1 2, 2 1, 1 3
    assert counts[2].tolist() == [2, 0, 1, 0]  # 1 2, 2 1 | 3 2
    assert counts[3].tolist() == [1, 1, 0, 0]  # 1 3 | 3 2, never 3 | 3
    assert counts[0].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("chunk", [1, 7, 50, 1000])
@pytest.mark.parametrize("reach", [1, 3, 5])
def test_counts_are_those_of_the_loops_whatever_the_chunk(monkeypatch, reach, chunk):
    random = np.random.default_rng(7)
    corpus = Corpus(random.integers(0, 13, 211), np.array([0, 2, 2, 50, 53, 211]))
    monkeypatch.setattr(cooccurrence, "CHUNK", chunk)
    monkeypatch.setattr(cooccurrence, "MOST_COMPANIONS", 11)
    found = count_companions(corpus, 17, reach=reach)
    order = np.argsort(-corpus.counts(17), kind="stable")[:11]
    assert np.array_equal(found, counted_by_loops(corpus, 17, reach)[:, order])


def test_only_the_chosen_documents_are_counted():
    chosen = count_companions(TWO_DOCUMENTS, 4, documents=np.array([1]), reach=1)
    assert chosen.sum() == 2  # 3 2 and 2 3
    assert (chosen[1] == 0).all()
    alone = Corpus(np.array([3, 2]), np.array([0, 2]))
    vectors = cooccurrence_vectors(TWO_DOCUMENTS, 4, 3, documents=np.array([1]))
    assert (vectors[[0, 1]] == 0).all()
    torch.testing.assert_close(vectors @ vectors.T, (v := cooccurrence_vectors(alone, 4, 3)) @ v.T)


def test_the_factorisation_is_the_best_there_is():
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(97, 83, generator=generator) * torch.arange(83, 0, -1) ** 2
    vectors = truncated_svd(matrix, 11, seed=0).double()
    u, s, _ = torch.linalg.svd(matrix.double())
    best = u[:, :11] * s[:11].sqrt()
    wanted = best @ best.T
    assert (vectors @ vectors.T - wanted).norm() < 1e-4 * wanted.norm()


def test_tokens_that_keep_the_same_company_are_neighbours():
    random = np.random.default_rng(3)
    animals, tools, deeds, uses = [1, 2, 3], [4, 5, 6], [7, 8], [9, 10]
    documents = [
        [random.choice(first), random.choice(second), 11]
        for _ in range(400)
        for first, second in ((animals, deeds), (tools, uses))
    ]
    corpus = Corpus(np.concatenate(documents), np.arange(0, 3 * len(documents) + 1, 3))
    vectors = torch.nn.functional.normalize(cooccurrence_vectors(corpus, 13, 5))
    likeness = vectors @ vectors.T
    assert likeness[1, 2] > 0.9
    assert likeness[4, 6] > 0.9
    assert likeness[1, 4] < 0.5
    assert (vectors[[0, 12]] == 0).all()


def test_the_same_corpus_gives_the_same_vectors_and_small_ones_are_filled_up():
    first, second = (cooccurrence_vectors(TWO_DOCUMENTS, 5, 16) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (5, 16)
    assert first.isfinite().all()
