"""One run at a time: a lock on a directory that vanishes with its process, however that ends."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import pathlib
import socket
from typing import Any

from nasjax.types import InputError

FILENAME = ".lock"
_log = logging.getLogger(__name__)
_TAKEN = (errno.EACCES, errno.EAGAIN)


class Lock:
    """A lock that is held until it is released or the process ends; make one by ``Lock.take``.

    It is the kernel's lock on an open file (flock), so a killed process leaves none behind, and the file itself means
    nothing. NFS forwards it to its server, which frees the lock of a machine that has crashed after a while.
    """

    def __init__(self, file: Any) -> None:
        """Keeps an open, locked file; users call ``Lock.take``."""
        self._file = file

    @classmethod
    def take(
        cls, directory: str | os.PathLike[str], *, what: str, shared: bool = False, name: str = FILENAME
    ) -> Lock:
        """Locks a directory; a file system or system without locks is gone on without, with a warning.

        Args:
          directory: an existing directory; the file is made in it.
          what: what the directory holds, for the message.
          shared: whether others may hold it, too, who also ask for a shared one.
          name: of the file.

        Returns:
          The lock.

        Raises:
          InputError: another run holds it.
          OSError: the file cannot be made.
        """
        path = pathlib.Path(directory) / name
        file = path.open("a+")
        try:
            import fcntl  # not on Windows

            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except ImportError:
            _log.warning("%s is not locked: this system has no flock. Let one run at a time use it.", path.parent)
        except OSError as error:
            if error.errno in _TAKEN:
                holder = _holder(file)
                file.close()
                raise InputError(
                    f"{what} in {path.parent} belongs to a run that is going on{holder}. Wait for it, end it, or use "
                    "another directory; to let several processes work on one run, start them together: "
                    "--coordinator_address, --num_processes, --process_id."
                ) from None
            _log.warning("%s is not locked (%s). Let one run at a time use it.", path.parent, error.strerror)
        with contextlib.suppress(OSError):  # a full disk takes the lock, but not the name
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
        return cls(file)

    def release(self) -> None:
        """Frees the directory."""
        self._file.close()


def _holder(file: Any) -> str:
    """Who has written its name into the file: " (process 7 on host)", or nothing."""
    with contextlib.suppress(OSError, ValueError):
        file.seek(0)
        name = file.read(200).strip()
        return f" ({name})" if name else ""
    return ""
