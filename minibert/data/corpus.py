"""A tokenized corpus on disk: all documents end to end in one memory-mapped file, and where each begins.

    ids.bin      uint16 (uint32 for vocabularies of more than 65,536), no special tokens
    bounds.npy   (documents + 1,) int64
    corpus.json  the content hash that it was made from, the dtype, the counts; written last

Several processes tokenize, each a stretch of text at a time; this one reads, and writes the ids in the order
of the documents, so the number of processes does not change a byte. Only a few stretches are in memory at
once. A corpus is used again as long as the files and the tokenizer hold the same bytes.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tqdm import tqdm

from minibert.data.files import expand, kind_of
from minibert.data.readers import read_documents
from minibert.data.tokenizing import Laid, tokenize, tokenize_in_processes
from minibert.errors import InputError
from minibert.text.tokenizer import Tokenizer

FORMAT = 1  # part of the content hash: raise it when the same files would give other documents
SMALL = 16 * 2**20  # bytes of files below which this process does without others
IDS, BOUNDS, FACTS = "ids.bin", "bounds.npy", "corpus.json"


@dataclass(frozen=True)
class Corpus:
    """Token ids of documents laid end to end.

    ids     (tokens,) memory-mapped
    bounds  (documents + 1,) int64: document i is ids[bounds[i] : bounds[i + 1]]

    >>> corpus = Corpus(np.array([7, 4, 9, 5]), np.array([0, 3, 4]))
    >>> len(corpus), corpus.tokens, corpus[0].tolist()
    (2, 4, [7, 4, 9])
    """

    ids: np.ndarray
    bounds: np.ndarray

    @staticmethod
    def open(folder: str | Path) -> "Corpus":
        """Open what `build_corpus` made; raises InputError where a file is missing or does not fit."""
        folder = Path(folder)
        facts = read_facts(folder)
        try:
            bounds = np.load(folder / BOUNDS, allow_pickle=False)
            ids = np.memmap(folder / IDS, dtype=facts["dtype"], mode="r")
            fits = len(ids) == facts["tokens"] == bounds[-1] and len(bounds) == facts["documents"] + 1
        except (OSError, EOFError, ValueError, TypeError, KeyError, IndexError) as error:
            raise InputError(f"{folder}: the corpus is damaged: {error}; delete {FACTS} there") from error
        if not fits or bounds[0] != 0 or np.any(np.diff(bounds) < 0):
            raise InputError(
                f"{folder}: {len(ids)} tokens in {IDS}, {bounds[-1]} in {BOUNDS}, not {facts['tokens']}; "
                f"the corpus is damaged; delete {FACTS} there, and it is made anew"
            )
        return Corpus(ids, bounds)

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, document: int) -> np.ndarray:
        if not 0 <= document < len(self):
            raise IndexError(f"document {document} of {len(self)}")
        return self.ids[self.bounds[document] : self.bounds[document + 1]]

    @property
    def tokens(self) -> int:
        return int(self.bounds[-1])

    def counts(self, vocab_size: int) -> np.ndarray:
        """Return how often each id occurs, (V,) int64; raises InputError for an id that is not below V."""
        total = np.zeros(vocab_size, dtype=np.int64)
        for start in range(0, self.tokens, 2**22):
            part = np.bincount(self.ids[start : start + 2**22], minlength=vocab_size)
            if len(part) > vocab_size:
                raise InputError(
                    f"the corpus holds id {len(part) - 1}, the vocabulary ends at {vocab_size - 1}: "
                    "it was made with another tokenizer"
                )
            total += part
        return total

    def unigram_entropy(self, vocab_size: int | None = None) -> float:
        """Return the entropy of the tokens in nats: the loss of a model that knows frequencies alone.

        vocab_size  checked against the ids if it is given
        """
        counts = self.counts(int(self.ids.max(initial=0)) + 1 if vocab_size is None else vocab_size)
        shares = counts[counts > 0] / max(1, self.tokens)
        return float(-(shares * np.log(shares)).sum())


def build_corpus(
    files: Sequence[str | Path],
    tokenizer: Tokenizer,
    folder: str | Path,
    *,
    workers: int | None = None,
    text_column: str = "text",
    progress: bool = True,
) -> Corpus:
    """Tokenize corpus files into a folder, or open it if it was made from the same files and tokenizer.

    files     as `expand` takes them, read by `read_documents`
    workers   processes; None takes one for each core, and none but this one for a small corpus
    progress  whether to show a bar on stderr

    Raises InputError for unusable files and where they hold no text.

    >>> corpus = build_corpus(["cats.txt"], tokenizer, "runs/corpus", progress=False)
    >>> len(corpus), tokenizer.decode(corpus[0])
    (2, 'The cat sat.')
    """
    folder, paths = Path(folder), expand(files)
    if workers is not None and workers < 1:
        raise InputError(f"workers {workers} must be at least 1; leave it out for one on each core")
    with TemporaryDirectory() as temporary:
        saved = Path(temporary)
        tokenizer.save(saved)
        source = fingerprint(paths, saved, text_column)
        if (folder / FACTS).is_file() and read_facts(folder).get("source") == source:
            return Corpus.open(folder)
        is_small = sum(path.stat().st_size for path in paths) < SMALL
        processes = workers or (1 if is_small else os.cpu_count() or 1)
        with tqdm(desc="tokenize", unit=" documents", disable=not progress) as bar:
            documents = read_documents(paths, text_column=text_column)
            tokenized = lay(documents, tokenizer, saved, processes)
            publish(folder, tokenized, source=source, vocab_size=tokenizer.vocab_size, bar=bar)
    return Corpus.open(folder)


def lay(documents: Iterable[str], tokenizer: Tokenizer, saved: Path, processes: int) -> Iterable[Laid]:
    """Tokenize documents in this process, or in several that open the tokenizer `saved` in a folder."""
    if processes == 1:
        return tokenize(documents, tokenizer)
    return tokenize_in_processes(documents, saved, processes)


def source_of(files: Sequence[Path], tokenizer: Tokenizer, text_column: str) -> str:
    """Return the content hash of the corpus that these files and this tokenizer make."""
    with TemporaryDirectory() as saved:
        tokenizer.save(Path(saved))
        return fingerprint(files, Path(saved), text_column)


def fingerprint(files: Sequence[Path], tokenizer: Path, text_column: str) -> str:
    """Hash what decides the ids: the bytes and kinds of the files, and the saved tokenizer."""
    digest = hashlib.sha256(f"{FORMAT} {text_column}".encode())
    for path in [*files, *sorted(tokenizer.iterdir())]:
        digest.update(f"{kind_of(path)} {path.suffix}".encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def publish(
    folder: Path,
    tokenized: Iterable[Laid],
    *,
    source: str,
    vocab_size: int,
    bar: Any = None,
    may_be_empty: bool = False,
) -> None:
    """Write ids and bounds beside their places and rename them; the facts, which make them a corpus, last."""
    folder.mkdir(parents=True, exist_ok=True)
    dtype = np.dtype(np.uint16 if vocab_size <= 65536 else np.uint32)
    lengths = [np.zeros(1, dtype=np.int64)]
    unfinished = {name: folder / f".{name}.unfinished" for name in (IDS, BOUNDS, FACTS)}
    try:
        with unfinished[IDS].open("wb") as file:
            for ids, sizes in tokenized:
                file.write(ids.astype(dtype).tobytes())
                lengths.append(sizes)
                if bar is not None:
                    bar.update(len(sizes))
        bounds = np.cumsum(np.concatenate(lengths))
        if bounds[-1] == 0 and not may_be_empty:
            raise InputError("the corpus files hold no text; a corpus needs at least one document")
        with unfinished[BOUNDS].open("wb") as file:
            np.save(file, bounds, allow_pickle=False)
        facts = {
            "source": source,
            "dtype": dtype.name,
            "tokens": int(bounds[-1]),
            "documents": len(bounds) - 1,
        }
        unfinished[FACTS].write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        # Without its facts, what an earlier corpus left is no corpus: a halt between renames mixes nothing.
        (folder / FACTS).unlink(missing_ok=True)
        for name, path in unfinished.items():
            path.replace(folder / name)
    finally:
        for path in unfinished.values():
            path.unlink(missing_ok=True)


def read_facts(folder: Path) -> dict[str, Any]:
    path = folder / FACTS
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder}: no corpus: {path} is missing; make one with build_corpus") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}; delete it") from error
    if not isinstance(facts, dict):
        raise InputError(f"{path}: {facts!r:.60} is not an object; delete it")
    return facts
