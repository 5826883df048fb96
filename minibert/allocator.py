"""Freed memory is kept for the next step instead of being given back to the system.

A training step allocates and frees the same large blocks again and again. glibc hands blocks of that size
back to the system at once, so that every step pays anew for fresh pages, each of them cleared by the kernel.
Told to keep them, it serves the next step from pages that are there already. The price is that the process
never shrinks.

Backward passes run in a thread of their own, and a second arena can hold no block above 64 MB: hence one
arena. The numbers are those of glibc's malloc.h. Elsewhere (macOS, Windows, musl) nothing is changed.

What is not worth keeping is the code that oneDNN, PyTorch's library for matrix products on a CPU, compiles
for each shape: of 1,024 shapes unless it is told otherwise, some megabytes each. Batches of texts have ever
new shapes, so a long run gathers gigabytes and is no faster for it.
"""

import ctypes
import os
import platform

M_TRIM_THRESHOLD = -1
M_TOP_PAD = -2
M_MMAP_MAX = -4
M_ARENA_MAX = -8

NEVER = 2**31 - 1  # mallopt takes a C int
TOP_PAD = 64 * 1024 * 1024  # bytes asked for beyond what is needed, whenever the heap grows
COMPILED_SHAPES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")  # oneDNN asks the environment, and nobody else
SETTINGS = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER), (M_TOP_PAD, TOP_PAD), (M_ARENA_MAX, 1))


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed, for the whole life of the process; False where that cannot be done.

    To be called before the first large tensor is made. oneDNN is told as well, wherever that can be done;
    whoever told it something else has the last word.

    >>> keep_freed_memory() in (True, False)
    True
    """
    os.environ.setdefault(*COMPILED_SHAPES)
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    accepted = [mallopt(name, value) == 1 for name, value in SETTINGS]
    return all(accepted)
