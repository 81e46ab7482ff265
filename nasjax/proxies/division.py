"""Scores on several processes: which one scores what, and how all get all scores.

Every process names the architectures whose records it can read. What none has is dealt out in turn, so costs spread
evenly whatever an earlier run has left; nothing is exchanged while scoring; at the end each sends what not all have.
Whether the processes see each other's files is never relied upon.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from nasjax import parallel
from nasjax.hashing import fingerprint
from nasjax.records import Record

Records = Mapping[tuple[str, str], Record]


@dataclasses.dataclass(frozen=True)
class Work:
    """The share of this process in a population.

    Attributes:
      contexts: of the records, one a proxy.
      archs: distinct encodings.
      own: places in ``archs`` that this process scores.
      send: places whose records it sends, in the end.
      done: how many architectures have records before.
    """

    contexts: tuple[str, ...]
    archs: tuple[str, ...]
    own: tuple[int, ...]
    send: tuple[int, ...]
    done: int


def agree(contexts: Sequence[str], archs: Sequence[str], records: Records) -> Work:
    """Divides a population among the processes.

    Args:
      contexts: of the records that are needed for an architecture.
      archs: distinct encodings, the same in all processes.
      records: what this process could read.

    Returns:
      The share of this process.

    Raises:
      InputError: the processes score different things, or one cannot be reached.
    """
    here = np.array([all((c, arch) in records for c in contexts) for arch in archs], bool)
    if parallel.process_count() == 1:
        own = tuple(np.flatnonzero(~here).tolist())
        return Work(tuple(contexts), tuple(archs), own, (), len(archs) - len(own))
    name = fingerprint([list(contexts), list(archs)])
    bits = base64.b64encode(np.packbits(here).tobytes()).decode("ascii")
    found = parallel.gather("what to score", [name, bits])
    parallel.check_agreement([who for who, _ in found], what="Architectures, images, proxies or options")
    there = np.stack([_unpacked(text, len(archs)) for _, text in found])
    return divide(contexts, archs, there, parallel.process_index())


def divide(contexts: Sequence[str], archs: Sequence[str], there: np.ndarray, process: int) -> Work:
    """The share of one process.

    Args:
      contexts: of the records.
      archs: distinct encodings.
      there: bool [processes, architectures], who can read what.
      process: number of the process.

    Returns:
      Its share: every architecture that nobody has belongs to exactly one process, and every record that not all have
      is sent by exactly one.
    """
    missing = np.flatnonzero(~there.any(0))
    own = missing[process :: len(there)]
    first = there.argmax(0)  # the first process that has it
    send = np.flatnonzero(there.any(0) & ~there.all(0) & (first == process))
    places = (tuple(own.tolist()), tuple(sorted([*own.tolist(), *send.tolist()])))
    return Work(tuple(contexts), tuple(archs), *places, len(archs) - len(missing))


def collect(work: Work, records: Records) -> dict[tuple[str, str], Record]:
    """Brings the records of all processes together.

    Args:
      work: the share of this process, all of it scored.
      records: what this process has.

    Returns:
      The records of the others that may be missing here; empty for a process alone.

    Raises:
      InputError: another process has given up, or cannot be reached.
    """
    if parallel.process_count() == 1:
        return {}
    rows = [
        [i, place, *records[context, work.archs[place]][2:]]
        for place in work.send
        for i, context in enumerate(work.contexts)
    ]
    found = {}
    for others in parallel.gather("scores", rows):
        for i, place, *fields in others:
            key = work.contexts[i], work.archs[place]
            found[key] = Record(*key, *fields)
    return found


def _unpacked(text: str, count: int) -> np.ndarray:
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=count).astype(bool)
