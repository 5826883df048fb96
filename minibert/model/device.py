"""The device that is asked for, if it is here."""

import torch

from minibert.errors import InputError


def choose_device(name: str | torch.device) -> torch.device:
    """Return the device of this name; "auto" is the GPU if torch sees one, else the CPU.

    Raises InputError for a name that torch does not know or a device that is not here.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {str(name)!r} cannot be used here: {reason}; use auto or cpu") from error
    return device
