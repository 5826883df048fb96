"""Which implementation of attention is taken, and why the others are not.

Every implementation has a function `refuses(request, machine)` that returns a reason or None. The first one
in `ORDER` that does not refuse is taken; one that is asked for by name and refuses is an error with its
reason. The choice changes the speed and never the result, so it is no part of a model's configuration.

Everything here is a pure function of a `Request` and a `Machine`: what a GPU would choose is tested on a
laptop.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from minibert.errors import InputError
from minibert.kernels.attention.cpu import cpu_attention, cpu_packed_attention, cpu_refuses
from minibert.kernels.attention.dense import dense_attention, dense_packed_attention, dense_refuses
from minibert.kernels.attention.flex import flex_attention, flex_refuses
from minibert.kernels.attention.reference import reference_attention
from minibert.kernels.attention.request import Machine, Request
from minibert.kernels.attention.sdpa import sdpa_attention
from minibert.kernels.attention.triton import triton_attention, triton_packed_attention, triton_refuses
from minibert.kernels.attention.varlen import varlen_attention, varlen_refuses


@dataclass(frozen=True)
class Implementation:
    """A way to compute attention.

    name      what `backend` calls it
    refuses   the reason why it cannot do a request on a machine, or None
    function  over queries, keys and values apart
    packed    over a packed qkv (T, 3, H, K) and its angles in one go, where it can
    padded    whether it is for the rectangles of `Layout.dense`, and for nothing else
    """

    name: str
    refuses: Callable[[Request, Machine], str | None]
    function: Callable[..., Tensor]
    packed: Callable[..., Tensor] | None = None
    padded: bool = False

    def reason(self, request: Request, machine: Machine) -> str | None:
        """Return why this cannot be done, or should not, or None."""
        if request.padded != self.padded:
            return f"made for {'padded' if self.padded else 'packed'} batches only"
        return self.refuses(request, machine)


@dataclass(frozen=True)
class Choice:
    """What was chosen, and every implementation that was passed over with its reason."""

    implementation: Implementation
    refusals: dict[str, str]

    @property
    def name(self) -> str:
        """Name of the implementation."""
        return self.implementation.name

    def __str__(self) -> str:
        passed_over = "; ".join(f"not {name}: {why}" for name, why in self.refusals.items())
        return f"{self.name} ({passed_over})" if passed_over else self.name


def _never_refuses(request: Request, machine: Machine) -> str | None:
    return None


ORDER = (
    Implementation("cpu", cpu_refuses, cpu_attention, cpu_packed_attention),
    Implementation("sdpa", _never_refuses, sdpa_attention),
    # By name only, until a GPU has timed them.
    Implementation("triton", triton_refuses, triton_attention, triton_packed_attention),
    Implementation("varlen", varlen_refuses, varlen_attention),
    Implementation("flex", flex_refuses, flex_attention),
    Implementation("reference", _never_refuses, reference_attention),
    Implementation("dense", dense_refuses, dense_attention, dense_packed_attention, padded=True),
)


def choose(request: Request, machine: Machine, *, backend: str = "auto") -> Choice:
    """Pick the implementation named `backend`, or the first that does not refuse.

    Raises InputError for an unknown name and for a named implementation that refuses.

    >>> import torch
    >>> choose(Request(torch.float32, 64, 128), Machine("cpu")).name
    'cpu'
    """
    names = [implementation.name for implementation in ORDER]
    if backend not in ("auto", *names):
        raise InputError(f"attention backend {backend!r} is unknown; use auto, {', '.join(names)}")
    refusals: dict[str, str] = {}
    for implementation in ORDER:
        if backend not in ("auto", implementation.name):
            continue
        reason = implementation.reason(request, machine)
        if reason is None:
            return Choice(implementation, refusals)
        refusals[implementation.name] = reason
    told = refusals.get(backend) or "; ".join(f"{name}: {why}" for name, why in refusals.items())
    raise InputError(f"attention backend {backend!r} cannot be used here: {told}")


def refusals(request: Request, machine: Machine) -> dict[str, str | None]:
    """Return for every implementation, in the order of preference, why it refuses, or None.

    >>> import torch
    >>> refusals(Request(torch.float32, 64, 128), Machine("mps"))["cpu"]
    'made for a CPU, and this is mps'
    """
    return {implementation.name: implementation.reason(request, machine) for implementation in ORDER}
