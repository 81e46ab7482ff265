"""Progress: rate and time left, on a terminal and in a log."""

import io

import pytest
from rich.console import Console

from nasjax.cli import common, progress


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_rate_ignores_the_start_and_what_was_done_before():
    clock = Clock()
    rate = progress.Rate(clock)
    rate.report(499)  # resumed here
    assert rate.compiling
    clock.now = 100.0  # compilation
    rate.report(500)
    assert rate.per_second() is None and rate.left(600) is None and not rate.compiling
    clock.now = 110.0
    rate.report(520)
    assert rate.per_second() == 2.0
    assert rate.left(600) == 40.0
    clock.now = 115.0
    assert rate.left(600) == 35.0
    clock.now = 1000.0
    assert rate.left(600) == 0.0


def test_rate_ignores_a_start_that_is_told_twice():
    clock = Clock()
    rate = progress.Rate(clock)
    rate.report(0)
    rate.report(0)  # as the first generation of a search does
    assert rate.compiling
    clock.now = 100.0  # compilation
    rate.report(8)
    assert rate.per_second() is None and not rate.compiling


def test_rate_follows_the_last_reports():
    clock = Clock()
    rate = progress.Rate(clock)
    for i in range(200):
        clock.now += 1.0 if i < 100 else 0.1
        rate.report(i)
    assert rate.per_second() == pytest.approx(10.0)


@pytest.mark.parametrize("seconds,text", [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"),
                                          (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")])
def test_duration(seconds, text):
    assert progress.duration(seconds) == text


@pytest.mark.parametrize("value,text", [(1234.0, "1,234 architectures/s"), (2.5, "2.5 architectures/s"),
                                        (0.5, "2.0 s/architecture"), (0.02, "50 s/architecture")])
def test_speed(value, text):
    assert progress.speed(value) == text


def run(console, clock):
    with progress.progress("Scoring", console=console, clock=clock) as report:
        for done in range(0, 101, 2):
            clock.now += 1.0
            report(done, 100)


def test_plain_lines_every_ten_seconds():
    file = io.StringIO()
    run(Console(file=file, width=80), Clock())
    lines = file.getvalue().splitlines()
    assert lines[0] == "Scoring: 0/100, compiling"
    assert lines[1] == "Scoring: 20/100, 2.0 architectures/s, 40 s left"
    assert lines[-1] == "Scoring: 100/100, 2.0 architectures/s"
    assert len(lines) == 6


def test_a_long_log_stays_short():
    file, clock = io.StringIO(), Clock()
    with progress.progress("Scoring", console=Console(file=file, width=80), clock=clock) as report:
        for done in range(0, 36001):
            clock.now += 1.0
            report(done, 36000)
    assert 60 < len(file.getvalue().splitlines()) < 90
    assert progress.latest() == "36,000 of 36,000 architectures"


def test_sparse():
    clock = Clock()
    sparse = progress.Sparse(clock)
    due = []
    for second in range(0, 2000):
        clock.now = float(second)
        if sparse.due():
            due.append(second)
    assert due[:4] == [0, 10, 20, 30] and due[-1] - due[-2] > 100


def test_bar_on_a_terminal():
    file = io.StringIO()
    console = Console(file=file, width=100, force_terminal=True, legacy_windows=False)
    clock = Clock()
    with progress.progress("Scoring", console=console, clock=clock) as report:
        for done in (0, 0, 10, 20):
            clock.now += 5.0
            report(done, 100)
        console.print("remark")
    text = file.getvalue()
    assert "Scoring" in text and "20/100, 2.0 architectures/s, 40 s left" in text and "remark" in text


def test_a_remark_stands_above_the_bar():
    file = io.StringIO()
    console = Console(file=file, width=100, force_terminal=True, legacy_windows=False)
    with progress.progress("Training", console=console, compiles=False) as report:
        report(0, 5)
        common.note("epoch 1")
        assert progress.shown() is console
    assert progress.shown() is None
    before = file.getvalue().partition("epoch 1")[0]
    assert "━" not in before.rpartition("\x1b[2K")[2]  # the bar was taken away first


def test_a_failure_passes_through():
    console = Console(file=io.StringIO(), force_terminal=True)
    with pytest.raises(KeyError), progress.progress("Scoring", console=console):
        raise KeyError


def test_a_job_without_a_compiler_says_nothing_of_compiling():
    assert not progress.Rate(lambda: 0.0, compiles=False).compiling
