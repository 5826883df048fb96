"""Which implementation of attention is taken, and why the others are not.

Every implementation has a function `refuses(request, machine)` that returns a reason or None. The first one
in `ORDER` that does not refuse is taken; one that is asked for by name and refuses is an error with its
reason. The choice changes the speed and never the result, so it is no part of a model's configuration.

Everything here is a pure function of a `Request` and a `Machine`: what a GPU would choose is tested on a
laptop.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from minibert.errors import InputError
from minibert.kernels.attention.cpu import WHOLE, cpu_attention, cpu_packed_attention
from minibert.kernels.attention.flex import flex_attention, flex_refuses
from minibert.kernels.attention.reference import reference_attention
from minibert.kernels.attention.sdpa import sdpa_attention
from minibert.kernels.attention.triton import (
    DTYPES,
    LARGEST_HEAD,
    triton_attention,
    triton_packed_attention,
)
from minibert.kernels.attention.varlen import varlen_attention, varlen_refuses


@dataclass(frozen=True)
class Request:
    """What is asked of attention: everything a choice may depend on."""

    dtype: torch.dtype
    head_size: int
    max_seqlen: int
    window: int | None = None
    causal: bool = False
    dropout: float = 0.0
    cross: bool = False

    def __str__(self) -> str:
        parts = [
            str(self.dtype).removeprefix("torch."),
            f"heads of {self.head_size}",
            f"at most {self.max_seqlen} tokens",
            "" if self.window is None else f"{self.window} places seen on either side",
            "causal" if self.causal else "",
            f"dropout {self.dropout}" if self.dropout else "",
            "queries and keys of different texts" if self.cross else "",
        ]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class Machine:
    """Where it is asked: the kind of device, a GPU's compute capability, and whether Triton is installed."""

    device: str
    capability: tuple[int, int] | None = None
    triton: bool = False

    @staticmethod
    @cache
    def of(device: torch.device) -> "Machine":
        """Describe the machine that a tensor lies on."""
        capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else None
        return Machine(device.type, capability, importlib.util.find_spec("triton") is not None)

    def __str__(self) -> str:
        if self.capability is None:
            return self.device
        triton = "with triton" if self.triton else "without triton"
        return f"{self.device} of compute capability {'.'.join(map(str, self.capability))}, {triton}"


@dataclass(frozen=True)
class Implementation:
    """A way to compute attention.

    name      what `backend` calls it
    refuses   the reason why it cannot do a request on a machine, or None
    function  over queries, keys and values apart
    packed    over a packed qkv (T, 3, H, K) and its angles in one go, where it can
    """

    name: str
    refuses: Callable[[Request, Machine], str | None]
    function: Callable[..., Tensor]
    packed: Callable[..., Tensor] | None = None


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


def _cpu_refuses(request: Request, machine: Machine) -> str | None:
    if machine.device != "cpu":
        return f"made for a CPU, and this is {machine.device}"
    if request.cross:
        return "queries and keys of different lengths are not supported"
    if request.dtype == torch.float16:
        return "float16 is slow on a CPU; use bfloat16 or float32"
    if request.max_seqlen > WHOLE and request.dropout:
        return f"it stores the weights for the sake of dropout, too many at {request.max_seqlen} tokens"
    return None


def _triton_refuses(request: Request, machine: Machine) -> str | None:
    if machine.device != "cuda":
        return f"made for a CUDA GPU, and this is {machine.device}"
    if not machine.triton:
        return "triton is not installed; a CUDA build of torch brings it"
    if machine.capability is not None and machine.capability < (8, 0):
        return f"needs compute capability 8.0, and this GPU has {'.'.join(map(str, machine.capability))}"
    if request.dtype not in DTYPES:
        return f"computes in bfloat16, float16 or float32, not in {str(request.dtype).removeprefix('torch.')}"
    if request.head_size > LARGEST_HEAD:
        return f"heads are at most {LARGEST_HEAD} wide, these are {request.head_size}"
    return None


def _never_refuses(request: Request, machine: Machine) -> str | None:
    return None


ORDER = (
    Implementation("cpu", _cpu_refuses, cpu_attention, cpu_packed_attention),
    Implementation("sdpa", _never_refuses, sdpa_attention),
    # By name only, until a GPU has timed them.
    Implementation("triton", _triton_refuses, triton_attention, triton_packed_attention),
    Implementation("varlen", varlen_refuses, varlen_attention),
    Implementation("flex", flex_refuses, flex_attention),
    Implementation("reference", _never_refuses, reference_attention),
)


def choose(request: Request, machine: Machine, *, backend: str = "auto") -> Choice:
    """Pick the implementation named `backend`, or the first that does not refuse.

    Raises InputError for an unknown name and for a named implementation that refuses.

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
        reason = implementation.refuses(request, machine)
        if reason is None:
            return Choice(implementation, refusals)
        refusals[implementation.name] = reason
    raise InputError(f"attention backend {backend!r} cannot be used here: {refusals[backend]}")


def refusals(request: Request, machine: Machine) -> dict[str, str | None]:
    """Return for every implementation, in the order of preference, why it refuses, or None.

    >>> refusals(Request(torch.float32, 64, 128), Machine("mps"))["cpu"]
    'made for a CPU, and this is mps'
    """
    return {implementation.name: implementation.refuses(request, machine) for implementation in ORDER}
