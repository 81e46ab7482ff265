"""Ctrl-C and SIGTERM: the process ends soon, without a traceback; a second one ends it at once.

A signal is raised as ``KeyboardInterrupt`` in the main thread, so that what is being written is finished. Compilers and
compiled programs do not return to Python for seconds or minutes: a thread waits beside them and ends the process when
nothing happens. States are written so that this loses no more than a kill does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
NATIVE_GRACE = 5.0  # seconds for compiled code to return to Python
HINT = 1.0  # seconds until a person is told that this may take a while
GRACE = 60.0  # seconds for what is being written


class Listener:
    """Hears signals from when it is made by `listening`."""

    def __init__(self, farewell: Callable[[], str], *, native_grace: float, grace: float) -> None:
        """Prepares, without installing anything.

        Args:
          farewell: returns the last words; called where the main thread does not end the process itself.
          native_grace: seconds until the main thread must have noticed.
          grace: seconds until it must have ended.
        """
        self.number: int | None = None
        self._farewell, self._native_grace, self._grace = farewell, native_grace, grace
        self._first, self._noticed, self._over, self._closed = (threading.Event() for _ in range(4))

    @property
    def code(self) -> int:
        """Exit code: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + (self.number or signal.SIGINT)

    def install(self) -> dict[int, Any]:
        """Takes the signals that are not ignored; again, where a library has taken them meanwhile.

        Returns:
          signal -> its handler before.
        """
        return {number: signal.signal(number, self.handle) for number in _heard()}

    def finished(self) -> None:
        """Says that the work is over and nothing is left to say: a signal now ends the process at once."""
        self._over.set()

    def handle(self, number: int, frame: Any) -> None:
        """What Python calls in the main thread."""
        del frame
        if self._over.is_set() or self._noticed.is_set():
            self._end(number)
        self._noticed.set()
        self.number = self.number or number
        raise KeyboardInterrupt

    def close(self) -> None:
        """Says that the process goes on without listening."""
        self._closed.set()
        self._noticed.set()
        self._first.set()

    def watch(self, source: int) -> None:
        """Reads the numbers of signals as they arrive; runs in a thread of its own."""
        try:
            first = self._next(source)
            if first is not None:
                self.number = self.number or first
                self._first.set()
                second = self._next(source)
                if second is not None:
                    self._end(second)
            os.close(source)
        except Exception:
            if not self._over.is_set():  # an interpreter that ends takes its modules away first
                raise

    def quiet(self, hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A hook for exceptions that callbacks swallow: an interrupt among them ends the process."""

        def hear(unraisable: Any) -> None:
            if self.number is not None and issubclass(unraisable.exc_type, KeyboardInterrupt):
                self._end(self.number)
            hook(unraisable)

        return hear

    def _next(self, source: int) -> int | None:
        """The next signal that counts; None at the end."""
        while True:
            read = os.read(source, 1)
            if not read or read[0] == 0:
                return None
            if read[0] in SIGNALS:
                return read[0]

    def wait(self) -> None:
        """Ends a process that does not end by itself; runs in a thread of its own."""
        self._first.wait()
        number = self.number or signal.SIGINT
        if not self._noticed.wait(min(HINT, self._native_grace)) and self._native_grace > HINT:
            self._say("Stopping; Ctrl-C again ends at once.")
        noticed = self._noticed.wait(max(0.0, self._native_grace - HINT))
        if not noticed and signal.getsignal(number) != self.handle:  # who writes a state puts signals off until then
            noticed = self._noticed.wait(self._grace)
        if not noticed or not self._closed.wait(self._grace):
            self._end(number)

    def _end(self, number: int) -> NoReturn:
        """Ends the process, with the terminal as it was; without words where all is said."""
        if not self._over.is_set():
            self._say(self._farewell())
        os._exit(128 + number)

    def _say(self, text: str) -> None:
        back = "\r\x1b[2K\x1b[?25h" if os.isatty(2) else ""  # the line of a progress bar, and the cursor
        with contextlib.suppress(OSError):
            os.write(2, f"{back}{text}\n".encode())


def _heard() -> list[signal.Signals]:
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


@contextlib.contextmanager
def listening(
    farewell: Callable[[], str], *, restore: bool, native_grace: float = NATIVE_GRACE, grace: float = GRACE
) -> Iterator[Listener]:
    """Hears Ctrl-C and SIGTERM while its body runs; signals that are ignored stay so, as under ``nohup`` or ``&``.

    Args:
      farewell: returns the last words of a process that is ended from outside the main thread.
      restore: whether the process goes on afterwards, with the handlers that it had; otherwise it goes on listening.
      native_grace: seconds for compiled code to return to Python.
      grace: seconds for the main thread to end after it has noticed.

    Yields:
      The listener. Outside the main thread, or where another library reads signals, it hears nothing.
    """
    listener = Listener(farewell, native_grace=native_grace, grace=grace)
    if threading.current_thread() is not threading.main_thread() or not _heard():
        yield listener
        return
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    before = signal.set_wakeup_fd(sink, warn_on_full_buffer=False)
    if before != -1:  # of an event loop, such as a notebook's
        signal.set_wakeup_fd(before)
        os.close(source)
        os.close(sink)
        yield listener
        return
    # Both from the start: at the end of the interpreter no thread can be made.
    threading.Thread(target=listener.watch, args=(source,), daemon=True, name="signals").start()
    threading.Thread(target=listener.wait, daemon=True, name="last words").start()
    handlers = listener.install()
    hook, sys.unraisablehook = sys.unraisablehook, listener.quiet(sys.unraisablehook)
    try:
        yield listener
    finally:
        if restore:
            sys.unraisablehook = hook
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(-1)
            listener.close()
            os.write(sink, b"\0")
            os.close(sink)
