"""Being asked to stop: Ctrl-C, the end of an allocation, a terminal that closes.

A signal may come at any moment, in the middle of an update of the weights, so all that the handler does is to
note it; the loop looks between steps. A validation changes nothing and may be long: it is broken off. Ctrl-C
a second time does not wait.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ASKING = ("SIGINT", "SIGTERM", "SIGHUP")


class Stopped(Exception):
    """The run was asked to stop; its state is that after the last whole step."""


class Signals:
    """Notes the signals that ask to stop, inside a `with` block; `asked` is the first one's number, or 0.

    Only the main thread can be asked. A signal that is ignored outside (nohup) stays ignored.
    """

    def __init__(self) -> None:
        self.asked = 0
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
        if number == signal.SIGINT and self.asked == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = self.asked or number
        if self.may_raise:
            raise Stopped

    @contextmanager
    def breaking_off(self) -> Iterator[None]:
        """Let a signal break off the block, which must change nothing that is kept."""
        self.may_raise = True
        try:
            self.look()
            yield
        finally:
            self.may_raise = False

    def look(self) -> None:
        """Raise Stopped if a signal has come."""
        if self.asked:
            raise Stopped

    def leave(self) -> None:
        """End the program as the signal asks: KeyboardInterrupt, or the exit status 128 + its number."""
        if self.asked == signal.SIGINT:
            raise KeyboardInterrupt
        if self.asked:
            raise SystemExit(128 + self.asked)
