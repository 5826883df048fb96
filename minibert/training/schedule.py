"""The learning rate over a run, as a share of its peak.

A rate climbs from zero over the warm-up, then follows one of four shapes:

- linear: straight down to zero (BERT's);
- cosine: half a cosine down to zero (Loshchilov and Hutter, 2017);
- warmup_stable_decay: flat, then straight to zero over the last `decay_ratio` (Hu et al., 2024, "MiniCPM");
- constant.
"""

import math

from minibert.training.config import TrainingConfig


def rate_at(step: int, total: int, config: TrainingConfig) -> float:
    """Return the learning rate's share of its peak at `step` of `total`, the first step being 0.

    >>> config = TrainingConfig(lr_scheduler_type="linear", warmup_ratio=0.1)
    >>> [round(rate_at(step, 100, config), 2) for step in (0, 9, 10, 55, 99)]
    [0.1, 1.0, 1.0, 0.5, 0.01]
    """
    warmup = config.warmup_steps or round(config.warmup_ratio * total)
    if step < warmup:
        return (step + 1) / warmup
    left = max(0.0, (total - step) / max(1, total - warmup))
    if config.lr_scheduler_type == "linear":
        return left
    if config.lr_scheduler_type == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (1 - left)))
    if config.lr_scheduler_type == "warmup_stable_decay":
        decay = max(1, round(config.decay_ratio * total))
        return min(1.0, max(0.0, (total - step) / decay))
    return 1.0
