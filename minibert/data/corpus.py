"""A tokenized corpus on disk: all documents end to end in one memory-mapped file, and where each begins.

    ids.bin      uint16 (or uint32 for large vocabularies), no special tokens
    bounds.npy   (documents + 1,) int64
    corpus.json  the content hash that it was made from, the dtype, the counts

It is made by several processes, each working on a stretch of the documents, and used again as long as the
files and the tokenizer are the same. Only a few batches of text are in memory at any time.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tqdm import tqdm

from minibert.checkpoint import published, read_json, write_json
from minibert.data.readers import read_documents
from minibert.errors import InputError
from minibert.text.loading import load_tokenizer
from minibert.text.tokenizer import Tokenizer

BATCH = 2048
SMALL = 8 * 2**20


@dataclass(frozen=True)
class Corpus:
    """Token ids of documents laid end to end.

    ids     (tokens,) memory-mapped
    bounds  (documents + 1,) int64: document i is ids[bounds[i] : bounds[i + 1]]
    """

    ids: np.ndarray
    bounds: np.ndarray

    @staticmethod
    def open(folder: str | Path) -> "Corpus":
        """Open what `build_corpus` made; raises InputError where a file is missing or does not fit."""
        folder = Path(folder)
        facts = read_json(folder / "corpus.json")
        try:
            bounds = np.load(folder / "bounds.npy", allow_pickle=False)
            ids = np.memmap(folder / "ids.bin", dtype=facts["dtype"], mode="r")
        except (OSError, ValueError) as error:
            raise InputError(f"{folder}: the corpus is damaged: {error}; delete the folder") from error
        if len(ids) != facts["tokens"] or bounds[-1] != len(ids):
            raise InputError(f"{folder}: {len(ids)} tokens, expected {facts['tokens']}; delete the folder")
        return Corpus(ids, bounds)

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, document: int) -> np.ndarray:
        return self.ids[self.bounds[document] : self.bounds[document + 1]]

    @property
    def tokens(self) -> int:
        return int(self.bounds[-1])

    def counts(self, vocab_size: int) -> np.ndarray:
        """Return how often each id occurs, (V,)."""
        total = np.zeros(vocab_size, dtype=np.int64)
        for start in range(0, self.tokens, 2**22):
            total += np.bincount(self.ids[start : start + 2**22], minlength=vocab_size)
        return total

    def unigram_entropy(self, vocab_size: int) -> float:
        """Return the entropy of the tokens in nats: the loss of a model that knows frequencies alone."""
        counts = self.counts(vocab_size)
        shares = counts[counts > 0] / max(1, counts.sum())
        return float(-(shares * np.log(shares)).sum())


def build_corpus(
    files: Sequence[Path],
    tokenizer: Tokenizer,
    folder: str | Path,
    *,
    workers: int | None = None,
    text_column: str = "text",
    progress: bool = True,
) -> Corpus:
    """Tokenize corpus files into a folder, or open it if it was made from the same files and tokenizer."""
    folder = Path(folder)
    with TemporaryDirectory() as temporary:
        saved = Path(temporary)
        tokenizer.save(saved)
        source = _fingerprint([*files, *sorted(saved.iterdir())], text_column)
        if (folder / "corpus.json").is_file() and read_json(folder / "corpus.json")["source"] == source:
            return Corpus.open(folder)
        small = sum(path.stat().st_size for path in files) < SMALL
        batches = _batches(read_documents(files, text_column=text_column))
        tokenized = _tokenized(batches, saved, workers=1 if small else workers or os.cpu_count() or 1)
        with (
            tqdm(desc="tokenize", unit=" documents", disable=not progress) as bar,
            published(folder) as beside,
        ):
            facts = _write(beside, tokenized, vocab_size=tokenizer.vocab_size, bar=bar)
            write_json(beside / "corpus.json", {"source": source, **facts})
    return Corpus.open(folder)


def _write(
    folder: Path, tokenized: Iterator[tuple[np.ndarray, np.ndarray]], *, vocab_size: int, bar: Any
) -> dict[str, Any]:
    """Write ids and bounds as they come; return the facts that `Corpus.open` checks."""
    dtype = np.dtype(np.uint16 if vocab_size <= 65536 else np.uint32)
    sizes = [np.zeros(1, dtype=np.int64)]
    with (folder / "ids.bin").open("wb") as file:
        for ids, lengths in tokenized:
            file.write(ids.astype(dtype).tobytes())
            sizes.append(lengths)
            bar.update(len(lengths))
    bounds = np.cumsum(np.concatenate(sizes))
    if bounds[-1] == 0:
        raise InputError("the corpus files hold no text; a corpus needs at least one document")
    np.save(folder / "bounds.npy", bounds, allow_pickle=False)
    return {"dtype": dtype.name, "tokens": int(bounds[-1]), "documents": len(bounds) - 1}


def _fingerprint(files: Sequence[Path], text_column: str) -> str:
    digest = hashlib.sha256(text_column.encode())
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _batches(documents: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(documents, BATCH)):
        yield batch


def _tokenized(
    batches: Iterator[list[str]], folder: Path, *, workers: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (ids, lengths) of each batch in order; a few batches are under way at any time."""
    if workers == 1:
        yield from (_tokenize(batch, folder) for batch in batches)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(_tokenize, batch, folder) for batch in islice(batches, 2 * workers)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(_tokenize, batch, folder) for batch in islice(batches, 1)]


def _tokenize(batch: list[str], folder: Path) -> tuple[np.ndarray, np.ndarray]:
    ids = _opened(folder).encode_ids(batch)
    lengths = np.array([len(document) for document in ids], dtype=np.int64)
    return np.concatenate(ids), lengths


@cache
def _opened(folder: Path) -> Tokenizer:
    """Open the tokenizer once in each process."""
    return load_tokenizer(folder)
