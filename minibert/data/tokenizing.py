"""Tokenizing a stream of documents, in this process or in several, in bounded memory and in order.

On Linux the processes are forked: they start at once, and a script need not hide its work behind
`if __name__ == "__main__"`. A child does nothing but tokenize, so the threads and locks that a fork leaves
behind do not matter to it. Elsewhere they are spawned.
"""

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from minibert.errors import InputError
from minibert.text.loading import load_tokenizer
from minibert.text.tokenizer import Tokenizer

STRETCH = 2**20  # characters that are tokenized together
WAITING = 2  # stretches under way for each process
Laid = tuple[np.ndarray, np.ndarray]  # ids end to end, and the length of each document


def tokenize(documents: Iterable[str], tokenizer: Tokenizer) -> Iterator[Laid]:
    """Yield ids and lengths of stretches of documents, in order.

    ids      (tokens of the stretch,) int32
    lengths  (documents of the stretch,) int64
    """
    for texts in stretches(documents):
        yield _lay(tokenizer.encode_ids(texts))


def tokenize_in_processes(documents: Iterable[str], folder: Path, workers: int) -> Iterator[Laid]:
    """Yield what `tokenize` does, from several processes that open the tokenizer saved in `folder`."""
    texts = stretches(documents)
    context = get_context("fork" if sys.platform == "linux" else "spawn")
    try:
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            waiting: deque[Future[Laid]] = deque()
            waiting.extend(pool.submit(_work, some, folder) for some in islice(texts, WAITING * workers))
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(_work, some, folder) for some in islice(texts, 1))
    except BrokenProcessPool as error:
        raise InputError(
            "a tokenizing process died: out of memory, or the script starts its work without "
            "`if __name__ == '__main__':`; set workers to 1 to do without processes"
        ) from error


def stretches(documents: Iterable[str]) -> Iterator[list[str]]:
    """Gather documents into lists of about `STRETCH` characters."""
    texts: list[str] = []
    size = 0
    for document in documents:
        texts.append(document)
        size += len(document) + 1
        if size > STRETCH:
            yield texts
            texts, size = [], 0
    if texts:
        yield texts


def _lay(documents: Sequence[np.ndarray]) -> Laid:
    return np.concatenate(documents), np.array([len(ids) for ids in documents], dtype=np.int64)


def _work(texts: list[str], folder: Path) -> Laid:
    return _lay(_opened(folder).encode_ids(texts))


@cache
def _opened(folder: Path) -> Tokenizer:
    """Open the tokenizer once in each process."""
    return load_tokenizer(folder)
