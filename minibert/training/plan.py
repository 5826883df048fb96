"""How many steps a run has: a number, or what fits into a clock budget.

With a budget the first steps are measured, and the number is planned from their speed; it is planned again
only at logged steps. Learning rate and masking rate depend on the planned number, so every plan is kept: a
repeated run replays the plans instead of the clock and does exactly the same. A resumed run has what was left
of its budget; only durations are kept, so that it may go on on another day or machine.
"""

import time
from dataclasses import dataclass

from minibert.config import parse_seconds

CALIBRATION_STEPS = 3


@dataclass(frozen=True)
class Plan:
    """The numbers of steps that were planned, and from which step on each was in force.

    >>> Plan(((0, 100), (40, 90))).total(39), Plan(((0, 100), (40, 90))).total(40)
    (100, 90)
    """

    entries: tuple[tuple[int, int], ...]

    def total(self, step: int) -> int:
        """Return the number of steps that was planned when `step` was taken."""
        return [total for start, total in self.entries if start <= step][-1]

    def revise(self, step: int, total: int) -> "Plan":
        """Return the plan with a new number of steps from `step` on."""
        kept = tuple(entry for entry in self.entries if entry[0] < step)
        return Plan((*kept, (step, total)))


Budget = str | float | Plan | None


def read_budget(budget: Budget) -> tuple[float | None, Plan | None]:
    """Return the seconds of a budget such as "90s", or the plan that is to be replayed instead.

    >>> read_budget("2m"), read_budget(Plan(((0, 9),)))
    ((120.0, None), (None, Plan(entries=((0, 9),))))
    """
    if budget is None or isinstance(budget, Plan):
        return None, budget
    return parse_seconds(budget), None


class Clock:
    """Turns a budget in seconds of wall clock into a number of steps, from the speed of the steps so far."""

    def __init__(self, budget: float) -> None:
        self.budget = budget
        self.start = self.first = time.perf_counter()

    def spend(self, seconds: float) -> None:
        """Count seconds that were used before the clock was made."""
        self.start -= seconds

    def state_dict(self) -> dict[str, float]:
        """Return the seconds that are used up, and those after which the first step was done."""
        return {"spent": time.perf_counter() - self.start, "first": self.first - self.start}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on where `state_dict` was taken; the time between does not count."""
        self.start = time.perf_counter() - state["spent"]
        self.first = self.start + state["first"]

    def tick(self, done: int) -> None:
        """Note the end of a step; the first is slower than the rest (memory, caches) and sets no speed."""
        if done <= 1:
            self.first = time.perf_counter()

    def total(self, done: int) -> int:
        """Return how many steps the whole run can have when `done` are done: at least those."""
        now = time.perf_counter()
        # A clock too coarse to see the steps must not divide by zero.
        seconds_per_step = max(1e-9, (now - self.first) / max(1, done - 1))
        return done + int(max(0.0, self.budget - (now - self.start)) / seconds_per_step)
