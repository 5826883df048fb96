"""An index on disk: the vectors of many texts, and the texts, found again by a query's vector.

    index.json       how many, how long, which numbers, which similarity, and the encoder's mark
    vectors.bin      (N, D) float16 or float32, row after row, memory-mapped
    documents.jsonl  {"id": ..., "text": ...}, a line for each row
    offsets.bin      (N + 1) int64, where each line begins, so that only what is found is read

Search is exact: every query meets every vector, some thousand rows at a time, so an index larger than memory
works as well; a graph beside the vectors makes it fast and approximate. The folder is whole or absent.
Building reads a stream and holds one chunk of it. The mark is the vector of one fixed text: an encoder that
gives another is not the one that the index was built with.

Letters: N documents, D size of a vector, Q queries, K results.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np

from minibert.checkpoint import published, read_json, write_json
from minibert.embedding.approximate import GRAPH, check_faiss, read_graph, walk, write_graph
from minibert.embedding.documents import Document, numbered
from minibert.embedding.text_encoder import Precision, TextEncoder
from minibert.errors import InputError
from minibert.interop.prompts import OF_DOCUMENTS

SETTINGS, VECTORS, DOCUMENTS, OFFSETS = "index.json", "vectors.bin", "documents.jsonl", "offsets.bin"
BLOCK = 65_536  # rows that are multiplied at once
MARK, MARK_DIGITS = "minibert", 3


@dataclass(frozen=True)
class IndexSettings:
    """What index.json holds."""

    count: int
    size: int
    dtype: str
    similarity: str
    mark: list[float]
    kind: str = "exact"
    format: int = 1


@dataclass(frozen=True)
class Hit:
    """One found document: its row, its id, its text, and its similarity to the query."""

    row: int
    id: str
    text: str
    score: float


def build_index(
    encoder: TextEncoder,
    documents: Iterable[Document | str],
    folder: str | Path,
    *,
    dtype: Literal["float16", "float32"] = "float16",
    similarity: Literal["cosine", "dot"] = "cosine",
    precision: Precision = "fp32",
    kind: Literal["exact", "hnsw"] = "exact",
    prompt: str | None = None,
) -> "Index":
    """Embed documents and write an index; one that stands at `folder` is replaced when all is done.

    documents  any iterable, of texts (their ids are 0, 1, ...) or of Documents; it is read once
    dtype      of the vectors on disk; they are computed in precision
    kind       "hnsw" adds a graph for fast search, for millions of documents; it needs faiss
    prompt     words put before each document; without them those of the checkpoint for documents, if any
    Raises InputError for an id that comes twice, for an empty text, and where no document came.

    >>> from minibert.embedding.loading import load_encoder
    >>> encoder = load_encoder("runs/clf")
    >>> index = build_index(encoder, ["a warm film", "a dull plot"], "idx")
    >>> [hit.text for hit in index.search(encoder.embed(["a dull plot"]), top_k=1)[0]]
    ['a dull plot']
    """
    _check_choices(dtype=dtype, similarity=similarity, kind=kind)
    normalize, before = similarity == "cosine", encoder.prompts.of_kind(prompt, OF_DOCUMENTS)
    with published(folder) as beside, (beside / VECTORS).open("wb") as rows:
        offsets = [0]
        texts = _kept(documents, beside / DOCUMENTS, offsets)
        for part_ND in encoder.embed_chunks(texts, prompt=before, normalize=normalize, dtype=precision):
            rows.write(np.ascontiguousarray(part_ND, dtype).tobytes())
        rows.flush()
        np.array(offsets, np.int64).tofile(beside / OFFSETS)
        size, mark = encoder.encoder.config.hidden_size, mark_of(encoder, normalize=normalize)
        if kind == "hnsw":
            write_graph(np.memmap(beside / VECTORS, dtype, "r").reshape(-1, size), beside / GRAPH)
        settings = IndexSettings(len(offsets) - 1, size, dtype, similarity, mark, kind)
        write_json(beside / SETTINGS, asdict(settings))
    return Index(folder)


def _check_choices(*, dtype: str, similarity: str, kind: str) -> None:
    wanted = {"dtype": ("float16", "float32"), "similarity": ("cosine", "dot"), "kind": ("exact", "hnsw")}
    given = {"dtype": dtype, "similarity": similarity, "kind": kind}
    for name, value in given.items():
        if value not in wanted[name]:
            raise InputError(f"{name} {value!r} is unknown; use {' or '.join(wanted[name])}")
    if kind == "hnsw":
        check_faiss()


def _kept(documents: Iterable[Document | str], path: Path, offsets: list[int]) -> Iterator[str]:
    """Write each document as it passes, note where its line ends, hand on its text; refuse none at all."""
    with path.open("wb") as file:
        for document in numbered(documents):
            file.write((json.dumps(asdict(document), ensure_ascii=False) + "\n").encode("utf-8"))
            offsets.append(file.tell())
            yield document.text
    if len(offsets) == 1:
        raise InputError("no documents to index; give at least one text")


def mark_of(encoder: TextEncoder, *, normalize: bool) -> list[float]:
    """Return the rounded vector of one fixed text."""
    row = encoder.embed([MARK], normalize=normalize, progress=False)[0]
    return [round(float(number), MARK_DIGITS) for number in row]


@final
class Index:
    """An index that was built; only what a search touches is read.

    Raises InputError where a file is missing, or is not as long as index.json says.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / SETTINGS).is_file():
            raise InputError(
                f"{self.folder} has no {SETTINGS}: it is no index; build one with `minibert index`"
            )
        values = read_json(self.folder / SETTINGS)
        try:
            self.settings = IndexSettings(**values)
            bytes_of = np.dtype(self.settings.dtype).itemsize
        except TypeError as error:
            raise InputError(f"{self.folder / SETTINGS}: not of an index: {error}; build it anew") from error
        count, size = self.settings.count, self.settings.size
        for name, wanted in ((VECTORS, count * size * bytes_of), (OFFSETS, (count + 1) * 8)):
            path = self.folder / name
            found = path.stat().st_size if path.is_file() else 0
            if found != wanted:
                raise InputError(f"{path}: {found:,} bytes where {wanted:,} are wanted; build the index anew")
        self.rows_ND = np.memmap(self.folder / VECTORS, self.settings.dtype, "r", shape=(count, size))
        self.offsets = np.memmap(self.folder / OFFSETS, np.int64, "r")
        self.graph = read_graph(self.folder / GRAPH, count) if self.settings.kind == "hnsw" else None

    def __len__(self) -> int:
        return self.settings.count

    def check(self, encoder: TextEncoder) -> None:
        """Raise InputError where the encoder is not the one that the index was built with."""
        mark = mark_of(encoder, normalize=self.settings.similarity == "cosine")
        same = len(mark) == len(self.settings.mark)
        if not same or not np.allclose(mark, self.settings.mark, atol=2 * 10**-MARK_DIGITS):
            raise InputError(
                f"{self.folder} was built with another encoder than this one; give that one, or build it anew"
            )

    def search(self, queries_QD: np.ndarray, top_k: int = 10) -> list[list[Hit]]:
        """Return the most similar documents of each query's vector, the best first.

        queries_QD  (Q, D) float32, of the same encoder; normed where the similarity is the cosine
        Equal scores keep the order of the documents. Raises InputError for what is no such vector.
        """
        scores_QK, rows_QK = self.nearest(queries_QD, top_k)
        return [
            [Hit(int(row), *self.document(int(row)), float(score)) for row, score in zip(*pair, strict=True)]
            for pair in zip(rows_QK, scores_QK, strict=True)
        ]

    def nearest(self, queries_QD: np.ndarray, top_k: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """Return scores and rows, both (Q, K), of the most similar documents; K is at most N."""
        queries_QD = checked(queries_QD, self.settings.size)
        if not isinstance(top_k, int | np.integer) or top_k < 1:
            raise InputError(f"top_k {top_k!r}: give a whole number of at least 1")
        if self.graph is not None:
            return walk(self.graph, queries_QD, top_k)
        scores_QK = np.zeros((len(queries_QD), 0), np.float32)
        rows_QK = np.zeros((len(queries_QD), 0), np.int64)
        for start in range(0, len(self), BLOCK):
            block_BD = self.rows_ND[start : start + BLOCK].astype(np.float32)
            new_QB = queries_QD @ block_BD.T
            rows_QB = np.broadcast_to(np.arange(start, start + len(block_BD)), new_QB.shape)
            scores_QK, rows_QK = best_of(
                np.concatenate([scores_QK, new_QB], 1), np.concatenate([rows_QK, rows_QB], 1), top_k
            )
        return scores_QK, rows_QK

    def texts(self) -> Iterator[str]:
        """Yield the text of every document, row after row."""
        with (self.folder / DOCUMENTS).open("rb") as file:
            for line in file:
                yield json.loads(line)["text"]

    def document(self, row: int) -> tuple[str, str]:
        """Read the id and the text of one row."""
        start, end = self.offsets[row : row + 2]
        with (self.folder / DOCUMENTS).open("rb") as file:
            file.seek(int(start))
            values: dict[str, Any] = json.loads(file.read(int(end - start)))
        return values["id"], values["text"]


def checked(queries: Any, size: int) -> np.ndarray:
    """Return vectors of queries as float32; raises InputError for what is none, or has another size."""
    try:
        rows = np.asarray(queries, np.float32)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"queries {queries!r:.60}: no vectors; give encoder.embed([...]), not texts"
        ) from error
    if rows.ndim != 2 or rows.shape[1] != size:
        raise InputError(
            f"queries of shape {rows.shape}; (queries, {size}) is wanted, as encoder.embed gives"
        )
    for number in np.flatnonzero(~np.isfinite(rows).all(1))[:1]:
        raise InputError(f"query {number} of {len(rows)} holds NaN or infinity; embed its text anew")
    return rows


def best_of(scores_QN: np.ndarray, rows_QN: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep the highest scores of each line, the best first; of equal ones those that came first.

    >>> best_of(np.array([[1, 3, 3, 2]]), np.array([[7, 8, 9, 10]]), 2)[1].tolist()
    [[8, 9]]
    """
    kept = min(top_k, scores_QN.shape[1])
    chosen: list[np.ndarray] = []
    for scores in scores_QN:
        least = np.partition(scores, len(scores) - kept)[len(scores) - kept]
        above, equal = np.flatnonzero(scores > least), np.flatnonzero(scores == least)
        places = np.sort(np.concatenate([above, equal[: kept - len(above)]]))
        chosen.append(places[np.argsort(-scores[places], kind="stable")])
    places_QK = np.array(chosen, np.int64).reshape(len(scores_QN), kept)
    return np.take_along_axis(scores_QN, places_QK, 1), np.take_along_axis(rows_QN, places_QK, 1)
