"""A choice of proxies as a file: what ``launch.libra`` writes and a search reads."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from nasjax.proxies import registry as proxy_registry
from nasjax.search.aggregation import KINDS
from nasjax.spaces import registry as space_registry
from nasjax.types import InputError

FORMAT = "nasjax.selection"
VERSION = 1
# Names of published tables that this library calls otherwise.
ALIASES = {
    "jacov": "jacob_cov",
    "jacob_covariance": "jacob_cov",
    "naswot": "nwot",
    "logdet": "nwot",
    "zen_score": "zen",
    "#params": "params",
    "num_params": "params",
}
_FIELDS = ("proxies", "signs", "aggregation", "space", "source", "reasons")


@dataclasses.dataclass(frozen=True)
class Selection:
    """Proxies and how they are merged, chosen on one table for a search elsewhere.

    Attributes:
      proxies: names as ``launch.score --proxies`` takes them, with options where there are any
        ("lswag:interval=2-6"); names of published tables (``ALIASES``) are turned into those of this library.
      signs: +1 or -1 a proxy: multiplies its score so that higher is better.
      aggregation: one of ``nasjax.search.aggregation.KINDS``.
      space: search space of the table; empty when unknown.
      source: the table that the choice was made on.
      reasons: why, whatever JSON can hold; ``libra`` puts its candidates, gains and biases here.

    Raises:
      InputError: a name that is no proxy or an option that it does not have (the nearest are offered), a proxy twice,
        signs that do not fit, an unknown aggregation or space.
    """

    proxies: tuple[str, ...]
    signs: tuple[int, ...]
    aggregation: str = "ranksum"
    space: str = ""
    source: str = ""
    reasons: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Checks the fields, and turns lists into tuples."""
        if isinstance(self.proxies, str) or not self.proxies:
            raise InputError(f"proxies={self.proxies!r}; allowed: one or more names; do: give a sequence of them")
        object.__setattr__(self, "proxies", tuple(proxy_name(name) for name in self.proxies))
        object.__setattr__(self, "signs", tuple(self.signs))
        for name in self.proxies:
            if len(proxy_registry.parse([name])) != 1:
                raise InputError(f"{name!r} names several proxies; allowed: one name each; do: list them one by one")
        if len(set(self.proxies)) < len(self.proxies):
            raise InputError(f"proxies {', '.join(self.proxies)}: one is there twice; do: name each once")
        if len(self.signs) != len(self.proxies) or any(type(s) is not int or s not in (1, -1) for s in self.signs):
            raise InputError(
                f"signs={list(self.signs)!r}; allowed: 1 or -1 for each of {', '.join(self.proxies)}; do: correct them"
            )
        if self.aggregation not in KINDS:
            raise InputError(f"aggregation={self.aggregation!r}; {_nearest(str(self.aggregation), KINDS)}")
        if self.space and self.space not in space_registry.names():
            raise InputError(f"space={self.space!r}; {_nearest(str(self.space), space_registry.names())}")

    def save(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Writes the file, in place of one of the same name.

        Args:
          path: the file.

        Returns:
          The file.

        Raises:
          InputError: it cannot be written, or ``reasons`` holds something that JSON cannot.
        """
        file = pathlib.Path(path)
        content = {"format": FORMAT, "version": VERSION} | {name: getattr(self, name) for name in _FIELDS}
        try:
            text = json.dumps(content, indent=2, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(f"reasons of the selection cannot be written as JSON ({error}); allowed: texts, finite "
                             "numbers, lists and mappings of them") from None  # fmt: skip
        half = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            half.write_text(text + "\n", encoding="utf-8")
            half.replace(file)  # at once: readers see the old file or the new one
        except OSError as error:
            raise InputError(f"Cannot write {file}: {error.strerror}. Name a file that you may write to.") from None
        return file

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Selection:
        """Reads a selection file.

        Args:
          path: the file.

        Returns:
          The selection.

        Raises:
          InputError: no such file, damaged, of another kind or a later version, or it names no proxies of this library.
        """
        file = pathlib.Path(path)
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{file} cannot be read ({error.strerror}); allowed: a selection file; do: make one by "
                             "launch.libra") from None  # fmt: skip
        except ValueError as error:
            raise InputError(f"{file} is damaged or no selection file ({error}); allowed: JSON as launch.libra writes "
                             "it; do: make it again") from None  # fmt: skip
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            found = content.get("format") if isinstance(content, dict) else type(content).__name__
            raise InputError(f"{file} is no selection file: its format is {found!r}; allowed: {FORMAT!r}; do: name the "
                             "selection.json that launch.libra wrote") from None  # fmt: skip
        if content.get("version") != VERSION:
            raise InputError(f"{file} has version {content.get('version')!r}; allowed: {VERSION}; do: make it again "
                             "with this version of nasjax")  # fmt: skip
        missing = [name for name in _FIELDS if name not in content]
        wrong = [n for n in ("proxies", "signs") if not isinstance(content.get(n, []), list)]
        wrong += [n for n in ("aggregation", "space", "source") if not isinstance(content.get(n, ""), str)]
        wrong += [n for n in ("proxies",) if any(not isinstance(x, str) for x in content.get(n) or ())]
        wrong += [n for n in ("reasons",) if not isinstance(content.get(n, {}), dict)]
        if missing or wrong:
            said = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has no proper {', '.join(wrong)}"] * bool(wrong)
            raise InputError(f"{file} is damaged: it {' and '.join(said)}; do: make it again by launch.libra")
        try:
            return cls(**{name: content[name] for name in _FIELDS})
        except InputError as error:
            raise InputError(f"{file}: {error}") from None


def proxy_name(name: str) -> str:
    """The name that this library gives a proxy of a published table.

    Args:
      name: such as "jacov"; options behind a colon are kept.

    Returns:
      Such as "jacob_cov"; the name itself where it is no alias.
    """
    first, colon, rest = str(name).strip().partition(":")
    return f"{ALIASES.get(first, first)}{colon}{rest}"


def is_proxy(name: str) -> bool:
    """Whether ``launch.score`` could compute this.

    Args:
      name: of a column of a table, or an alias.

    Returns:
      True if the name (and its options) is registered.
    """
    try:
        return len(proxy_registry.parse([proxy_name(name)])) == 1
    except InputError:
        return False


def _nearest(name: str, allowed: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, allowed, n=2, cutoff=0.5)
    advice = f"did you mean {' or '.join(close)}?" if close else "choose one of them"
    return f"allowed: {', '.join(allowed)}; do: {advice}"
