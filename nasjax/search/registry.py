"""Search algorithms by name."""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Callable
from typing import Any

from nasjax.search import evolution, nsga2, random_search, strategies
from nasjax.search.base import Algorithm
from nasjax.types import InputError

# Name -> (configuration, function from space and configuration to the algorithm).
_ALGORITHMS: dict[str, tuple[Any, Callable[[Any, Any], Algorithm]]] = {
    "random": (random_search.RandomConfig, random_search.random_search),
    "aging": (evolution.AgingConfig, evolution.aging),
    "evolution": (evolution.EvolutionConfig, evolution.evolution),
    "es": (strategies.EsConfig, strategies.es),
    "nsga2": (nsga2.Nsga2Config, nsga2.nsga2),
}


def names() -> tuple[str, ...]:
    """Names that ``get_algorithm`` knows."""
    return tuple(_ALGORITHMS)


def config(name: str, **options: Any) -> Any:
    """Options of an algorithm.

    Args:
      name: one of ``names()``.
      **options: fields of its configuration; the others keep their defaults.

    Returns:
      the configuration, a frozen dataclass.

    Raises:
      InputError: unknown name or option (the nearest are offered), or a value that is not allowed.
    """
    if name == "pruning":
        raise InputError("algorithm 'pruning' cuts a supernet down; do: call nasjax.search.prune")
    if name not in _ALGORITHMS:
        raise InputError(f"algorithm {name!r} is unknown; allowed: {', '.join(names())}; do: {_nearest(name, names())}")
    kind = _ALGORITHMS[name][0]
    known = tuple(field.name for field in dataclasses.fields(kind))
    for option in options:
        if option not in known:
            raise InputError(
                f"{name} has no option {option!r}; allowed: {', '.join(known)}; do: {_nearest(option, known)}"
            )
    return kind(**options)


def get_algorithm(name: str, space: Any, **options: Any) -> Algorithm:
    """An algorithm for a space; the same one for the same options, so that nothing is compiled twice.

    Args:
      name: one of ``names()``.
      space: search space.
      **options: see ``config``.

    Returns:
      the algorithm.

    Raises:
      InputError: see ``config``; or the space lacks what the algorithm needs.
    """
    return _build(name, space, config(name, **options))


@functools.lru_cache(maxsize=32)
def _build(name: str, space: Any, config: Any) -> Algorithm:
    return _ALGORITHMS[name][1](space, config)


def _nearest(word: Any, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(str(word).lower(), known, n=2, cutoff=0.5)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else "choose one of them"
