"""From alpha to a genotype: by perturbation of the trained mixture, or by the largest alpha.

Perturbation (Wang et al., ICLR 2021): an operation is worth what its removal costs. For an edge drawn at random, each
operation's weight is set to zero, without renormalising the rest; the operation whose removal hurts most is chosen.
When all edges have their operation, nodes with more than two edges, in random order, drop the edge that is missed least
until two are left. Between two choices the network is fine-tuned.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax.das.config import DASConfig
from nasjax.das.search_config import SearchConfig

EDGES_KEPT = 2  # of a node


class Event(NamedTuple):
    """A choice of the perturbation.

    Attributes:
      epoch: of the search in which it was made.
      edge: number of the edge that received its operation, or -1.
      node: number of the node whose edges were dropped, or -1.
      chosen: number of the operation, or of the edge that was dropped last.
      accuracy: accuracy without each operation of the edge, or each edge of the node; NaN for what was not tried.
      loss: mean loss likewise.
    """

    epoch: int
    edge: int
    node: int
    chosen: int
    accuracy: tuple[float, ...]
    loss: tuple[float, ...]


def crowded(cell: DASConfig) -> tuple[int, ...]:
    """Nodes with more edges than they keep."""
    return tuple(node for node in range(cell.num_nodes) if len(cell.node_edges(node)) > EDGES_KEPT)


def num_events(cell: DASConfig, config: SearchConfig) -> int:
    """How many choices the perturbation makes: every edge, then every node with more than two."""
    return len(cell.edges) + (len(crowded(cell)) if config.edge_topology else 0)


def total_epochs(cell: DASConfig, config: SearchConfig) -> int:
    """Epochs of a search with all of its choices: 50 + 81 with the defaults.

    Args:
      cell: of the search.
      config: settings.

    Returns:
      ``epochs``, and for perturbation ``interval * (choices - 1) + 1`` more.
    """
    if config.select == "argmax":
        return config.epochs
    return config.epochs + config.interval * (num_events(cell, config) - 1) + 1


def event_of(epoch: int, config: SearchConfig) -> int | None:
    """Number of the choice that an epoch begins with, or None."""
    past = epoch - config.epochs
    if config.select == "argmax" or past < 0 or past % config.interval:
        return None
    return past // config.interval


def subject(key: jax.Array, event: int, cell: DASConfig) -> tuple[int, int]:
    """Which edge or node a choice is about; all are drawn without repetition.

    Args:
      key: typed key of the search's choices.
      event: number of the choice.
      cell: of the search.

    Returns:
      (edge, -1) or (-1, node).
    """
    edge_key, node_key = jax.random.split(key)
    edges, nodes = len(cell.edges), crowded(cell)
    if event < edges:
        return int(jax.random.permutation(edge_key, edges)[event]), -1
    return -1, nodes[int(jax.random.permutation(node_key, len(nodes))[event - edges])]


def candidates(weights: np.ndarray, kept: np.ndarray, edge: int, node: int, cell: DASConfig) -> tuple[Any, Any]:
    """Mixtures with something taken away.

    Args:
      weights: float [edges, operations], of the present mixture.
      kept: bool [edges].
      edge: whose operations are taken away one by one, or -1.
      node: whose edges are.
      cell: of the search.

    Returns:
      weights float [c, edges, operations], c the same for all edges and nodes; and int [c], which operation or
      edge is missing, -1 in rows that only fill up.
    """
    most = max(weights.shape[1], *(len(cell.node_edges(n)) for n in range(cell.num_nodes)))
    rows = np.repeat(weights[None], most, 0)
    missing = np.full(most, -1)
    if edge >= 0:
        for k in range(weights.shape[1]):
            rows[k, edge, k], missing[k] = 0, k
    else:
        for i, e in enumerate(e for e in cell.node_edges(node) if kept[e]):
            rows[i, e], missing[i] = 0, e
    return rows, missing


def most_missed(accuracy: np.ndarray, loss: np.ndarray, missing: np.ndarray, criterion: str) -> int:
    """What hurts most when it is missing.

    Args:
      accuracy: float [c].
      loss: float [c].
      missing: int [c], -1 in rows that do not count.
      criterion: "accuracy", ties by loss, or "loss".

    Returns:
      The entry of ``missing``.
    """
    return int(missing[_order(accuracy, loss, missing, criterion)[0]])


def least_missed(accuracy: np.ndarray, loss: np.ndarray, missing: np.ndarray, criterion: str) -> int:
    """What hurts least when it is missing; see `most_missed`."""
    return int(missing[_order(accuracy, loss, missing, criterion)[-1]])


def by_argmax(alpha: np.ndarray, cell: DASConfig, *, edge_topology: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """The operation of largest alpha on every edge; nodes keep the edges whose largest weight is largest.

    Args:
      alpha: float [edges, operations].
      cell: of the search.
      edge_topology: whether nodes keep two edges.

    Returns:
      chosen int [edges], kept bool [edges].
    """
    weights = np.exp(alpha - alpha.max(-1, keepdims=True))
    largest = (weights / weights.sum(-1, keepdims=True)).max(-1)
    kept = np.ones(len(alpha), bool)
    if edge_topology:
        for node in crowded(cell):
            own = np.asarray(cell.node_edges(node))
            kept[own[np.argsort(-largest[own], kind="stable")[EDGES_KEPT:]]] = False
    return alpha.argmax(-1), kept


def entropy(alpha: np.ndarray) -> np.ndarray:
    """Entropy of the softmax over operations, as a share of that of the uniform law.

    Args:
      alpha: float [..., operations].

    Returns:
      float [...], 1 where all operations are alike, 0 where one has all the weight; 0 for a single operation.
    """
    if alpha.shape[-1] == 1:
        return np.zeros(alpha.shape[:-1])
    logits = alpha - alpha.max(-1, keepdims=True)
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return -(np.exp(log) * log).sum(-1) / np.log(alpha.shape[-1])


def _order(accuracy: np.ndarray, loss: np.ndarray, missing: np.ndarray, criterion: str) -> np.ndarray:
    """Rows that count, what hurts most first; NaN of a loss hurts most of all."""
    rows = np.flatnonzero(missing >= 0)
    harm = np.nan_to_num(loss[rows], nan=np.inf)
    keys = (-harm, accuracy[rows]) if criterion == "accuracy" else (-harm,)
    return rows[np.lexsort(keys)]
