"""What a command does with freed memory before it trains."""

import sys

from minibert.allocator import keep_freed_memory
from minibert.training.journal import header


def keep_memory() -> None:
    """Keep freed memory where the system can; say so as a line of the run's header."""
    kept = "freed memory is kept" if keep_freed_memory() else "as the system has it"
    print(header({"allocator": kept}), file=sys.stderr)
