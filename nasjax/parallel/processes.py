"""Several processes, on one machine or many: how they join, and who is who.

``jax.distributed`` brings them together and watches that all live; nothing here starts processes. Where one is killed,
JAX ends the others within `LIVENESS` seconds, with the message that another task died.
"""

from __future__ import annotations

import collections
import re
import socket
import threading
import time
import warnings
from typing import Any

import jax

from nasjax.types import InputError

TIMEOUT = 60  # seconds for all processes to find each other
LIVENESS = 60  # seconds until a process that gives no sign of life counts as dead
_RETRY = 0.5  # seconds between attempts to reach the coordinator
_FOREVER = 10**6  # seconds
_broken: list[threading.Thread] = []  # attempts to join that came to nothing
_NAMES = ("coordinator_address", "num_processes", "process_id")


def process_count() -> int:
    """How many processes work together; 1 without `initialize`."""
    return jax.process_count() if _joined() else 1


def process_index() -> int:
    """Number of this process, from 0."""
    return jax.process_index() if _joined() else 0


def _joined() -> bool:
    """Whether there is a connection; JAX takes one that was never made for one, too."""
    return jax.distributed.is_initialized() and not _broken


def is_main() -> bool:
    """Whether this process writes what is written once: process 0."""
    return process_index() == 0


def local_devices() -> list[jax.Device]:
    """Devices of this process, in the order the engines use them."""
    return jax.local_devices()


def device_summary() -> str:
    """Describes the local devices in one line, such as ``"4 x cpu"``.

    Returns:
      Count and kind of every kind of local device, with the process number when there are several.
    """
    kinds = collections.Counter(device.device_kind for device in local_devices())
    text = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
    if process_count() > 1:
        text += f" (process {process_index() + 1} of {process_count()})"
    return text


def initialize(
    *,
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    timeout: int = TIMEOUT,
    liveness: int = LIVENESS,
) -> bool:
    """Joins this process with the others; to be called before the first computation.

    Without arguments the three facts are taken from SLURM, GKE, Cloud TPU or Open MPI, as JAX detects them; where there
    is none of these, or ``num_processes=1``, the process stays alone. A second call changes nothing.

    Args:
      coordinator_address: host:port of process 0, which listens there; the same in all processes.
      num_processes: how many there are.
      process_id: number of this one, from 0.
      timeout: seconds within which all processes must have joined.
      liveness: seconds without a sign of life until a process counts as dead.

    Returns:
      Whether there are several processes.

    Raises:
      InputError: one of the three is missing or not allowed, the coordinator cannot be reached, not all processes have
        come in time, or devices are in use already.
    """
    given = {"coordinator_address": coordinator_address, "num_processes": num_processes, "process_id": process_id}
    if _joined():
        return process_count() > 1
    if all(value is None for value in given.values()):
        if _detected() < 2:
            return False
    else:
        if num_processes == 1 and process_id in (None, 0):
            return False
        host, port = _checked(given)
        begin = time.monotonic()
        if process_id == 0:
            _check_free(port)
        else:
            _reach(host, port, timeout, given)
        timeout = max(1, int(timeout - (time.monotonic() - begin)))
    _join(given, timeout, liveness)
    return process_count() > 1


def _join(given: dict[str, Any], timeout: float, liveness: int) -> None:
    """Joins in a thread of its own: JAX would end the whole process where not all come in time."""
    ends: list[Exception | None] = []

    def join() -> None:
        try:
            jax.distributed.initialize(
                **given,
                initialization_timeout=_FOREVER,
                heartbeat_timeout_seconds=liveness,
                cluster_detection_method=None if given["num_processes"] is None else "deactivate",
            )
            ends.append(None)
        except Exception as error:
            ends.append(error)

    thread = threading.Thread(target=join, name="nasjax-join", daemon=True)
    thread.start()
    thread.join(timeout)
    if ends == [None]:
        return
    _broken.append(thread)
    raise InputError(_why(ends[0] if ends else None, given, timeout))


def _checked(given: dict[str, Any]) -> tuple[str, int]:
    """Host and port; refuses what does not fit together."""
    missing = [name for name in _NAMES if given[name] is None]
    if missing:
        there = ", ".join(f"{name}={given[name]}" for name in _NAMES if given[name] is not None)
        raise InputError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing beside {there}; allowed: all of "
            f"{', '.join(_NAMES)}, or none where SLURM, GKE, Cloud TPU or Open MPI start the processes"
        )
    count, number = given["num_processes"], given["process_id"]
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise InputError(f"num_processes={count!r}; allowed: a whole number of at least 1")
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < count:
        raise InputError(f"process_id={number!r}; allowed: 0 to {count - 1}, since num_processes={count}")
    address = str(given["coordinator_address"])
    parts = re.fullmatch(r"(?P<host>\[[^\]]+\]|[^:\s/]+):(?P<port>\d+)", address)
    if parts is None or not 0 < int(parts["port"]) < 65536:
        raise InputError(
            f"coordinator_address={address!r}; allowed: host:port of process 0, such as 10.0.0.1:8476, without http://"
        )
    return parts["host"].strip("[]"), int(parts["port"])


def _detected() -> int:
    """How many processes a cluster manager has started, as JAX detects it; 1 where there is none.

    JAX has no public name for this question, and `jax.distributed.initialize` would join a lone process, too.
    """
    from jax._src import clusters

    with warnings.catch_warnings():
        # In a Kubernetes pod without JAX's optional package; who runs several says so by flags.
        warnings.simplefilter("ignore")
        try:
            for env in clusters.ClusterEnv._cluster_types:
                if not env.opt_in_only_method and env.is_env_present():
                    return int(env.get_process_count())
        except Exception as error:  # of the cluster's own client: any kind
            raise InputError(
                f"the cluster that started this process does not say how many there are ({error}); do: give "
                f"{', '.join(_NAMES)}, or num_processes=1 to work alone"
            ) from error
    return 1


def _check_free(port: int) -> None:
    """Refuses a port that another program listens on; the service would end the process."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", port))
    except OSError as error:
        raise InputError(
            f"process 0 cannot listen on port {port} ({error.strerror}); do: choose another port, in all processes"
        ) from None


def _reach(host: str, port: int, timeout: float, given: dict[str, Any]) -> None:
    """Waits until process 0 listens; the service's own client would end the process."""
    end, reason = time.monotonic() + timeout, "no answer"
    while True:
        left = end - time.monotonic()
        if left <= 0:
            raise InputError(
                f"process {given['process_id']} cannot reach the coordinator at {given['coordinator_address']} within "
                f"{timeout:.0f} s ({reason}); do: start process 0, with the same address, and check that no firewall "
                "is between"
            )
        try:
            socket.create_connection((host, port), timeout=left).close()
            return
        except OSError as error:
            reason = error.strerror or str(error) or reason
            time.sleep(min(_RETRY, max(0.0, end - time.monotonic())))


def _why(error: Exception | None, given: dict[str, Any], timeout: float) -> str:
    text = "not all have come" if error is None else (str(error).splitlines() or [type(error).__name__])[0]
    if "before any JAX calls" in text:
        return "parallel.initialize must come before the first computation or look at devices; do: call it earlier"
    who = "this process" if given["process_id"] is None else f"process {given['process_id']}"
    count = given["num_processes"] or "all"
    return (
        f"{who} could not join the others within {timeout:.0f} s ({text}); do: start {count} processes with the same "
        "coordinator_address and num_processes, each with another process_id"
    )
