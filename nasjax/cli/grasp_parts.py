"""Finished parts of a transfer matrix on disk, so that a stopped run goes on."""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Iterator, MutableMapping
from typing import Any

from nasjax.records import replaced

FILENAME = "transfer_parts.json"


class Parts(MutableMapping[str, Any]):
    """Source -> Kendall's taus; what is set is on disk. Parts of other data or options are forgotten."""

    def __init__(self, workdir: pathlib.Path, run: str):
        """Reads what there is.

        Args:
          workdir: directory of the run.
          run: fingerprint of everything that decides the numbers.
        """
        self._path, self._run = workdir / FILENAME, run
        self._parts: dict[str, Any] = {}
        # Without a file, or with one of another form, all is done anew.
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(self._path.read_text(encoding="utf-8"))
            if found["run"] == run:
                self._parts = dict(found["taus"])

    def __getitem__(self, source: str) -> Any:
        """Numbers of a source."""
        return self._parts[source]

    def __setitem__(self, source: str, taus: Any) -> None:
        """Keeps the numbers of a source; the file is replaced in one step."""
        self._parts[source] = taus
        with replaced(self._path) as file:
            file.write(json.dumps({"run": self._run, "taus": self._parts}) + "\n")

    def __delitem__(self, source: str) -> None:
        """Forgets a source until the next is set."""
        del self._parts[source]

    def __iter__(self) -> Iterator[str]:
        """Sources."""
        return iter(self._parts)

    def __len__(self) -> int:
        """Number of sources."""
        return len(self._parts)
