"""Freed memory is kept for the next step instead of being given back to the system.

A training step allocates and frees the same large blocks again and again. glibc hands blocks of that size
back to the system at once, so that every step pays anew for fresh pages, each of them cleared by the kernel.
Told to keep them, it serves the next step from pages that are there already. The price is that the process
never shrinks.

Backward passes run in a thread of their own, and a second arena can hold no block above 64 MB: hence one
arena. The numbers are those of glibc's malloc.h. Elsewhere (macOS, Windows, musl) nothing is changed.
"""

import ctypes
import platform

M_TRIM_THRESHOLD = -1
M_TOP_PAD = -2
M_MMAP_MAX = -4
M_ARENA_MAX = -8

NEVER = 2**31 - 1  # mallopt takes a C int
TOP_PAD = 64 * 1024 * 1024  # bytes asked for beyond what is needed, whenever the heap grows
SETTINGS = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER), (M_TOP_PAD, TOP_PAD), (M_ARENA_MAX, 1))


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed, for the whole life of the process; False where that cannot be done.

    To be called before the first large tensor is made.

    >>> keep_freed_memory() in (True, False)
    True
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    accepted = [mallopt(name, value) == 1 for name, value in SETTINGS]
    return all(accepted)
