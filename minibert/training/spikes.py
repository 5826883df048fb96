"""Batches that would do harm: a loss or gradient that is not finite, or a loss far above the last ones.

A loss is a spike if it lies more than SPREADS standard deviations above the mean of the last WINDOW losses.
Their spread is taken to be at least a hundredth of the mean, so that a loss that barely moves does not make a
spike of every breath; before FEWEST losses are known, nothing is one. A spike is not added to the window: one
bad batch must not hide the next. The idea is that of skipping the data around a spike (Chowdhery et al.,
2022, "PaLM", section 5.1), here batch by batch.
"""

import math
import statistics
from typing import Any

WINDOW = 100
FEWEST = 20
SPREADS = 6.0
MOST_IN_A_ROW = 10  # skipped batches after which it is the model, and not the data, that is broken


class Watch:
    """Knows the last losses of a run; `skips` is whether a bad batch may be passed over.

    Where it may not, a spike is no trouble, and what is not finite ends the run.
    """

    def __init__(self, *, skips: bool = False) -> None:
        self.skips = skips
        self.losses: list[float] = []
        self.in_a_row = 0

    def trouble(self, loss: float, norm: float) -> str:
        """Say what is wrong with a batch of this loss and gradient norm, "" if nothing is.

        >>> watch = Watch(skips=True)
        >>> for loss in [2.0, 2.1] * 20:
        ...     watch.note(loss)
        >>> watch.trouble(2.3, 1.0), watch.trouble(3.0, 1.0), watch.trouble(2.0, float("inf"))
        ('', 'loss 3 is a spike: the last 40 were 2.05 ± 0.0506', 'loss 2.0, gradient norm inf')
        """
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return f"loss {loss}, gradient norm {norm}"
        if not self.skips or len(self.losses) < FEWEST:
            return ""
        mean = statistics.fmean(self.losses)
        spread = max(statistics.stdev(self.losses), 0.01 * abs(mean))
        is_spike = loss > mean + SPREADS * spread
        last = f"the last {len(self.losses)} were {mean:.4g} ± {spread:.3g}"
        return f"loss {loss:.4g} is a spike: {last}" if is_spike else ""

    def may_skip(self) -> bool:
        """Count a bad batch; return whether it may be passed over."""
        self.in_a_row += 1
        return self.skips and self.in_a_row <= MOST_IN_A_ROW

    def note(self, loss: float) -> None:
        """Remember the loss of a batch that was learnt from."""
        self.in_a_row = 0
        self.losses = [*self.losses, loss][-WINDOW:]

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"losses": self.losses, "in_a_row": self.in_a_row}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.losses, self.in_a_row = list(state["losses"]), state["in_a_row"]
