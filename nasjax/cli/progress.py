"""Progress of a long job: a bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import collections
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from nasjax import parallel

LINE_EVERY = 10.0  # seconds between plain lines, and a tenth of the time so far: a long log stays short
_LINE_SHARE = 0.1
_WINDOW = 20  # reports that the rate is measured over: old ones describe another load
_latest: list[str] = []  # what was reported last, for a run that is stopped
_shown: list[Console] = []  # of the bars on the terminal: what another console prints would tear them


class Rate:
    """Speed of a job whose first report states what was done before, and whose second comes after compiling."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, compiles: bool = True) -> None:
        """Starts the clock.

        Args:
          clock: returns seconds.
          compiles: whether the first part waits for a compiler.
        """
        self.clock = clock
        self._compiles = compiles
        self._begin = clock()
        self._reports: collections.deque[tuple[float, int]] = collections.deque(maxlen=_WINDOW)
        self._done: int | None = None

    def report(self, done: int) -> None:
        """Notes that ``done`` items are finished; the first report, and what repeats it, says what was there before."""
        if self._done is not None and done != self._done:
            self._reports.append((self.clock(), done))
        self._done = done

    @property
    def compiling(self) -> bool:
        """Whether no part has been finished in this run, because the program is compiled first."""
        return self._compiles and not self._reports

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock() - self._begin

    def per_second(self) -> float | None:
        """Items a second lately; None before two parts are finished."""
        if len(self._reports) < 2:
            return None
        (t0, n0), (t1, n1) = self._reports[0], self._reports[-1]
        return (n1 - n0) / (t1 - t0) if t1 > t0 and n1 > n0 else None

    def left(self, total: int) -> float | None:
        """Seconds left until ``total`` items are finished; None when not known yet."""
        speed = self.per_second()
        if speed is None:
            return None
        when, done = self._reports[-1]
        return max(0.0, (total - done) / speed - (self.clock() - when))


def duration(seconds: float) -> str:
    """Writes a time for people: "0.4 s", "12 s", "3 min 05 s", "2 h 10 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def speed(per_second: float, unit: str = "architecture") -> str:
    """Writes a rate for people: "12 architectures/s", "1.4 s/architecture"."""
    if per_second >= 1:
        return f"{per_second:,.0f} {unit}s/s" if per_second >= 10 else f"{per_second:.1f} {unit}s/s"
    return f"{1 / per_second:.1f} s/{unit}" if per_second >= 0.1 else f"{1 / per_second:.0f} s/{unit}"


@contextlib.contextmanager
def progress(
    title: str,
    *,
    unit: str = "architecture",
    compiles: bool = True,
    console: Console | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Callable[[int, int], None]]:
    """Shows progress while its body runs; of several processes, that of the first.

    Args:
      title: what is being done.
      unit: what is counted, in the singular.
      compiles: whether the first part waits for a compiler; it is said then.
      console: where to write; standard error by default.
      clock: returns seconds.

    Yields:
      ``report(done, total)``, to be called once with what an earlier run has done (0 if nothing), then after
      each finished part.
    """
    if not parallel.is_main():
        yield lambda done, total: None
        return
    console = console or Console(stderr=True, emoji=False)
    rate = Rate(clock, compiles=compiles)
    shown = _bar if console.is_terminal and not console.is_dumb_terminal else _lines
    _latest.clear()
    with shown(title, unit, console, rate) as report:

        def reported(done: int, total: int) -> None:
            _latest[:] = [f"{done:,} of {total:,} {unit}s"]
            report(done, total)

        yield reported


def latest() -> str | None:
    """What was reported last in this process, such as "12 of 64 architectures"; None before the first report."""
    return _latest[0] if _latest else None


def shown() -> Console | None:
    """The console of the bar that is shown, to print above it; None without one."""
    return _shown[-1] if _shown else None


class Sparse:
    """Which lines a log gets: the first, then one every ten seconds, later one every tenth of the time so far."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts the clock; ``clock`` returns seconds."""
        self._clock, self._begin, self._next = clock, clock(), -float("inf")

    def due(self) -> bool:
        """Whether a line is due; then the next one waits."""
        elapsed = self._clock() - self._begin
        if elapsed < self._next:
            return False
        self._next = elapsed + max(LINE_EVERY, _LINE_SHARE * elapsed)
        return True


@contextlib.contextmanager
def _bar(title: str, unit: str, console: Console, rate: Rate) -> Iterator[Callable[[int, int], None]]:
    fields = ("{task.description}", "{task.fields[state]}")
    columns: list[Any] = [SpinnerColumn(), TextColumn(fields[0]), BarColumn(bar_width=None), TextColumn(fields[1])]
    with Progress(*columns, console=console, transient=True, expand=True) as bar:
        task = bar.add_task(title, total=None, state="starting")

        def report(done: int, total: int) -> None:
            rate.report(done)
            bar.update(task, completed=done, total=total, state=_state(done, total, unit, rate))

        _shown.append(console)
        try:
            yield report
        finally:
            _shown.remove(console)


@contextlib.contextmanager
def _lines(title: str, unit: str, console: Console, rate: Rate) -> Iterator[Callable[[int, int], None]]:
    sparse = Sparse(rate.clock)

    def report(done: int, total: int) -> None:
        rate.report(done)
        if sparse.due() or done == total:
            console.print(f"{title}: {_state(done, total, unit, rate)}", highlight=False, soft_wrap=True)

    yield report


def _state(done: int, total: int, unit: str, rate: Rate) -> str:
    parts = [f"{done:,}/{total:,}"]
    if rate.compiling and done < total:
        parts.append("compiling")
    per_second, left = rate.per_second(), rate.left(total)
    if per_second is not None:
        parts.append(speed(per_second, unit))
    if left is not None and done < total:
        parts.append(f"{duration(left)} left")
    return ", ".join(parts)
