"""Structure of a NAS-Bench-201 cell: paths, dead branches, isomorphism, and the cell as a graph."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from nasjax.spaces import dag
from nasjax.spaces.cell201_codec import OPS, check_arch
from nasjax.types import Graph

_SKIP = OPS.index("skip_connect")


def is_valid(arch: Any) -> Any:
    """Whether the cell passes anything on: a path of operations other than ``none`` from input to output.

    Args:
      arch: integers [6] or [n, 6].

    Returns:
      ``(valid, reason)``: a bool and a text, empty when valid, for [6]; bool [n] and a list of n texts
      for [n, 6].

    Raises:
      InputError: if ``arch`` is no architecture.
    """
    array = check_arch(arch)
    valid = dag.reachable(array)[..., 3]
    if array.ndim == 1:
        return bool(valid), "" if valid else dag.NO_PATH
    return valid, ["" if ok else dag.NO_PATH for ok in valid]


def live_edges(arch: Any) -> np.ndarray:
    """Edges that lie on some path of operations from input to output.

    An edge with an operation that is not live sits in a dead branch: it receives nothing or nobody
    reads it. Its weights exist and are counted, but cannot influence the output.

    Args:
      arch: integers [6] or [n, 6].

    Returns:
      bool array of the same shape.

    Raises:
      InputError: if ``arch`` is no architecture.
    """
    return dag.live_edges(check_arch(arch))


def canonical(arch: Any) -> Any:
    """Canonical text of a cell: equal texts, equal cells up to the published isomorphism.

    The benchmark counts 6,466 distinct cells among 15,625, and this is its rule. ``skip_connect`` is
    the identity; ``none`` and whatever reads it directly give ``#``; the terms of a sum are sorted. So
    a branch nobody reads disappears. Sums are never simplified further: ``x+x`` differs from ``x``,
    a sum with zeros differs from the sum without, and nested sums are not flattened. Equal texts
    therefore mean equal functions (as long as batch norm maps zero to zero, that is, up to its
    trained bias), but different texts can mean equal functions too: there are 4,930 of those.

    Args:
      arch: integers [6] or [n, 6].

    Returns:
      A string for [6], a list of strings for [n, 6]; ``0`` in it stands for the input.

    Raises:
      InputError: if ``arch`` is no architecture.

    Examples:
      >>> canonical([1, 1, 0, 1, 1, 1])  # three identities: node 1, node 2 and the input meet in node 3
      '#+0+0+0'
    """
    array = check_arch(arch)
    texts = [_output_text(tuple(row)) for row in np.atleast_2d(array).tolist()]
    return texts[0] if array.ndim == 1 else texts


def to_graph(arch: Any) -> Graph:
    """The cell as a graph whose nodes are operations.

    Args:
      arch: integers [6].

    Returns:
      Graph with the nodes ``input``, one for each edge whose operation is not ``none`` (in edge order)
      and ``output``. Operations in dead branches are included.

    Raises:
      InputError: if ``arch`` is no architecture.
    """
    return dag.to_graph(check_arch(arch).tolist(), OPS)


@functools.cache
def _output_text(ops: tuple[int, ...]) -> str:
    # The partition depends on how the terms sort as text, so the spelling is that of the benchmark.
    return dag.text(ops, OPS, lambda op, source: op == _SKIP)
