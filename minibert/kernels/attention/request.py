"""What a choice of an attention implementation depends on: what is asked, and where.

Each implementation has beside it a function that takes the two and returns why it refuses, or None.
"""

import importlib.util
from dataclasses import dataclass
from functools import cache

import torch


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
    padded: bool = False

    @property
    def dtype_name(self) -> str:
        """Name of the dtype, such as bfloat16."""
        return str(self.dtype).removeprefix("torch.")

    def __str__(self) -> str:
        parts = [
            self.dtype_name,
            f"heads of {self.head_size}",
            f"at most {self.max_seqlen} tokens",
            "" if self.window is None else f"{self.window} places seen on either side",
            "causal" if self.causal else "",
            f"dropout {self.dropout}" if self.dropout else "",
            "queries and keys of different texts" if self.cross else "",
            "padded" if self.padded else "",
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
        return f"{self.device} of compute capability {self._numbers}, {triton}"

    @property
    def _numbers(self) -> str:
        return ".".join(map(str, self.capability or ()))

    def no_cuda(self) -> str | None:
        """Return why kernels for CUDA GPUs do not run here, or None."""
        return None if self.device == "cuda" else f"made for a CUDA GPU, and this is {self.device}"

    def no_triton(self) -> str | None:
        """Return why nothing that Triton compiles runs here, or None."""
        return None if self.triton else "triton is not installed; a CUDA build of torch brings it"

    def too_old(self) -> str | None:
        """Return why a GPU cannot run kernels that are made for Ampere and later ones, or None."""
        old = self.capability is not None and self.capability < (8, 0)
        return f"needs compute capability 8.0, and this GPU has {self._numbers}" if old else None
