"""Approximate search for large indexes: a graph in which a query walks towards its neighbours.

Y. Malkov, D. Yashunin (2018), *Hierarchical Navigable Small World graphs*, as the package faiss has it. A
query meets some hundred vectors in place of all of them; now and then it misses one that exact search finds.
The graph holds a float32 copy of the vectors, so it takes more disk than the exact index that it joins.
"""

from pathlib import Path
from typing import Any

import numpy as np

from minibert.errors import InputError, MissingExtra

GRAPH = "hnsw.faiss"
NEIGHBOURS, BUILD_BREADTH, SEARCH_BREADTH = 32, 200, 128
BLOCK = 65_536  # rows that are added at once


def write_graph(rows_ND: np.ndarray, path: Path) -> None:
    """Build the graph over vectors, by inner product, and write it."""
    faiss = _faiss()
    graph = faiss.IndexHNSWFlat(rows_ND.shape[1], NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = BUILD_BREADTH
    for start in range(0, len(rows_ND), BLOCK):
        graph.add(np.ascontiguousarray(rows_ND[start : start + BLOCK], np.float32))
    faiss.write_index(graph, str(path))


def read_graph(path: Path, count: int) -> Any:
    """Open a graph; raises InputError where it is missing, damaged or of another number of vectors."""
    faiss = _faiss()
    try:
        graph = faiss.read_index(str(path))
    except RuntimeError as error:
        raise InputError(f"{path}: missing or damaged; build the index anew") from error
    if graph.ntotal != count:
        raise InputError(f"{path}: {graph.ntotal} vectors where {count} are wanted; build the index anew")
    return graph


def walk(graph: Any, queries_QD: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and rows, both (Q, K); a row that was not found is left out at the end of all lines."""
    graph.hnsw.efSearch = max(SEARCH_BREADTH, top_k)
    scores_QK, rows_QK = graph.search(np.ascontiguousarray(queries_QD), min(top_k, graph.ntotal))
    found = int((rows_QK >= 0).sum(1).min(initial=rows_QK.shape[1]))
    return scores_QK[:, :found], rows_QK[:, :found]


def check_faiss() -> None:
    """Raise MissingExtra where faiss is not installed."""
    _faiss()


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtra(
            "approximate search needs faiss: pip install 'minibert-encoder[faiss]', or build an exact index"
        ) from error
    return faiss
