"""Functions that torch.compile leaves as they are: the graph ends before them and another begins behind.

`torch.compiler.disable` does that, and imports the whole compiler to do it, also for those who never compile.
Here it is called when the compiler is there: nothing is compiled before somebody has imported it.
"""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

try:
    from torch._compile import _disable_dynamo
except ImportError:  # it is no promise of torch's; without it all that is lost is a quick start
    _disable_dynamo = torch.compiler.disable

P = ParamSpec("P")
R = TypeVar("R")


def outside_graphs(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that does what this one does, and that no compiler looks into."""
    disabled = _disable_dynamo(function)  # waits with the import until it is called

    @functools.wraps(function)
    def door(*args: P.args, **kwargs: P.kwargs) -> R:
        # While a graph is traced the first is true. What breaks it is then called as it stands, perhaps with
        # the compiler still listening: the second keeps it from what lies behind the door.
        if torch.compiler.is_compiling() or "torch._dynamo" in sys.modules:
            return disabled(*args, **kwargs)
        return function(*args, **kwargs)

    return door
