"""Messages between processes, here threads with a key-value store of their own."""

import concurrent.futures
import itertools
import math
import threading
import time

import jax
import numpy as np
import pytest

from nasjax import parallel
from nasjax.parallel import exchange
from nasjax.types import InputError


class Store:
    """What JAX's coordination service offers, in one process."""

    def __init__(self):
        self.values, self.sizes = {}, []

    def key_value_set_bytes(self, key, value):
        assert key not in self.values
        self.sizes.append(len(value))
        self.values[key] = value

    key_value_set = key_value_set_bytes

    def blocking_key_value_get_bytes(self, key, timeout_ms):
        end = time.monotonic() + timeout_ms / 1000
        while key not in self.values:
            if "closed" in self.values:
                raise jax.errors.JaxRuntimeError("UNAVAILABLE: connection refused\nmore")
            if time.monotonic() > end:
                raise jax.errors.JaxRuntimeError("DEADLINE_EXCEEDED: no such key")
            time.sleep(0.001)
        return self.values[key]

    def key_value_dir_get(self, prefix):
        return [(key, value) for key, value in self.values.items() if key.startswith(prefix)]

    def key_value_delete(self, key):
        for name in [name for name in self.values if name.startswith(key)]:
            del self.values[name]


class Own(threading.local):
    """State of a thread that stands for a process."""

    number = 0

    def __init__(self):
        self.counter = itertools.count()

    def __next__(self):
        return next(self.counter)


@pytest.fixture
def processes(monkeypatch):
    """Runs a function of the process's number in each of some threads; their results, or the errors."""
    store, own = Store(), Own()
    monkeypatch.setattr(exchange, "_client", lambda: store)
    monkeypatch.setattr(exchange, "_numbers", own)
    monkeypatch.setattr(exchange, "process_index", lambda: own.number)
    monkeypatch.setattr(exchange, "is_main", lambda: own.number == 0)
    monkeypatch.setattr(exchange, "LOOK", 0.05)

    def run(count, fn):
        monkeypatch.setattr(exchange, "process_count", lambda: count)

        def one(number):
            own.number = number
            try:
                return fn(number)
            except InputError as error:
                return error

        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, range(count)))

    run.store = store
    return run


def test_a_process_alone_needs_no_store():
    value = object()
    assert parallel.gather("x", value) == [value]
    assert parallel.gather_bytes("x", b"abc") == [b"abc"]
    assert parallel.shared("x", lambda: value) is value
    parallel.give_up("no one listens")


def test_everyone_gets_everything_in_order(processes):
    values = [math.pi, math.inf, -0.0]

    def talk(number):
        first = parallel.gather("first", [values[number], {"name": str(number)}])
        return first, parallel.shared("second", lambda: f"made by {number}"), parallel.gather("third", number)

    for first, second, third in processes(3, talk):
        assert first == [[value, {"name": str(i)}] for i, value in enumerate(values)]
        assert math.copysign(1, first[2][0]) == -1
        assert (second, third) == ("made by 0", [0, 1, 2])
    # What everyone has read is gone: of three exchanges, the last is there.
    assert {key.split("/")[2] for key in processes.store.values} == {"2"}


def test_long_messages_travel_in_parts(processes, monkeypatch):
    monkeypatch.setattr(exchange, "_PART", 1000)
    noise = np.random.default_rng(0).bytes(5500)
    for found in processes(2, lambda number: parallel.gather_bytes("noise", noise * number)):
        assert found == [b"", noise]
    assert max(processes.store.sizes) < 1050


def test_processes_at_different_exchanges_are_refused(processes):
    found = processes(2, lambda number: parallel.gather(f"step {number}", 0))
    assert "process 1 is at 'step 1' while this one is at 'step 0'" in str(found[0])
    assert "process 0 is at 'step 0' while this one is at 'step 1'" in str(found[1])


def test_one_that_gives_up_ends_the_others(processes):
    def talk(number):
        if number == 1:
            parallel.give_up("no space left: ü")
            return None
        return parallel.gather("scores", number)

    ends = processes(3, talk)
    assert [str(ends[i]) for i in (0, 2)] == ["process 1 has given up: no space left: ü"] * 2


def test_a_lost_connection_is_said(processes):
    def talk(number):
        if number == 0:
            processes.store.values["closed"] = b""
            return None
        return parallel.gather("scores", number)

    message = str(processes(2, talk)[1])
    assert "process 0 can no longer be reached" in message and "connection refused" in message and "more" not in message


def test_what_must_be_the_same():
    parallel.check_agreement(["a", "a"], what="Options")
    with pytest.raises(InputError, match="Options of process 2 differ from those of process 0"):
        parallel.check_agreement(["a", "a", "b"], what="Options")
