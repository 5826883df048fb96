"""What a person may choose about adapters, under the names that `peft` and its users have."""

from dataclasses import dataclass
from typing import Literal

from minibert.errors import InputError

ONLY_BESIDE = ("bottleneck", "prompt", "prefix")  # adapters that are no change of matrices: nothing is merged
HEAD_RATE_FACTOR = 5.0  # of a head on features that are there already
RATE_FACTOR = 10.0  # few weights that begin at nothing have a longer way to go
PROMPT_RATE_FACTOR = 50.0  # and rows that are only looked at a much longer one


@dataclass(frozen=True)
class AdaptOptions:
    """Which weights are trained instead of the encoder's.

    adapter              none trains the encoder itself (what `train.freeze` leaves of it)
    lora_rank            R, rows of A and columns of B
    lora_alpha           the update is alpha / R * B A
    lora_dropout         dropout of what A reads
    lora_target_modules  patterns of layers, with commas between; or all-linear
    bottleneck_size      B, channels in the middle of a bottleneck
    bottleneck_layout    where bottlenecks stand (see `bottleneck`)
    prompt_tokens        P, rows before every text (prompt), in every layer (prefix)
    cache_features       of a frozen encoder: let it read each text once (see `features`)
    """

    adapter: Literal["none", "lora", "bottleneck", "bitfit", "prompt", "prefix"] = "none"
    lora_rank: int = 8
    lora_alpha: float = 16.0
    lora_dropout: float = 0.0
    lora_target_modules: str = "query,value"
    bottleneck_size: int = 64
    bottleneck_layout: Literal["pfeiffer", "houlsby"] = "pfeiffer"
    bottleneck_act: Literal["gelu", "relu", "silu"] = "gelu"
    prompt_tokens: int = 20
    cache_features: bool = False

    @property
    def rate_factor(self) -> float:
        """How much larger the learning rate is, where none is named, than that of a whole encoder."""
        if self.adapter in ("prompt", "prefix"):
            return PROMPT_RATE_FACTOR
        if self.adapter != "none":
            return RATE_FACTOR
        return HEAD_RATE_FACTOR if self.cache_features else 1.0

    def __post_init__(self) -> None:
        for name in ("lora_rank", "bottleneck_size", "prompt_tokens"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)} must be at least 1")
        if not self.lora_alpha > 0:
            raise InputError(f"lora_alpha {self.lora_alpha} must be above 0")
        if not 0 <= self.lora_dropout < 1:
            raise InputError(f"lora_dropout {self.lora_dropout} must be at least 0 and below 1")
