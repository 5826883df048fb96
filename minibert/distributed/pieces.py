"""Whether a tensor is kept in pieces (`sharding`), asked without importing what makes pieces.

torch's own parts for that take long to import, and few runs need them: they are imported where a model is cut
into pieces, and nowhere else.
"""

import sys
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def is_piece(value: Any) -> TypeGuard["DTensor"]:
    """Whether a value is a tensor of which each process holds a piece: nothing is before its type is there.

    >>> import torch
    >>> is_piece(torch.zeros(3))
    False
    """
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(value, module.DTensor)
