"""A corpus that the processes of a run tokenize together, on one machine or on many: each some of the files.

    files      a.txt b.txt | c.txt | d.txt e.txt       neighbours, about as many bytes for each process
    process    0           | 1     | 2                 -> corpus/part-0, part-1, part-2
    the first  part-0 + part-1 + part-2                -> corpus, byte for byte what one process writes

A process in its turn has the cores of its machine, shared with the processes beside it. A file is not
divided: one large file is one process's work, so cut a corpus into at least as many files as processes.
"""

import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tqdm import tqdm

from minibert.data.corpus import (
    BOUNDS,
    FACTS,
    IDS,
    SMALL,
    Corpus,
    build_corpus,
    fingerprint,
    lay,
    publish,
    read_facts,
)
from minibert.data.readers import read_documents
from minibert.data.tokenizing import Laid
from minibert.distributed.ranks import Ranks
from minibert.errors import InputError
from minibert.text.tokenizer import Tokenizer

CHUNK = 2**24  # tokens that are copied at once


def build_together(
    files: Sequence[Path],
    tokenizer: Tokenizer,
    folder: Path,
    ranks: Ranks,
    *,
    workers: int | None = None,
    text_column: str = "text",
    progress: bool = True,
) -> Corpus:
    """Tokenize corpus files into a folder that all processes see, or open it; all of them have to call.

    files  those of the first process count
    The rest is as in `build_corpus`, which a small corpus, or one of fewer files than processes, is left to.
    """
    options: Any = {"workers": workers, "text_column": text_column, "progress": progress}
    if ranks.size == 1:
        return build_corpus(files, tokenizer, folder, **options)
    with TemporaryDirectory() as temporary:
        saved = Path(temporary)
        tokenizer.save(saved)
        source = fingerprint(files, saved, text_column) if ranks.first else ""
        if ranks.agree(_is_for_one(files, folder, source, ranks) if ranks.first else None):
            with ranks.first_goes_ahead():
                return (
                    build_corpus(files, tokenizer, folder, **options) if ranks.first else Corpus.open(folder)
                )
        names = ranks.agree([str(path.resolve()) for path in files])
        beside = ranks.gather(platform.node()).count(platform.node())
        processes = workers or max(1, (os.cpu_count() or 1) // beside)
        with tqdm(desc="tokenize", unit=" documents", disable=not progress) as bar:
            mine = read_documents(stretch_of(list(map(Path, names)), ranks), text_column=text_column)
            laid = lay(mine, tokenizer, saved, processes)
            part, size = folder / f"part-{ranks.rank}", tokenizer.vocab_size
            publish(part, laid, source="", vocab_size=size, bar=bar, may_be_empty=True)
    ranks.gather(None)
    if ranks.first:
        join([folder / f"part-{rank}" for rank in range(ranks.size)], folder, source=source, vocab_size=size)
    ranks.gather(None)
    return Corpus.open(folder)


def _is_for_one(files: Sequence[Path], folder: Path, source: str, ranks: Ranks) -> bool:
    """Whether the first process does without the others: it is made already, or hardly worth sharing."""
    is_made = (folder / FACTS).is_file() and read_facts(folder).get("source") == source
    return is_made or len(files) < ranks.size or sum(path.stat().st_size for path in files) < SMALL


def stretch_of(files: Sequence[Path], ranks: Ranks) -> list[Path]:
    """Return the neighbouring files that fall to this process; raises InputError where it cannot see one."""
    for path in files:
        if not path.is_file():
            raise InputError(
                f"{path}: {platform.node()} does not see this file; put the corpus where all machines see it"
            )
    sizes = np.array([path.stat().st_size for path in files])
    middles = np.cumsum(sizes) - sizes / 2
    owners = np.minimum(middles * ranks.size // max(1, sizes.sum()), ranks.size - 1)
    return [path for path, owner in zip(files, owners, strict=True) if owner == ranks.rank]


def join(parts: Sequence[Path], folder: Path, *, source: str, vocab_size: int) -> None:
    """Lay the parts of a corpus end to end, and delete them."""
    publish(folder, _laid(parts), source=source, vocab_size=vocab_size)
    for part in parts:
        shutil.rmtree(part)


def _laid(parts: Sequence[Path]) -> Iterator[Laid]:
    for part in parts:
        bounds = np.load(part / BOUNDS, allow_pickle=False)
        yield np.zeros(0, dtype=np.int32), np.diff(bounds)
        if bounds[-1]:
            ids = np.memmap(part / IDS, dtype=read_facts(part)["dtype"], mode="r")
            for start in range(0, len(ids), CHUNK):
                yield np.asarray(ids[start : start + CHUNK]), np.zeros(0, dtype=np.int64)
