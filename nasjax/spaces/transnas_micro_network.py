"""The cell networks of TransNAS-Bench-101 as one program for every cell.

Macro skeleton 41414 (Duan et al., CVPR 2021): a stem that quarters the image, then five modules of two
cells; the first, third and fifth double the channels and halve the image in their first cell. That is three
stages of one reduction cell and then cells of equal shape, which run in one ``lax.scan``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.spaces import cell_visits, initial, slots
from nasjax.spaces import transnas_heads as heads
from nasjax.spaces import transnas_stem as stem
from nasjax.spaces import transnas_tasks as tasks
from nasjax.spaces.cells import CellConfig, EdgeArgs, EdgeConfig, cell, split_edges
from nasjax.spaces.dag import EDGES
from nasjax.spaces.optional import OutputVisit
from nasjax.spaces.runner import Forward, Runner, pick
from nasjax.types import Array, LayerTable, PyTree, Site, Tap

OUTER = tuple(e for e, (source, _) in enumerate(EDGES) if source == 0)  # edges that change the shape
INNER = tuple(e for e in range(len(EDGES)) if e not in OUTER)
REDUCTION_OPS = ("none", "reduce", "pointwise", "kernel")
NORMAL_OPS = ("none", "skip", "pointwise", "kernel")
NUM_STAGES = 3
NORMAL_CELLS = (3, 3, 1)  # cells after the reduction cell of each stage
HALVINGS = 5  # from image to features
REDUCED = ("reduce_a", "reduce_b")


class Sizes(NamedTuple):
    """Static sizes of the network."""

    channels: int
    in_channels: int
    head: tuple[heads.Layer, ...]

    def widths(self) -> list[tuple[int, int]]:
        """Channels before and after the reduction of each stage."""
        return [(self.channels << s, self.channels << (s + 1)) for s in range(NUM_STAGES)]


def weight_shapes(sizes: Sizes) -> PyTree:
    """Shapes of the encoder's weights, every operation of every edge included."""
    shapes: dict[str, Any] = {stem.NAME: stem.weight_shapes(sizes.in_channels, sizes.channels)}
    for s, (c, d) in enumerate(sizes.widths()):
        outer = {"pointwise": (3, 1, 1, c, d), "kernel": (3, 3, 3, c, d)}
        outer |= {name: (3, 1, 1, c, d // 2) for name in REDUCED}
        n = NORMAL_CELLS[s]
        shapes[f"stage{s}"] = {
            "outer": outer,
            "inner": {"pointwise": (3, 1, 1, d, d), "kernel": (3, 3, 3, d, d)},
            "normal": {"pointwise": (n, 6, 1, 1, d, d), "kernel": (n, 6, 3, 3, d, d)},
        }
    return shapes


def norm_shapes(sizes: Sizes) -> PyTree:
    """Shapes of one vector of every batch norm."""
    shapes: dict[str, Any] = {stem.NAME: stem.norm_shapes(sizes.channels)}
    for s, (_, d) in enumerate(sizes.widths()):
        shapes[f"stage{s}"] = {"reduction": (6, d), "normal": (NORMAL_CELLS[s], 6, d)}
    return shapes | {heads.NAME: heads.norm_shapes(sizes.head)}


def init_params(key: Array, sizes: Sizes, arch: Array, law: str, dtype: Any) -> PyTree:
    """Random parameters. "torch" is what the official code draws: encoder convolutions normal, variance 2/fan_out."""
    del arch
    encoder = "kaiming_fan_out" if law == "torch" else law
    laws = jax.tree.map(lambda s: initial.weight(s, encoder), weight_shapes(sizes), is_leaf=initial.is_shape)
    head_laws, bias_laws = heads.weight_laws(sizes.head, law, HALVINGS)
    weights, biases = initial.draw(key, ({**laws, heads.NAME: head_laws}, {heads.NAME: bias_laws}), dtype)
    return {"weights": weights, "bias": biases, **initial.norms(norm_shapes(sizes), dtype)[0]}


def init_stats(sizes: Sizes, dtype: Any) -> PyTree:
    """Running statistics of a fresh network: mean 0, variance 1."""
    return initial.norms(norm_shapes(sizes), dtype)[1]


def _reduction_edges(weights: PyTree) -> tuple[PyTree, ...]:
    """Weights (or moments) of each edge of a reduction cell."""
    found: dict[int, PyTree] = {}
    for name, edges in (("outer", OUTER), ("inner", INNER)):
        for place, e in enumerate(edges):
            found[e] = jax.tree.map(lambda a, i=place: a[i], weights[name])
    return tuple(found[e] for e in range(len(EDGES)))


def _norms(runner: Runner, *path: str) -> tuple[PyTree, ...]:
    """Scale, shift, running mean and variance at a path."""
    trees = (runner.params["scale"], runner.params["shift"], runner.mean, runner.var)
    return tuple(pick(tree, path) for tree in trees)


def reduction_cell(runner: Runner, name: str) -> tuple[CellConfig, tuple[EdgeArgs, ...]]:
    """Options and arrays of the reduction cell of a stage."""
    first = EdgeConfig(runner.options.norm, runner.options.precision, REDUCTION_OPS, stride=2)
    weights = _reduction_edges(runner.params["weights"][name])
    norms = split_edges(_norms(runner, name, "reduction"))
    edges = tuple(EdgeArgs(w, *own) for w, own in zip(weights, norms, strict=True))
    return CellConfig(first, first._replace(ops=NORMAL_OPS, stride=1)), edges


def normal_stage(runner: Runner, name: str) -> tuple[CellConfig, EdgeArgs]:
    """Options and arrays of the other cells of a stage, cells and edges leading."""
    edge = EdgeConfig(runner.options.norm, runner.options.precision, NORMAL_OPS)
    stage = EdgeArgs(runner.params["weights"][name]["normal"], *_norms(runner, name, "normal"))
    return CellConfig(edge, edge), stage


def _reduction(runner: Runner, arch: Array, x: Array, name: str) -> tuple[Array, ...]:
    """Nodes of the reduction cell of a stage."""
    config, edges = reduction_cell(runner, name)
    moments = (None,) * 6 if runner.moments is None else _reduction_edges(runner.moments[name])
    nodes, means, variances = cell(config, arch, x, edges, moments)
    runner.set_stats(means, variances, name, "reduction")
    return nodes


def _normal_cells(runner: Runner, arch: Array, x: Array, name: str) -> Array:
    """The cells of equal shape of a stage."""
    config, stage = normal_stage(runner, name)
    own_calls = tuple(runner.calls[f"{name}/node{i}"] for i in range(3)) if runner.tap is not None else ()

    def step(carry: tuple[Array, Array], xs: Any) -> Any:
        (x, runner.log_scale), (own, moments, calls) = carry, xs
        nodes, means, variances = cell(config, arch, x, split_edges(own), split_edges(moments))
        taps = {}
        if runner.tap is not None:
            taps = {f"node{i}": runner.tap(Site(f"{name}/node{i}", calls[i]), nodes[i]) for i in range(3)}
        x = runner.rescale(nodes[3])
        return (x, runner.log_scale), (means, variances, taps)

    xs = (stage, runner.own_moments(name, "normal"), own_calls)
    (x, runner.log_scale), (means, variances, taps) = lax.scan(step, (x, runner.log_scale), xs)
    runner.set_stats(means, variances, name, "normal")
    runner.taps |= {f"{name}/{node}": value for node, value in taps.items()}
    return x


def _shown_stage(runner: Runner, arch: Array, x: Array, name: str) -> Array:
    """A stage whose layers show their outputs; running statistics stay."""
    assert runner.show is not None
    show = runner.show
    config, edges = reduction_cell(runner, name)
    x, seen = cell_visits.show_edges(config, arch, x, edges, show)
    config, stage = normal_stage(runner, name)
    x, more = lax.scan(lambda x, own: cell_visits.show_convolutions(config.inner, arch, x, own, show), x, stage)
    runner.shown += [seen, more]
    return x


def encode(runner: Runner, arch: Array, images: Array) -> Array:
    """Features [batch, height / 32, width / 32, 8 x channels] of images."""
    x = stem.run(runner, images)
    for s in range(NUM_STAGES):
        if runner.show is not None:
            x = _shown_stage(runner, arch, x, f"stage{s}")
            continue
        nodes = _reduction(runner, arch, x, f"stage{s}")
        for i in range(3):
            runner.read(nodes[i], f"stage{s}/reduction/node{i}")
        x = _normal_cells(runner, arch, runner.rescale(nodes[3]), f"stage{s}")
    return x


def normal_cells(stage: int) -> list[tuple[int, int]]:
    """(module, cell) of the cells after the reduction cell of a stage, as the official code numbers them."""
    return [(2 * stage, 1), (2 * stage + 1, 0), (2 * stage + 1, 1)][: NORMAL_CELLS[stage]]


def layer_names(sizes: Sizes) -> tuple[str, ...]:
    """Slot names: the module names of the official network."""
    names = [*stem.LAYERS]
    for s in range(NUM_STAGES):
        for e in range(6):
            prefix = f"layer{2 * s}.0.edges.{e}"
            names += [f"{prefix}.ops.1", *([f"{prefix}.convs.0", f"{prefix}.convs.1"] if e in OUTER else [])]
        names += [f"layer{m}.{c}.edges.{e}.ops.1" for m, c in normal_cells(s) for e in range(6)]
    return (*names, *(layer.name for layer in sizes.head))


def active_slots(arch: Array, sizes: Sizes) -> Array:
    """Which slots hold a weight layer, bool [L]."""
    convs, reduced = arch >= NORMAL_OPS.index("pointwise"), arch == REDUCTION_OPS.index("reduce")
    reduction = [flag for e in range(6) for flag in ((convs[e], reduced[e], reduced[e]) if e in OUTER else (convs[e],))]
    parts = [jnp.ones(2, bool)]
    for s in range(NUM_STAGES):
        parts += [jnp.stack(reduction), jnp.tile(convs, NORMAL_CELLS[s])]
    return jnp.concatenate([*parts, jnp.ones(len(sizes.head), bool)])


def weight_mask(arch: Array, sizes: Sizes) -> PyTree:
    """Which weights an architecture uses: booleans that broadcast against the weights."""
    chosen = {name: arch == number for number, name in enumerate(REDUCTION_OPS) if number}

    def used(path: Any, shape: tuple[int, ...]) -> Array:
        names = [part.key for part in path]
        if names[0] in (stem.NAME, heads.NAME):
            return jnp.ones((1,) * len(shape), bool)
        edges = chosen["reduce" if names[2] in REDUCED else names[2]]
        edges = edges[None] if names[1] == "normal" else edges[np.array(OUTER if names[1] == "outer" else INNER)]
        return edges.reshape(edges.shape + (1,) * (len(shape) - edges.ndim))

    head = {layer.name: layer.shape for layer in sizes.head}
    shapes = {**weight_shapes(sizes), heads.NAME: head}
    return jax.tree_util.tree_map_with_path(used, shapes, is_leaf=initial.is_shape)


def layer_sums(terms: PyTree, sizes: Sizes) -> Array:
    """Sums a tree shaped like the weights over each slot: float [L]."""
    total = lambda a, lead: a.sum(tuple(range(lead, a.ndim)))  # noqa: E731
    parts = [stem.layer_sums(terms)]
    for s in range(NUM_STAGES):
        own = terms[f"stage{s}"]
        outer = total(own["outer"]["pointwise"], 1) + total(own["outer"]["kernel"], 1)
        reduced = [total(own["outer"][name], 1) for name in REDUCED]
        inner = total(own["inner"]["pointwise"], 1) + total(own["inner"]["kernel"], 1)
        cell = []
        for e in range(6):
            if e in OUTER:
                place = OUTER.index(e)
                cell += [outer[place], reduced[0][place], reduced[1][place]]
            else:
                cell.append(inner[INNER.index(e)])
        parts.append(jnp.stack(cell))
        parts.append((total(own["normal"]["pointwise"], 2) + total(own["normal"]["kernel"], 2)).reshape(-1))
    parts.append(jnp.stack([terms[heads.NAME][layer.name].sum() for layer in sizes.head]))
    return jnp.concatenate(parts)


def site_slots(sizes: Sizes) -> dict[str, np.ndarray]:
    """Slots behind a rectifier of each site: bool [L], or [cells, L].

    A rectifier of the official network lies in front of each of these slots; the second half of a
    ``reduce`` shares the rectifier of the first.
    """
    names = layer_names(sizes)
    index = {name: i for i, name in enumerate(names)}

    def hot(*chosen: str) -> np.ndarray:
        return np.isin(np.arange(len(names)), [index[name] for name in chosen])

    found = {stem.NAME: hot(stem.LAYERS[1])}
    for s in range(NUM_STAGES):
        for node in range(3):
            edges = [e for e, (source, _) in enumerate(EDGES) if source == node]
            own = [f"layer{2 * s}.0.edges.{e}.ops.1" for e in edges]
            own += [f"layer{2 * s}.0.edges.{e}.convs.0" for e in edges if e in OUTER]
            found[f"stage{s}/reduction/node{node}"] = hot(*own)
            found[f"stage{s}/node{node}"] = np.stack(
                [hot(*(f"layer{m}.{c}.edges.{e}.ops.1" for e in edges)) for m, c in normal_cells(s)]
            )
    return found


def site_calls(table: LayerTable, arch: Array, sizes: Sizes) -> dict[str, Array]:
    """Activation calls of every site, int32 [..., 10]."""
    del arch
    return slots.site_calls(table, site_slots(sizes))


def forward(
    options: Forward,
    sizes: Sizes,
    task: tasks.Task,
    params: PyTree,
    stats: PyTree,
    arch: Array,
    images: Array,
    calls: dict[str, Array],
    tap: Tap | None,
    moments: PyTree | None,
    show: OutputVisit | None = None,
) -> tuple[Array, Runner]:
    """Runs the network.

    Args:
      options: static options.
      sizes: static sizes.
      task: task.
      params: see `init_params`.
      stats: see `init_stats`.
      arch: int [6].
      images: float [batch, height, width, in_channels].
      calls: activation calls of every tap site, for one image or one tile.
      tap: called at every site on the input of its rectifier, or None.
      moments: tree of `nasjax.nn.Moments` shaped like the weights, or None.
      show: called on the output of every layer, see `nasjax.spaces.optional.OutputVisit`; or None.

    Returns:
      outputs; the runner with statistics, taps, scale and what was shown.
    """
    runner = Runner(options, params, stats, calls, tap, moments, images.dtype, show=show)
    if task.head == "jigsaw":
        features = runner.over_tiles(lambda tile: encode(runner, arch, tile).mean((1, 2)), tasks.tiles(images))
        return heads.classify(runner, features), runner
    x = encode(runner, arch, images)
    if task.head == "linear":
        return heads.classify(runner, x.mean((1, 2))), runner
    return heads.decode(runner, task, sizes.head, x, HALVINGS), runner
