"""Small messages between processes, through the key-value store of JAX's coordination service.

No collective of a device is involved: what the accelerators compute does not matter, the CPU needs no extra library,
and a process may take as long as it likes. All processes must call these functions in the same order, from one thread.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import jax

from nasjax.parallel.processes import is_main, process_count, process_index
from nasjax.types import InputError

_PART = 1 << 20  # bytes a message; gRPC takes 4 MB
LOOK = 2  # seconds between looks for a process that has given up
_ENTRY, _FAILED = "nasjax/gather", "nasjax/failed"
_numbers = itertools.count()


def gather(label: str, value: Any) -> list[Any]:
    """Gives every process what each of them has, in the order of the processes.

    Args:
      label: what is exchanged; all must be at the same exchange.
      value: anything JSON can hold; NaN and infinities too, and floats come back bit for bit.

    Returns:
      One value a process.

    Raises:
      InputError: another process has given up or cannot be reached, or is at another exchange.
    """
    if process_count() == 1:
        return [value]
    return [json.loads(raw) for raw in gather_bytes(label, json.dumps(value).encode("utf-8"))]


def shared(label: str, make: Callable[[], Any]) -> Any:
    """Gives every process what process 0 makes.

    Args:
      label: what is exchanged.
      make: called in process 0 alone; returns what JSON can hold. An InputError that it raises is raised in all.

    Returns:
      The value.

    Raises:
      InputError: as `gather`, or of ``make``.
    """
    if process_count() == 1:
        return make()
    message = None
    if is_main():
        try:
            message = [make(), None]
        except InputError as error:
            message = [None, str(error)]
    value, refused = gather(label, message)[0]
    if refused is not None:
        raise InputError(refused)
    return value


def check_agreement(values: Sequence[Any], *, what: str) -> None:
    """Refuses processes that do not agree.

    Args:
      values: one a process, such as fingerprints that were gathered.
      what: what they stand for, in words.

    Raises:
      InputError: they differ.
    """
    for number, value in enumerate(values):
        if value != values[0]:
            raise InputError(
                f"{what} of process {number} differ from those of process 0; do: start all processes with the same "
                "flags, files and versions"
            )


def gather_bytes(label: str, value: bytes) -> list[bytes]:
    """As `gather`, for bytes; they travel compressed.

    Args:
      label: what is exchanged.
      value: of this process.

    Returns:
      One a process.

    Raises:
      InputError: as `gather`.
    """
    count, own = process_count(), process_index()
    if count == 1:
        return [value]
    client, number = _client(), next(_numbers)
    packed = zlib.compress(value, 1)
    parts = [packed[start : start + _PART] for start in range(0, len(packed), _PART)]
    # The first part carries how many follow; the label shows who is elsewhere.
    head = f"{label}\n{len(parts)}\n".encode()
    for place, part in enumerate(parts):
        client.key_value_set_bytes(f"{_ENTRY}/{number}/{own}/{place}", head + part if place == 0 else part)
    found = [value if process == own else _receive(client, label, number, process) for process in range(count)]
    if number:  # All have come here, so all have read what was before.
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            client.key_value_delete(f"{_ENTRY}/{number - 1}/{own}/")
    return found


def give_up(reason: str) -> None:
    """Tells the others, before this process ends, that it will not go on; they end with this reason.

    Args:
      reason: a message for people.
    """
    if process_count() == 1:
        return
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        text = base64.b64encode(reason.encode("utf-8")).decode("ascii")
        _client().key_value_set(f"{_FAILED}/{process_index()}", text)


def _receive(client: Any, label: str, number: int, process: int) -> bytes:
    first = _wait(client, f"{_ENTRY}/{number}/{process}/0", process)
    there, parts, rest = first.split(b"\n", 2)
    if there != label.encode():
        raise InputError(
            f"process {process} is at {there.decode()!r} while this one is at {label!r}; do: start all processes with "
            "the same flags"
        )
    pieces = [_wait(client, f"{_ENTRY}/{number}/{process}/{place}", process) for place in range(1, int(parts))]
    return zlib.decompress(b"".join([rest, *pieces]))


def _wait(client: Any, key: str, process: int) -> bytes:
    """Waits for a message as long as its sender may still be working."""
    while True:
        try:
            return bytes(client.blocking_key_value_get_bytes(key, LOOK * 1000))
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise InputError(
                    f"process {process} can no longer be reached: it, or process 0, has ended ({_first_line(error)}); "
                    "do: see what it has printed, and start all processes again: finished results are kept"
                ) from error
        _check_failures(client)


def _check_failures(client: Any) -> None:
    for key, text in client.key_value_dir_get(f"{_FAILED}/"):
        reason = base64.b64decode(text).decode("utf-8")
        raise InputError(f"process {key.rsplit('/', 1)[1]} has given up: {reason}")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _client() -> Any:
    """The client of the coordination service; JAX has no public name for it, and orbax takes it from here, too."""
    from jax._src import distributed

    return distributed.global_state.client
