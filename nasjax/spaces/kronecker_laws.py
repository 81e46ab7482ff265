"""Random architectures of the Kronecker space: graphs of networkx, one generator of numbers an architecture.

An undirected random graph becomes a wiring by directing every edge from the lower to the higher number.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from nasjax.spaces import kronecker_codec as codec
from nasjax.spaces.kronecker_codec import Form
from nasjax.spaces.kronecker_graph import is_connected
from nasjax.spaces.kronecker_plan import Sizes, wiring
from nasjax.types import InputError

GENERATORS = ("ws", "er", "ba", "mixed")
_TRIES = 1000  # of a connected graph, and of an architecture unlike all earlier ones
_MOST_IDS = 1_000_000


class Law(NamedTuple):
    """How architectures are drawn.

    Attributes:
      form: sizes of architectures.
      generator: "ws", "er", "ba", or "mixed": one of the three for each architecture.
      ws_k: neighbours of a vertex in the ring of a Watts-Strogatz graph, one of these; fewer in small graphs.
      ws_p: range of the chance that an edge of the ring is moved.
      er_p: range of the chance of an edge of an Erdos-Renyi graph.
      ba_m: edges that a vertex of a Barabasi-Albert graph brings, one of these; fewer in small graphs.
      seed: of the space.
      sizes: of the network, where a wiring may leave no path through it; such ones are drawn anew. None: none may.
    """

    form: Form
    generator: str
    ws_k: tuple[int, ...]
    ws_p: tuple[float, float]
    er_p: tuple[float, float]
    ba_m: tuple[int, ...]
    seed: int
    sizes: Sizes | None = None


def check_law(law: Law) -> None:
    """Refuses what cannot be drawn.

    Raises:
      InputError: names the field, its value and what is allowed.
    """
    if law.generator not in GENERATORS:
        raise InputError(f"kronecker: generator={law.generator!r}; allowed are {', '.join(GENERATORS)}.")
    for name, low in (("ws_p", 0.0), ("er_p", 1e-3)):
        span = getattr(law, name)
        if len(span) != 2 or not low <= span[0] <= span[1] <= 1:
            raise InputError(f"kronecker: {name}={span!r}; allowed is a range ({low:g} or more, at most 1).")
    for name in ("ws_k", "ba_m"):
        values = getattr(law, name)
        if not values or any(not isinstance(v, int) or v < 1 for v in values):
            raise InputError(f"kronecker: {name}={values!r}; allowed are positive integers, at least one.")
    if not isinstance(law.seed, int) or isinstance(law.seed, bool) or law.seed < 0:
        raise InputError(f"kronecker: space_seed={law.seed!r}; allowed is an integer of 0 or more.")


def random_wiring(rng: np.random.Generator, law: Law, count: int) -> np.ndarray:
    """A weakly connected wiring of ``count`` vertices: bool [n, n], strictly upper triangular.

    Args:
      rng: generator.
      law: see `Law`.
      count: n.

    Returns:
      the adjacency matrix.

    Raises:
      InputError: no connected graph in 1,000 draws.
    """
    import networkx as nx

    kind = GENERATORS[int(rng.integers(3))] if law.generator == "mixed" else law.generator
    k, m = int(rng.choice(law.ws_k)), int(rng.choice(law.ba_m))
    p = float(rng.uniform(*(law.ws_p if kind == "ws" else law.er_p)))
    for _ in range(_TRIES):
        seed = int(rng.integers(2**31))
        if count < 3:
            graph = nx.complete_graph(count)
        elif kind == "ws":
            graph = nx.watts_strogatz_graph(count, max(2, min(k, count - 1) // 2 * 2), p, seed=seed)
        elif kind == "er":
            graph = nx.gnp_random_graph(count, p, seed=seed)
        else:
            graph = nx.barabasi_albert_graph(count, min(m, count - 1), seed=seed)
        found = np.triu(nx.to_numpy_array(graph, nodelist=range(count)) > 0, 1)
        if is_connected(np, found, np.ones(count, bool)):
            return found
    raise InputError(
        f"kronecker: no connected {kind} graph of {count} vertices with p={p:.3g} in {_TRIES:,} draws; "
        "do: raise er_p"
    )


def random_architecture(rng: np.random.Generator, law: Law) -> np.ndarray:
    """One architecture int32 [L]: number of vertices, wiring, operations, each uniform."""
    count = int(rng.integers(law.form.least, law.form.most + 1))
    edges = random_wiring(rng, law, count)
    ops = rng.integers(len(codec.OPS), size=(law.form.rows, count))
    return codec.make(law.form, edges, ops)


class _Drawn:
    """The architectures of ids 0, 1, ... so far: no two are isomorphic."""

    def __init__(self, law: Law):
        self.law = law
        self.archs: list[np.ndarray] = []
        self.seen: set[bytes] = set()

    def upto(self, last: int) -> None:
        """Draws what is missing up to an id."""
        while len(self.archs) <= last:
            number = len(self.archs)
            rng = np.random.default_rng(np.random.SeedSequence([self.law.seed, number]))
            arch = draw_other(rng, self.law, self.seen)
            if arch is None:
                raise InputError(
                    f"kronecker: no architecture unlike the {number:,} with smaller ids{_through(self.law)} in "
                    f"{_TRIES:,} draws; do: ask for fewer, or allow more vertices (max_vertices)"
                )
            self.archs.append(arch)


def draw_other(rng: np.random.Generator, law: Law, seen: set[bytes]) -> np.ndarray | None:
    """An architecture isomorphic to none of those seen, which it joins; None if 1,000 draws give none.

    Without one of the identities of the product, a short wiring may lead nowhere; it counts for none.
    """
    for _ in range(_TRIES):
        arch = random_architecture(rng, law)
        if law.sizes is not None and not wiring(np, law.sizes, arch).ends.any():
            continue
        form = codec.canonical(law.form, arch).tobytes()
        if form not in seen:
            seen.add(form)
            return arch
    return None


def _through(law: Law) -> str:
    return "" if law.sizes is None else ", with a path from the first block to the last,"


@functools.lru_cache(maxsize=8)
def _drawn(law: Law) -> _Drawn:
    return _Drawn(law)


def by_id(law: Law, ids: Any) -> np.ndarray:
    """The architectures of some ids.

    Id i is drawn by a generator of its own, ``SeedSequence([seed, i])``, until it is isomorphic to none of the ids
    below. It depends on the law alone: the same in every process, whatever was asked for before.

    Args:
      law: see `Law`.
      ids: integers from 0.

    Returns:
      int32 [n, L].

    Raises:
      InputError: an id is none, or there are not so many different architectures.
    """
    ids = np.atleast_1d(np.asarray(ids))
    if not ids.size:
        return np.zeros((0, law.form.length), np.int32)
    if not np.issubdtype(ids.dtype, np.integer) or ids.min() < 0 or ids.max() >= _MOST_IDS:
        raise InputError(f"kronecker: ids {ids.tolist()}; allowed are integers from 0 to {_MOST_IDS - 1:,}.")
    drawn = _drawn(law)
    drawn.upto(int(ids.max()))
    return np.stack([drawn.archs[i] for i in ids.tolist()])


def sample(law: Law, words: np.ndarray, num: int) -> np.ndarray:
    """A random population int32 [num, L]; no two are isomorphic, unless the space has hardly so many.

    Args:
      law: see `Law`.
      words: uint32 [...], of a random key.
      num: how many.

    Returns:
      the architectures.

    Raises:
      InputError: 1,000 draws gave none with a path from the first block to the last.
    """
    rng = np.random.default_rng(np.random.SeedSequence([law.seed, *np.asarray(words).reshape(-1).tolist()]))
    seen: set[bytes] = set()
    archs = np.zeros((num, law.form.length), np.int32)
    for i in range(num):
        other = draw_other(rng, law, seen)
        if other is None:
            seen.clear()
            other = draw_other(rng, law, seen)
        if other is None:
            raise InputError(f"kronecker: no architecture{_through(law)} in {_TRIES:,} draws; do: allow more vertices "
                             "(max_vertices), fewer blocks, or set outer_loops and inner_loops")  # fmt: skip
        archs[i] = other
    return archs
