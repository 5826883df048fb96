"""Rows that come one chunk after the other, into a .npy file that NumPy opens.

The header says how many rows there are, which a stream does not know before its end: it is written first with
none, and last with all, over itself. NumPy keeps room for that (`numpy.lib.format`). The file is whole or
absent: it grows beside its place and is renamed into it.

Letters: N rows, D columns.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np


def write_rows(path: Path, parts: Iterable[np.ndarray], columns: int) -> int:
    """Write parts (n, D) of float32 below each other into one file (N, D); return N.

    >>> write_rows(Path("v.npy"), (np.full((2, 3), number, np.float32) for number in range(2)), 3)
    4
    >>> np.load("v.npy")[:, 0].tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    beside = path.with_name(f".{path.name}-{os.getpid()}")
    count = 0
    try:
        with beside.open("wb") as file:
            _write_header(file, 0, columns)
            first = file.tell()
            for part in parts:
                file.write(np.ascontiguousarray(part, "<f4").data)
                count += len(part)
            file.seek(0)
            _write_header(file, count, columns)
            assert file.tell() == first
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return count


def _write_header(file: IO[bytes], rows: int, columns: int) -> None:
    shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, columns)}
    np.lib.format.write_array_header_1_0(file, shape)
