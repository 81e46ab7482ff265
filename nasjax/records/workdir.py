"""Files of a working directory: the configuration it belongs to and the table of scores."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pathlib
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nasjax.types import InputError

if TYPE_CHECKING:
    from nasjax.records.store import Record

CONFIG_FILENAME = "config.json"
_DIFFERENCES = 8  # that a message lists
_LONGEST = 100  # characters of a value in a message


def claim_workdir(
    path: str | os.PathLike[str], config: Mapping[str, Any], *, ignore: Iterable[str] = ()
) -> pathlib.Path:
    """Makes a working directory belong to one configuration, written as ``config.json``.

    A second run of the same configuration goes on there; one of another configuration is refused, so that
    results of two experiments never mix.

    Args:
      path: the directory, made when absent.
      config: field -> value; whatever JSON can hold.
      ignore: fields that are recorded and not compared (they change no number).

    Returns:
      The directory.

    Raises:
      InputError: the directory belongs to another configuration (the message lists what differs), its
        ``config.json`` is damaged, or it cannot be written.
    """
    directory = pathlib.Path(path)
    target = directory / CONFIG_FILENAME
    new = json.loads(json.dumps(dict(config), sort_keys=True))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            temporary = _temporary(target)
            try:
                with temporary.open("w") as file:
                    file.write(json.dumps(new, indent=2, sort_keys=True) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                _publish(temporary, target)
            finally:
                with contextlib.suppress(OSError):
                    temporary.unlink()
        text = target.read_bytes()
    except OSError as error:
        raise InputError(f"Cannot use {directory} as a working directory: {error.strerror}. Name a directory that you"
                         " may write to.") from None
    try:
        old = json.loads(text)
        if not isinstance(old, dict):
            raise ValueError
    except (ValueError, RecursionError):
        raise InputError(f"{target} is damaged or not written by nasjax. Remove it to claim the directory again, or"
                         " use another --workdir.") from None
    skipped = set(ignore)
    differing = [k for k in sorted({*old, *new} - skipped) if old.get(k) != new.get(k) or (k in old) != (k in new)]
    if differing:
        lines = "\n".join(f"  {k}: there {_shown(old, k)}, now {_shown(new, k)}" for k in differing[:_DIFFERENCES])
        if len(differing) > _DIFFERENCES:
            lines += f"\n  and {len(differing) - _DIFFERENCES} more"
        raise InputError(f"{directory} holds results of another configuration:\n{lines}\n"
                         "Use another --workdir, or the same flags as before.")
    return directory


def write_scores(
    path: str | os.PathLike[str], archs: Sequence[str], columns: Mapping[str, Mapping[str, Record]]
) -> None:
    """Writes a wide table of scores; see ``Store.write_csv``.

    Args:
      path: the file, replaced in one step.
      archs: which architectures become rows, in this order.
      columns: title -> architecture -> record.

    Raises:
      InputError: the file cannot be written.
    """
    with replaced(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["arch", *columns, "valid", "reason"])
        for arch in archs:
            found = {title: column[arch] for title, column in columns.items() if arch in column}
            bad = [(title, record.reason) for title, record in found.items() if not record.valid]
            scores = [repr(float(found[title].score)) if title in found else "" for title in columns]
            reason = joined_reasons(bad, len(columns)) if found else "not scored"
            writer.writerow([arch, *scores, bool(found) and not bad, reason])


def joined_reasons(bad: Sequence[tuple[str, str]], columns: int) -> str:
    """Says why an architecture is invalid: once when all proxies agree, with the proxies' names otherwise.

    Args:
      bad: pairs of proxy and reason.
      columns: how many proxies there are.

    Returns:
      One line.
    """
    reasons = list(dict.fromkeys(reason for _, reason in bad))
    if len(reasons) == 1 and len(bad) == columns:
        return reasons[0]
    return "; ".join(f"{', '.join(t for t, other in bad if other == reason)}: {reason}" for reason in reasons)


def _shown(config: Mapping[str, Any], field: str) -> str:
    if field in config and config[field] is None:
        return "not given"
    text = json.dumps(config[field]) if field in config else "absent"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _publish(temporary: pathlib.Path, target: pathlib.Path) -> None:
    """Gives a finished file its name; the first of two processes wins."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        pass
    except OSError:  # no hard links here
        os.replace(temporary, target)


def _temporary(path: pathlib.Path) -> pathlib.Path:
    """A name beside ``path`` that no other process uses."""
    return path.with_name(f".{path.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}")


@contextlib.contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Opens a text file that takes the place of another one only when it is complete.

    Args:
      path: the file; it stays as it is if the body fails, the disk is full or the process is killed.

    Yields:
      A file to write text to, in UTF-8.

    Raises:
      InputError: it cannot be written.
    """
    path = pathlib.Path(path)
    temporary = _temporary(path)
    try:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            yield file
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror}. Make room, or name a --workdir that you may write"
                         " to; what was there is kept.") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
