"""A start for the token table: vectors of tokens, from which tokens stand near which.

Two tokens are alike if they keep the same company. How much more often than by chance token t stands within
`reach` places of token c is the positive pointwise mutual information (Levy and Goldberg, 2014, "Neural Word
Embedding as Implicit Matrix Factorization")::

    M[t, c] = max(0, ln(P(c | t) / P(c)))       P(c): counts to the power 3/4, to temper rare companions

The best picture of M in few dimensions is its truncated singular value decomposition M ~ U S V', found by
random projection (Halko et al., 2011), and the vectors are U sqrt(S). A table that begins with these vectors
knows at the first step of pretraining what one that begins with noise has to learn by gradients, above all
about rare words. One pass over the corpus; M itself is held in memory, 4 V C bytes, twice for a moment.

Letters: V vocabulary, C companions (the commonest tokens), D size of the vectors.
"""

import numpy as np
import torch
from torch import Tensor

from minibert.data.corpus import Corpus

CHUNK = 2**22  # tokens counted at a time
MOST_COMPANIONS = 8192
TEMPER = 0.75
OVERSAMPLING, ROUNDS = 32, 3


def cooccurrence_vectors(
    corpus: Corpus,
    vocab_size: int,
    size: int,
    *,
    documents: np.ndarray | None = None,
    reach: int = 4,
    seed: int = 0,
) -> Tensor:
    """Return a vector for every token, (V, D) float32; zero for a token that was not met.

    documents  numbers of the documents that are counted; None is all of them
    reach      how many places apart two tokens count as company, either way, within one document
    """
    counts_VC = torch.from_numpy(count_companions(corpus, vocab_size, documents=documents, reach=reach))
    total_V1 = counts_VC.sum(1, keepdim=True)
    shares_C = counts_VC.sum(0) ** TEMPER
    shares_C /= shares_C.sum().clamp(min=1)
    surprise_VC = counts_VC.div_((total_V1 * shares_C).clamp_(min=1e-30)).clamp_(min=1).log_()
    return truncated_svd(surprise_VC, size, seed=seed) * (total_V1 > 0)


def count_companions(
    corpus: Corpus, vocab_size: int, *, documents: np.ndarray | None = None, reach: int
) -> np.ndarray:
    """Count how often each token (V) stands near each of the commonest tokens (C), (V, C) float32."""
    chosen = np.isin(np.arange(len(corpus)), np.arange(len(corpus)) if documents is None else documents)
    frequency_V = corpus.counts(vocab_size)
    companions = np.argsort(-frequency_V, kind="stable")[:MOST_COMPANIONS]
    column_V = np.full(vocab_size, -1)
    column_V[companions] = np.arange(len(companions))
    counts_VC = np.zeros((vocab_size, len(companions)), dtype=np.float32)
    flat = counts_VC.reshape(-1)
    for start in range(0, corpus.tokens, CHUNK):
        ids = corpus.ids[start : start + CHUNK + reach].astype(np.int64)
        document = np.searchsorted(corpus.bounds, np.arange(start, start + len(ids)), side="right") - 1
        for distance in range(1, reach + 1):
            left, right = ids[:-distance][:CHUNK], ids[distance:][:CHUNK]
            together = (document[:-distance] == document[distance:])[:CHUNK]
            together &= chosen[document[:-distance][:CHUNK]]
            for token, companion in ((left, right), (right, left)):
                counted = together & (column_V[companion] >= 0)
                cells = token[counted] * len(companions) + column_V[companion[counted]]
                np.add.at(flat, cells, np.float32(1))
    return counts_VC


def truncated_svd(matrix_VC: Tensor, size: int, *, seed: int) -> Tensor:
    """Return U sqrt(S) of the largest `size` singular values, (V, size)."""
    generator = torch.Generator().manual_seed(seed)
    width = min(size + OVERSAMPLING, *matrix_VC.shape)
    basis_VW = matrix_VC @ torch.randn(matrix_VC.shape[1], width, generator=generator)
    for _ in range(ROUNDS):
        basis_VW = torch.linalg.qr(matrix_VC @ (matrix_VC.T @ basis_VW)).Q
    left_WW, values_W, _ = torch.linalg.svd(basis_VW.T @ matrix_VC, full_matrices=False)
    vectors = (basis_VW @ left_WW * values_W.sqrt())[:, :size]
    return torch.nn.functional.pad(vectors, (0, size - vectors.shape[1]))
