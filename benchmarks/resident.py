"""How much memory this process has in RAM, and the most that it had since a moment of one's choice.

Linux keeps the highest value itself (VmHWM) and lets a process lower it to the present one. Where it may not,
as in some containers, a thread looks every few milliseconds. Elsewhere there is nothing to read.
"""

import multiprocessing
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

Result = TypeVar("Result")

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
EVERY = 0.002  # seconds


def resident() -> int:
    """Return the bytes of this process that are in RAM now."""
    return _status("VmRSS")


class Peak:
    """The most bytes that were in RAM inside a `with` block.

    how    "kernel" or "sampled"

    >>> with Peak() as peak:
    ...     block = bytes(10_000_000)
    >>> peak.bytes > 10_000_000
    True
    """

    def __init__(self) -> None:
        self.bytes = 0
        self.how = "kernel"
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Peak":
        try:
            CLEAR.write_text(RESET_PEAK)
        except OSError:
            self.how = "sampled"
            self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.how == "kernel":
            self.bytes = _status("VmHWM")
        else:
            self._done.set()
            self._watcher.join()

    def _watch(self) -> None:
        while not self._done.wait(EVERY):
            self.bytes = max(self.bytes, resident())


def in_own_process(run: Callable[[int], Result]) -> Callable[[int], Result]:
    """Return what runs in a process of its own: one that has freed memory before seems to need less.

    >>> in_own_process(lambda seed: seed + 1)(4)
    5
    """
    context = multiprocessing.get_context("fork")  # it carries closures along

    def forked(seed: int) -> Result:
        answers, answer = context.Pipe(duplex=False)
        child = context.Process(target=lambda: answer.send(run(seed)))
        child.start()
        answer.close()
        try:
            found: Result = answers.recv()
        except EOFError:
            raise SystemExit("the run ended without a result; its error stands above") from None
        finally:
            child.join()
        return found

    return forked


def _status(key: str) -> int:
    if not STATUS.is_file():
        raise SystemExit(f"memory is read from {STATUS}, which {os.uname().sysname} does not have; use Linux")
    found = re.search(rf"^{key}:\s+(\d+) kB", STATUS.read_text("utf-8"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
