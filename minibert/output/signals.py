"""Being asked to stop: Ctrl-C, the end of an allocation, a terminal that closes.

A signal may come at any moment, in the middle of an update of the weights, so all that the handler does is to
note it; the loop looks between steps. A validation changes nothing and may be long: it is broken off. Ctrl-C
a second time does not wait.

Several processes stop after the same step, whichever of them was asked. They break off nothing, for one would
leave the others waiting; and torchrun hands a Ctrl-C on that they have had already: only one that comes more
than two seconds after the first is a second one.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minibert.distributed.ranks import Ranks

ASKING = ("SIGINT", "SIGTERM", "SIGHUP")
ECHO = 2.0  # seconds


class Stopped(Exception):
    """The run was asked to stop; its state is that after the last whole step."""


class Signals:
    """Notes the signals that ask to stop, inside a `with` block; `asked` is the first one's number, or 0.

    Only the main thread can be asked. A signal that is ignored outside (nohup) stays ignored.
    """

    def __init__(self, ranks: Ranks | None = None) -> None:
        self.ranks = ranks or Ranks()
        self.asked = 0
        self.interrupted: float | None = None  # when Ctrl-C came
        self.may_raise = False
        self.earlier: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            for number in [getattr(signal, name) for name in ASKING if name in signal.__dict__]:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self.earlier[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self.earlier.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        if number == signal.SIGINT:
            now, echo = time.monotonic(), ECHO if self.ranks.size > 1 else 0.0
            if self.interrupted is not None and now - self.interrupted >= echo:
                raise KeyboardInterrupt
            self.interrupted = now if self.interrupted is None else self.interrupted
        self.asked = self.asked or number
        if self.may_raise:
            raise Stopped

    @contextmanager
    def breaking_off(self) -> Iterator[None]:
        """Let a signal break off the block, which must change nothing that is kept."""
        self.may_raise = self.ranks.size == 1
        try:
            self.look()
            yield
        finally:
            self.may_raise = False

    def look(self) -> None:
        """Raise Stopped if a signal has come, to any of the processes."""
        self.asked = max(self.ranks.gather(self.asked))
        if self.asked:
            raise Stopped

    def leave(self) -> None:
        """End the program as the signal asks: KeyboardInterrupt, or the exit status 128 + its number."""
        if self.asked == signal.SIGINT:
            raise KeyboardInterrupt
        if self.asked:
            raise SystemExit(128 + self.asked)
