"""Which documents of a corpus are held out for the validation loss, and what is said where that cannot be.

No document is both learnt from and held out, so a corpus of one document has none to hold out. It often is
one by mistake: in a .txt blank lines part the documents, and many files have a text on each line.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minibert.data.files import kind_of, open_text
from minibert.data.rows import ROW_KINDS

LARGEST_SHARE = 20  # a twentieth of the tokens is held out at most


def parted(sizes: np.ndarray, validation_tokens: int) -> tuple[np.ndarray, int]:
    """Return the documents in an order that chance has made, and how many of the first are held out.

    sizes  the tokens of each document

    None are where the first document alone is more than may be held out, or all documents would be.

    >>> parted(np.full(100, 7), 50_000)[1], parted(np.array([700]), 50_000)[1]
    (4, 0)
    """
    order = np.random.default_rng(0).permutation(len(sizes))
    allowed = min(validation_tokens, int(sizes.sum()) // LARGEST_SHARE)
    held = int(np.searchsorted(np.cumsum(sizes[order]), allowed))
    return order, held if held < len(sizes) else 0


def lines_of(files: Sequence[Path]) -> int:
    """Return how many lines with text there are in the files whose documents are parted by blank lines."""
    texts = [path for path in files if kind_of(path) not in ROW_KINDS]
    return sum(bool(line.strip()) for path in texts for line in open_text(path))


def too_few(documents: int, lines: int) -> str:
    """Say that a corpus has too few documents, and what parts them.

    >>> print(too_few(1, 0))
    the corpus has 1 document, too few to hold some out for validation; give more or shorter ones
    """
    seen = f"the corpus has {documents:,} document{'s' * (documents != 1)}"
    if lines <= documents:
        return f"{seen}, too few to hold some out for validation; give more or shorter ones"
    return (
        f"{seen}, too few to hold some out for validation, in {lines:,} lines of text: blank lines part the "
        "documents of a .txt; a file with one text on each line needs blank lines between them, or be a "
        ".jsonl or .csv"
    )
