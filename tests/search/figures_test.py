"""Figures of a search: they are drawn for every space, and no node lies on another."""

import jax
import numpy as np
import pytest

import nasjax
from nasjax import report
from nasjax.search import search
from nasjax.search.figures import front_figure, graph_figure, layout, progress_figure
from nasjax.spaces import registry
from nasjax.types import Graph

# The larger AutoFormer spaces differ from the tiny one in numbers alone.
NAMES = [name for name in registry.names() if name not in ("autoformer_small", "autoformer_base")]


@pytest.mark.parametrize("name", NAMES)
def test_layout(name):
    space = nasjax.get_space(name)
    for arch in np.asarray(space.sample(jax.random.key(0), 5)):
        graph = space.to_graph(arch)
        x, y = layout(graph)
        places = set(zip(x.tolist(), y.tolist(), strict=True))
        assert len(places) == len(graph.nodes), "two nodes in one place"
        assert all(y[s] > y[t] or x[s] < x[t] for s, t in graph.edges), "a target above its source"


def test_parts_stand_side_by_side():
    x, y = layout(Graph(("a", "b", "c", "d"), ((0, 1), (2, 3))))
    assert x[0] == x[1] < x[2] == x[3] and y[0] == y[2] > y[1] == y[3]


def test_long_chains_fold():
    x, y = layout(Graph(tuple("abcdefghijklmnopqrstuvwxyz"), tuple((i, i + 1) for i in range(25))))
    assert len(set(x)) == 2 and y.min() == -17


def test_figures_are_drawn():
    space = nasjax.get_space("nasbench201")
    found = search(space, lambda archs: np.where(archs[:, 0] == 1, np.nan, archs.sum(1)), key=jax.random.key(0),
                   algorithm="random", budget=20)  # fmt: skip
    figures = [progress_figure(found), front_figure(found, "params"), graph_figure(space.to_graph(found.best))]
    for figure in figures:
        assert report.png(figure)[:4] == b"\x89PNG"
