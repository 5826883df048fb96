"""The one door to attention: `attend` picks an implementation, or says why none fits.

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
from minibert.kernels.attention.cpu import cpu_attention
from minibert.kernels.attention.reference import reference_attention
from minibert.kernels.attention.sdpa import sdpa_attention
from minibert.kernels.attention.triton import DTYPES, LARGEST_HEAD, triton_attention
from minibert.packed import Layout


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


@dataclass(frozen=True)
class Implementation:
    """A way to compute attention: its name, when it refuses, and the function."""

    name: str
    refuses: Callable[[Request, Machine], str | None]
    function: Callable[..., Tensor]


@dataclass(frozen=True)
class Choice:
    """What was chosen, and every implementation that was passed over with its reason."""

    name: str
    function: Callable[..., Tensor]
    refusals: dict[str, str]

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
    if request.max_seqlen > 1024:
        return f"it stores the weights, too many at {request.max_seqlen} tokens"
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
    Implementation("cpu", _cpu_refuses, cpu_attention),
    Implementation("sdpa", _never_refuses, sdpa_attention),
    Implementation("triton", _triton_refuses, triton_attention),  # by name only, until a GPU has timed it
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
            return Choice(implementation.name, implementation.function, refusals)
        refusals[implementation.name] = reason
    raise InputError(f"attention backend {backend!r} cannot be used here: {refusals[backend]}")


def attend(
    q_THK: Tensor,
    k_UHK: Tensor,
    v_UHK: Tensor,
    layout: Layout,
    memory: Layout | None = None,
    *,
    window: int | None = None,
    causal: bool = False,
    dropout: float = 0.0,
    backend: str = "auto",
) -> Tensor:
    """Let every token look at the tokens of its own sequence.

    q (T, H, K), k and v (U, H, K) hold the heads of all tokens, packed as `layout` says (k and v as `memory`
    says in cross-attention). `window` is how many places a token sees on either side; None is all of them.
    Returns (T, H, K). Raises InputError where `backend` names an implementation that cannot do this.

    >>> layout = Layout.of([2, 3])
    >>> q = k = v = torch.ones(5, 1, 4)
    >>> attend(q, k, v, layout).shape
    torch.Size([5, 1, 4])
    """
    request = Request(
        dtype=q_THK.dtype,
        head_size=q_THK.shape[-1],
        max_seqlen=layout.max_seqlen,
        window=window,
        causal=causal,
        dropout=dropout,
        cross=memory is not None,
    )
    function = choose(request, Machine.of(q_THK.device), backend=backend).function
    extra = () if memory is None else (memory,)
    return function(q_THK, k_UHK, v_UHK, layout, *extra, window=window, causal=causal, dropout=dropout)
