"""The numbers of a training run, under the names of Hugging Face's training arguments."""

import math
from dataclasses import dataclass
from typing import Literal

from minibert.errors import InputError

SEEDS = 2**32  # as numpy and transformers have them; `loop` multiplies a seed within torch's 64 bits
NOT_NEGATIVE = (
    "weight_decay",
    "max_grad_norm",
    "warmup_steps",
    "r_drop_alpha",
    "fgm_epsilon",
    "gradual_unfreezing",
    "eval_steps",
    "save_steps",
    "save_total_limit",
    "early_stopping_patience",
)


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained.

    max_steps -1 means num_train_epochs decides. warmup_steps wins over warmup_ratio where it is not zero.
    layerwise_lr_decay 0.9 gives each layer 0.9 times the rate of the one above it (Sun et al., 2019).
    freeze "encoder" trains the head alone, a number freezes the embeddings and that many lowest layers, other
    texts are patterns of names; gradual_unfreezing thaws a layer each so many epochs (`freezing`).
    r_drop_alpha and fgm_epsilon above 0 turn on the second passes of `objectives`; ema_decay above 0 keeps
    averaged weights (`averaging`).
    fsdp keeps a piece of the model in each of several processes (`distributed/sharding`).
    precision "auto" computes in bfloat16 where this machine is faster in it, else in float32.
    device "auto" is where the caller put the model, or for one on the CPU the GPU if torch sees one.
    """

    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    optim: Literal["adamw", "sgd", "muon"] = "adamw"
    adam_beta1: float = 0.9
    adam_beta2: float = 0.98
    adam_epsilon: float = 1e-6
    momentum: float = 0.95
    muon_learning_rate: float = 0.02
    max_grad_norm: float = 1.0
    lr_scheduler_type: Literal["linear", "cosine", "warmup_stable_decay", "constant"] = "linear"
    warmup_ratio: float = 0.06
    warmup_steps: int = 0
    decay_ratio: float = 0.2
    layerwise_lr_decay: float = 1.0
    r_drop_alpha: float = 0.0
    fgm_epsilon: float = 0.0
    ema_decay: float = 0.0
    freeze: int | str = 0
    gradual_unfreezing: float = 0.0
    num_train_epochs: float = 3.0
    max_steps: int = -1
    train_batch_size: int = 32
    gradient_accumulation_steps: int = 1
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    attention: str = "auto"
    torch_compile: bool = False
    fsdp: bool = False
    seed: int = 0
    logging_steps: int = 20
    eval_steps: int = 0
    save_steps: int = 0
    save_total_limit: int = 2
    skip_bad_batches: bool = False
    early_stopping_patience: int = 0
    metric_for_best_model: str | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"{name} {value} must be a finite number")
        for name in ("learning_rate", "muon_learning_rate", "adam_epsilon", "num_train_epochs"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} {getattr(self, name)} must be above 0")
        for name in ("train_batch_size", "gradient_accumulation_steps", "logging_steps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)} must be at least 1")
        for name in NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise InputError(f"{name} {getattr(self, name)} must not be negative")
        for name in ("warmup_ratio", "decay_ratio", "adam_beta1", "adam_beta2", "momentum"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} {getattr(self, name)} must be between 0 and 1")
        if self.max_steps < -1:
            raise InputError(f"max_steps {self.max_steps} must be -1 (num_train_epochs decides) or more")
        if not 0 <= self.seed < SEEDS:
            raise InputError(f"seed {self.seed} must be from 0 to {SEEDS - 1}")
        if not 0 <= self.ema_decay < 1:
            raise InputError(f"ema_decay {self.ema_decay} must be at least 0 (no average) and below 1")
        others = [("optim", "muon"), ("fgm_epsilon", self.fgm_epsilon or None), ("torch_compile", True)]
        for name, value in others if self.fsdp else []:
            if getattr(self, name) == value:
                raise InputError(
                    f"{name} {value} needs whole weights, and fsdp keeps pieces; drop one of them"
                )
        if not 0 < self.layerwise_lr_decay <= 1:
            raise InputError(f"layerwise_lr_decay {self.layerwise_lr_decay} must be above 0 and at most 1")
