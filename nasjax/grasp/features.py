"""Numbers that the network reads: node features, propagation matrices or edge lists, features of the whole graph."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nasjax.grasp.config import FeatureConfig, ModelConfig
from nasjax.grasp.graphs import ABSENT, Graphs, depths
from nasjax.types import InputError

# Fixed constants and no statistics of a data set, so that a predictor sees the change when it is moved to another one.
_LOG_SCALES = np.array([7.0, 7.0, 10.0, 10.0])
_STRIDE_SCALE = 2.0
_RESOLUTIONS, _WIDTHS = 9, 12  # buckets of powers of two
_QUANTILES = 257
_CLIP = 3.0


class Inputs(NamedTuple):
    """Arrays of n graphs with M nodes.

    Attributes:
      nodes: float32 [n, M, F].
      mask: float32 [n, M], 1 for nodes that the readout reads.
      links: dense: float32 [n, K, M, M], propagation matrices [receiver, sender]; jraph: int32 [n, 2, E], sender and
        receiver of each edge, M for none.
      whole: float32 [n, G], features of the graph for the head.
    """

    nodes: Any
    mask: Any
    links: Any
    whole: Any


class Scaling(NamedTuple):
    """How proxies become features: fixed at training, kept with the predictor.

    Attributes:
      values: float64 [p, q], quantiles of each proxy over the reference graphs.
      scores: float64 [q], normal scores of these quantiles.
      mean: float64 [p].
      deviation: float64 [p].
    """

    values: np.ndarray
    scores: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray


def proxy_columns(graphs: Graphs, names: tuple[str, ...]) -> list[np.ndarray]:
    """Columns of proxies, float64 [n] or [n, N].

    Args:
      graphs: population.
      names: which.

    Returns:
      one array a name.

    Raises:
      InputError: the graphs lack one, or it holds infinities.
    """
    found = []
    for name in names:
        values = graphs.node_proxies.get(name, graphs.proxies.get(name))
        if values is None:
            known = ", ".join([*graphs.proxies, *graphs.node_proxies]) or "none"
            raise InputError(f"the graphs carry no proxy {name!r}; they carry: {known}; do: add it by with_proxies")
        if np.isinf(values).any():
            raise InputError(f"proxy {name!r} is infinite for {int(np.isinf(values).sum())} graphs; allowed: numbers, "
                             "and NaN where unknown")  # fmt: skip
        found.append(values)
    return found


def fit_scaling(graphs: Graphs, names: tuple[str, ...]) -> Scaling:
    """Quantiles, means and deviations of proxies.

    Args:
      graphs: reference population.
      names: of the proxies.

    Returns:
      what `scaled` needs.

    Raises:
      InputError: a proxy is missing, or known for no graph.
    """
    from scipy import special

    levels = np.linspace(0, 1, _QUANTILES)
    scores = np.clip(special.ndtri(np.clip(levels, 1e-3, 1 - 1e-3)), -_CLIP, _CLIP)
    values, means, deviations = [], [], []
    for name, column in zip(names, proxy_columns(graphs, names), strict=True):
        known = column[np.isfinite(column)]
        if not len(known):
            raise InputError(f"proxy {name!r} is unknown for every graph; do: leave it out")
        values.append(np.quantile(known, levels))
        means.append(known.mean())
        deviations.append(known.std() or 1.0)
    shape = (len(names), _QUANTILES)
    return Scaling(np.array(values).reshape(shape), scores, np.array(means), np.array(deviations))


def scaled(graphs: Graphs, names: tuple[str, ...], scaling: Scaling, transform: str) -> list[np.ndarray]:
    """Proxies as features: about normal, NaN kept.

    Args:
      graphs: population.
      names: of the proxies.
      scaling: of the reference population.
      transform: "rank" or "standard".

    Returns:
      one array [n] or [n, N] a proxy.
    """
    found = []
    for i, column in enumerate(proxy_columns(graphs, names)):
        if transform == "standard":
            found.append(np.clip((column - scaling.mean[i]) / scaling.deviation[i], -2 * _CLIP, 2 * _CLIP))
            continue
        # The middle of a tie: several quantiles share its value.
        low = np.searchsorted(scaling.values[i], column, side="left")
        high = np.searchsorted(scaling.values[i], column, side="right")
        inner = np.interp(column, scaling.values[i], np.arange(_QUANTILES))
        place = np.where(high > low, (low + high - 1) / 2, inner)
        found.append(np.where(np.isnan(column), np.nan, np.interp(place, np.arange(_QUANTILES), scaling.scores)))
    return found


def inputs(graphs: Graphs, features: FeatureConfig, model: ModelConfig, scaling: Scaling) -> Inputs:
    """What the network reads of a population.

    Args:
      graphs: population.
      features: which features.
      model: decides between matrices and edge lists, and whether there is a global vertex.
      scaling: of the proxies.

    Returns:
      NumPy arrays.

    Raises:
      InputError: the graphs lack what the configuration names.
    """
    present = graphs.ops != ABSENT
    parts = [np.eye(len(graphs.vocabulary))[np.where(present, graphs.ops, 0)], shape_features(graphs, features.shapes)]
    if features.degrees:
        parts.append(_degrees(graphs))
    whole: list[np.ndarray] = []
    for column in scaled(graphs, features.proxies, scaling, features.transform):
        known = np.isfinite(column)
        pair = np.stack([np.where(known, column, 0), ~known], -1)  # a value, and whether it is missing
        if column.ndim == 2:
            parts.append(pair)
        elif features.proxies_as == "node":
            parts.append(np.broadcast_to(pair[:, None], (*present.shape, 2)))
        else:
            whole.append(pair)
    if features.dataset:
        if graphs.dataset is None:
            raise InputError("dataset=True, but the graphs do not say what they are trained on; do: "
                             "graphs.with_dataset(num_classes=10, num_images=50000)")  # fmt: skip
        whole.append(np.log2(graphs.dataset) / np.array([10.0, 20.0]))
    nodes = np.concatenate(parts, -1) * present[..., None]
    adjacency = graphs.adjacency
    mask = present.astype(np.float32)
    if model.readout == "global":
        nodes, adjacency, present, mask = _with_global(nodes, adjacency, present)
    links = edge_lists(adjacency, present, model.direction) if model.implementation == "jraph" else propagation(
        adjacency, present, model.direction
    )
    count = len(graphs)
    rest = np.concatenate(whole, -1) if whole else np.zeros((count, 0))
    return Inputs(nodes.astype(np.float32), mask, links, rest.astype(np.float32))


def shape_features(graphs: Graphs, kind: str) -> np.ndarray:
    """Vertex shapes as features: float64 [n, N, 5], [n, N, 23] or [n, N, 0]."""
    if kind == "none":
        return np.zeros((*graphs.ops.shape, 0))
    logs = np.log2(np.maximum(graphs.shapes[..., :4], 1.0))
    stride = graphs.shapes[..., 4:]
    if kind == "log":
        return np.concatenate([logs / _LOG_SCALES, stride / _STRIDE_SCALE], -1)
    height, width = (np.rint(logs[..., i]).astype(int) for i in (0, 3))
    resolution = np.eye(_RESOLUTIONS)[np.minimum(height, _RESOLUTIONS - 1)]
    channels = np.eye(_WIDTHS)[np.minimum(width, _WIDTHS - 1)]
    return np.concatenate([resolution, channels, stride == 1, stride > 1], -1)


def propagation(adjacency: np.ndarray, present: np.ndarray, direction: str) -> np.ndarray:
    """Matrices that nodes are multiplied by.

    Args:
      adjacency: bool [n, M, M], [source, target].
      present: bool [n, M].
      direction: see `ModelConfig`.

    Returns:
      float32 [n, K, M, M], [receiver, sender]; two matrices for "bi", forward and backward, else one.
    """
    own = np.eye(adjacency.shape[1], dtype=bool) & present[:, :, None]
    if direction == "succ":
        return (adjacency | own)[:, None].astype(np.float32)
    backward = adjacency.swapaxes(1, 2)
    if direction == "sym":
        both = (adjacency | backward | own).astype(np.float64)
        degree = np.sqrt(np.maximum(both.sum(2), 1))
        return (both / degree[:, :, None] / degree[:, None, :])[:, None].astype(np.float32)
    ways = np.stack([backward | own, adjacency | own], 1).astype(np.float64)
    return (ways / np.maximum(ways.sum(-1, keepdims=True), 1)).astype(np.float32)


def edge_lists(adjacency: np.ndarray, present: np.ndarray, direction: str) -> np.ndarray:
    """Edges as jraph takes them, without self edges, filled up.

    Args:
      adjacency: bool [n, M, M], [source, target].
      present: bool [n, M].
      direction: "sym" lists both ways, "bi" source to target, "succ" target to source.

    Returns:
      int32 [n, 2, E], sender and receiver; M for none.
    """
    count, size = present.shape
    ways = {"sym": adjacency | adjacency.swapaxes(1, 2), "bi": adjacency, "succ": adjacency.swapaxes(1, 2)}[direction]
    graph, sender, receiver = np.nonzero(ways)
    per = np.bincount(graph, minlength=count)
    place = np.arange(len(graph)) - np.repeat(np.cumsum(per) - per, per)
    found = np.full((count, 2, max(1, int(per.max(initial=0)))), size, np.int32)
    found[graph, 0, place], found[graph, 1, place] = sender, receiver
    return found


def _degrees(graphs: Graphs) -> np.ndarray:
    into, out = (graphs.adjacency.sum(axis) for axis in (1, 2))
    depth = depths(graphs.adjacency)
    longest = np.maximum(depth.max(1, keepdims=True), 1)
    return np.stack([into / 4.0, out / 4.0, depth / longest], -1)


def _with_global(
    nodes: np.ndarray, adjacency: np.ndarray, present: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Adds a last vertex, marked by a feature of its own, with an edge to every vertex; it alone is read."""
    count, size, _ = nodes.shape
    nodes = np.pad(nodes, ((0, 0), (0, 1), (0, 1)))
    nodes[:, -1, -1] = 1
    adjacency = np.pad(adjacency, ((0, 0), (0, 1), (0, 1)))
    adjacency[:, -1, :-1] = present
    mask = np.zeros((count, size + 1), np.float32)
    mask[:, -1] = 1
    return nodes, adjacency, np.pad(present, ((0, 0), (0, 1)), constant_values=True), mask
