"""The NAS-Bench-101 network as one program for all cells whose output concatenates equally many vertices.

Stem, stacks of cells with a 2x2 maximum pooling between them, mean over positions, classifier (Ying et al.,
NAS-Bench-101, ICML 2019; in the form of the PyTorch port that NASLib uses). With n vertices concatenated, every
inner vertex of a cell with C outputs has C // n channels, or one more: so arrays of that width hold any such
cell, and the operations and edges are data. What a cell does not use is zero and stays zero.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nasjax import nn
from nasjax.spaces import initial
from nasjax.spaces.cell101_graph import ABSENT, NUM_INNER, OUTPUT, Pruned, wide
from nasjax.spaces.nasbench101_units import Unit, UnitConfig, shown_unit, unit
from nasjax.spaces.optional import OutputVisit
from nasjax.spaces.runner import Forward, Runner
from nasjax.types import Array, PyTree, Site, Tap, Variables

KERNEL, CENTRE = 1, 2  # kinds of vertices: 3x3 and 1x1 convolution; 3 is the pool
_VERTEX_OPS = ("none", "kernel", "centre", "pool")
_PROJECTION_OPS = ("none", "pointwise")
OUTPUTS = "outputs"  # where `cell` puts what is shown of its layers


class Sizes(NamedTuple):
    """Static sizes of the network.

    Attributes:
      channels: outputs of stem and first stack.
      stacks: number of stacks.
      cells: cells a stack.
      num_classes: outputs of the classifier.
      in_channels: channels of the images.
      branches: vertices that the output of a cell concatenates.
    """

    channels: int
    stacks: int
    cells: int
    num_classes: int
    in_channels: int
    branches: int

    def outs(self, s: int) -> int:
        """Output channels of the cells of stack ``s``."""
        return self.channels * 2**s

    def extra(self, s: int) -> int:
        """How many concatenated vertices have one channel more than the others."""
        return self.outs(s) % self.branches

    def narrow(self, s: int) -> int:
        """Channels that every inner vertex has."""
        return self.outs(s) // self.branches

    def width(self, s: int) -> int:
        """Channels of the arrays of inner vertices."""
        return self.narrow(s) + (self.extra(s) > 0)

    def groups(self, s: int) -> dict[str, tuple[tuple[int, ...], int]]:
        """Cells of stack ``s`` whose arrays have equal shapes: name -> (leading axes, input channels)."""
        first = {"first": ((), self.outs(max(s - 1, 0)))}
        return first | ({"rest": ((self.cells - 1,), self.outs(s))} if self.cells > 1 else {})


def weight_shapes(sizes: Sizes) -> PyTree:
    """Shapes of all convolution and linear weights; a vertex has one 3x3 kernel, whose centre serves as the 1x1."""
    top = sizes.outs(sizes.stacks - 1)
    shapes: PyTree = {"stem": (3, 3, sizes.in_channels, sizes.channels), "head": (top, sizes.num_classes)}
    for s in range(sizes.stacks):
        w = sizes.width(s)
        shapes[f"stack{s}"] = {
            name: {
                "project": (*lead, NUM_INNER, 1, 1, ins, w),
                "vertex": (*lead, NUM_INNER, 3, 3, w, w),
                "output": (*lead, 1, 1, ins, sizes.outs(s)),
            }
            for name, (lead, ins) in sizes.groups(s).items()
        }
    return shapes


def norm_shapes(sizes: Sizes) -> PyTree:
    """Shapes of one vector of every batch norm."""
    shapes: PyTree = {"stem": (sizes.channels,)}
    for s in range(sizes.stacks):
        inner = (NUM_INNER, sizes.width(s))
        shapes[f"stack{s}"] = {
            name: {"project": (*lead, *inner), "vertex": (*lead, *inner), "output": (*lead, sizes.outs(s))}
            for name, (lead, _) in sizes.groups(s).items()
        }
    return shapes


def weight_mask(sizes: Sizes, pruned: Pruned) -> PyTree:
    """Which weights a cell uses: a tree shaped like the weights, bool arrays that broadcast to them."""
    mask: PyTree = {"stem": jnp.ones((1, 1, 1, 1), bool), "head": jnp.ones((1, 1), bool)}
    taps = jnp.zeros((3, 3), bool).at[1, 1].set(True)
    kinds = pruned.kinds[:, None, None]
    taps = (kinds == KERNEL) | ((kinds == CENTRE) & taps[None])
    for s in range(sizes.stacks):
        held = channel_mask(sizes, s, pruned)
        used = pruned.matrix[0, 1:OUTPUT, None] & held
        own = {
            "project": used[:, None, None, None, :],
            "vertex": taps[..., None, None] & held[:, None, None, :, None] & held[:, None, None, None, :],
            "output": pruned.matrix[0, OUTPUT].reshape(1, 1, 1, 1),
        }
        mask[f"stack{s}"] = {
            name: {part: m.reshape((1,) * len(lead) + m.shape) for part, m in own.items()}
            for name, (lead, _) in sizes.groups(s).items()
        }
    return mask


def channel_mask(sizes: Sizes, s: int, pruned: Pruned) -> Array:
    """Which channels of the arrays the inner vertices have: bool [5, width]."""
    wider = wide(pruned, sizes.extra(s))
    return (jnp.arange(sizes.width(s))[None] < sizes.narrow(s) + wider[:, None]) & (pruned.kinds != ABSENT)[:, None]


def init_params(key: Array, sizes: Sizes, pruned: Pruned, law: str, dtype: Any) -> PyTree:
    """Random parameters with the fans of the cell's own layers, zero where it has none; norms at one and zero."""
    mask = weight_mask(sizes, pruned)
    shapes = weight_shapes(sizes)
    draws: PyTree = jax.tree.map(lambda s: initial.weight(s, law), shapes, is_leaf=initial.is_shape)
    for s in range(sizes.stacks):
        true = (sizes.narrow(s) + wide(pruned, sizes.extra(s))).astype(dtype)
        taps = jnp.where(pruned.kinds == KERNEL, 9.0, 1.0).astype(dtype)
        # What the fans of the arrays are over those of the layers.
        outs = jnp.sqrt(sizes.width(s) / true)
        vertex = jnp.sqrt(9 * sizes.width(s) / (taps * true))
        factors = {
            "project": outs if law == "kaiming_fan_out" else jnp.ones_like(outs),
            "vertex": jnp.ones_like(vertex) if law == "normal" else vertex,
        }
        for name, masks in mask[f"stack{s}"].items():
            own = draws[f"stack{s}"][name]
            for part, used in masks.items():
                scale = own[part].scale * used.astype(dtype)
                if part in factors:
                    scale = scale * factors[part].reshape((1,) * (used.ndim - 5) + (NUM_INNER, 1, 1, 1, 1))
                own[part] = own[part]._replace(scale=scale)
    head = initial.bias(sizes.num_classes, sizes.outs(sizes.stacks - 1), law)
    weights, bias = initial.draw(key, (draws, head), dtype)
    return {"weights": weights, "bias": {"head": bias}, **initial.norms(norm_shapes(sizes), dtype)[0]}


def init_stats(sizes: Sizes, dtype: Any) -> PyTree:
    """Running statistics of a fresh network: mean 0, variance 1."""
    return initial.norms(norm_shapes(sizes), dtype)[1]


class Cell(NamedTuple):
    """What is static in the cells of a stack.

    Attributes:
      name: of the stack.
      unit: options of a vertex.
      projection: options of a projection.
      shares: channels of each concatenated vertex, in order.
      narrow: channels that every inner vertex has.
    """

    name: str
    unit: UnitConfig
    projection: UnitConfig
    shares: tuple[int, ...]
    narrow: int


def cell_config(options: Forward, sizes: Sizes, s: int) -> Cell:
    """What is static in the cells of stack ``s``."""
    shares = tuple(sizes.narrow(s) + (r < sizes.extra(s)) for r in range(sizes.branches))
    static = (options.norm, options.precision)
    vertex, projection = UnitConfig(*static, _VERTEX_OPS), UnitConfig(*static, _PROJECTION_OPS)
    return Cell(f"stack{s}", vertex, projection, shares, sizes.narrow(s))


def cell(
    config: Cell,
    pruned: Pruned,
    held: Array,
    x: Array,
    own: PyTree,
    calls: dict[str, Array],
    tap: Tap | None,
    show: OutputVisit | None = None,
) -> tuple[Array, PyTree, dict[str, PyTree]]:
    """Output of a cell, its running statistics {"mean", "var"}, and what the tap returned by site.

    With ``show``, which is for forward passes, the last also holds what it made of the layers, in their order.

    The vertices run in one scan over a buffer of their outputs: one body to compile, not five.
    Everything in a cell is a rectifier's output or a maximum of such, so not negative: a rectifier behind the
    pool changes nothing and spares a case.
    """

    def run(part: str, kind: Array, x: Array, arrays: Unit, moments: PyTree) -> tuple[Array, tuple[Array, Array], Any]:
        """Output, running statistics, and output of the convolution where it is shown."""
        static = config.unit if part == "vertex" else config.projection
        if show is None:
            (z, mean, var), y = unit(static, kind, x, arrays, moments), None
        else:
            (z, mean, var), y = shown_unit(static, kind, x, arrays)
        return z, (mean, var), y

    def read(site: str, z: Array, calls: dict[str, Array], ragged: bool) -> dict[str, PyTree]:
        if tap is None:
            return {}
        name = f"{config.name}/{site}"
        parts = {name: z[..., : config.narrow], f"{name}/last": z[..., config.narrow :]} if ragged else {name: z}
        return {key: tap(Site(key, calls[key]), part) for key, part in parts.items()}

    arrays = {part: Unit(*(own[field][part] for field in Unit._fields)) for part in ("project", "vertex", "output")}
    moments = own["moments"] or dict.fromkeys(arrays)
    width = arrays["vertex"].scale.shape[-1]
    ragged = width > config.narrow

    def vertex(tensors: Array, xs: Any) -> Any:
        t, enters, kind, sources, held, arrays, moments, calls = xs
        entry, entry_stats, entered = run("project", enters, x, arrays["project"], moments["project"])
        total = jax.nn.relu(entry) + nn.weighted_sum(sources, tensors)
        if ragged:  # a wider vertex is cut to the width of its reader
            total = total * held[None, None, None]
        z, stats, convolved = run("vertex", kind, total, arrays["vertex"], moments["vertex"])
        taps = read("input", entry, calls, ragged) | read("vertex", z, calls, ragged)
        if show is not None:
            missing = x.shape[1] * x.shape[2] * (held == 0).sum()
            taps[OUTPUTS] = show(jnp.stack([entered, convolved]), jnp.stack([missing, missing]))
        return lax.dynamic_update_index_in_dim(tensors, jax.nn.relu(z), t, 0), ((entry_stats, stats), taps)

    inner = ("project", "vertex")
    xs = (
        jnp.arange(NUM_INNER),
        pruned.matrix[0, 1:OUTPUT].astype(jnp.int32),
        pruned.kinds,
        pruned.matrix[1:OUTPUT, 1:OUTPUT].T.astype(x.dtype),
        held.astype(x.dtype),
        {part: arrays[part] for part in inner},
        {part: moments[part] for part in inner},
        {name: own for name, own in calls.items() if own.ndim == 2},
    )
    empty = jnp.zeros((NUM_INNER, *x.shape[:3], width), x.dtype)
    tensors, (inner_stats, taps) = lax.scan(vertex, empty, xs)
    kind = pruned.matrix[0, OUTPUT].astype(jnp.int32)
    z, output_stats, convolved = run("output", kind, x, arrays["output"], moments["output"])
    taps |= read("output", z, calls, False)
    if show is not None:
        of_vertices = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), taps[OUTPUTS])
        taps[OUTPUTS] = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), of_vertices, show(convolved[None]))
    y = jax.nn.relu(z) + jnp.concatenate(_branches(config, pruned, tensors), -1)
    named = dict(zip((*inner, "output"), (*inner_stats, output_stats), strict=True))
    return y, {field: {part: own[i] for part, own in named.items()} for i, field in enumerate(("mean", "var"))}, taps


def _branches(config: Cell, pruned: Pruned, tensors: Array) -> list[Array]:
    """The concatenated vertices, by their rank among those that the output reads."""
    ends = pruned.matrix[1:OUTPUT, OUTPUT]
    rank = jnp.cumsum(ends) - 1
    chosen = [(ends & (rank == r)).astype(tensors.dtype) for r in range(len(config.shares))]
    return [nn.weighted_sum(own, tensors[..., :share]) for own, share in zip(chosen, config.shares, strict=True)]


def group(run: Runner, s: int, name: str) -> PyTree:
    """Arrays of a group of cells; see `Sizes.groups`."""
    path = (f"stack{s}", name)
    parts = {"weight": run.params["weights"], "scale": run.params["scale"], "shift": run.params["shift"]}
    own = {field: tree[path[0]][name] for field, tree in (parts | run.stats).items()}
    return own | {"moments": None if run.moments is None else run.own_moments(*path)}


def _stack(run: Runner, sizes: Sizes, s: int, pruned: Pruned, x: Array) -> Array:
    """The cells of a stack: the first by itself, the others in a scan."""
    config = cell_config(run.options, sizes, s)
    held = channel_mask(sizes, s, pruned)
    # Of the sites of vertices, the calls of a cell's five come together.
    calls = {
        name: own if name.endswith("/output") else own.reshape(sizes.cells, NUM_INNER, -1)
        for name, own in run.calls.items()
        if name.startswith(f"{config.name}/")
    }

    def step(x: Array, log_scale: Array, own: PyTree, calls: dict[str, Array]) -> Any:
        y, stats, taps = cell(config, pruned, held, x, own, calls, run.tap)
        run.log_scale = log_scale
        return run.rescale(y), run.log_scale, stats, taps

    def scanned(carry: tuple[Array, Array], xs: tuple[PyTree, dict[str, Array]]) -> Any:
        y, log_scale, stats, taps = step(*carry, *xs)
        return (y, log_scale), (stats, taps)

    x, scale, stats, taps = step(x, run.log_scale, group(run, s, "first"), {k: v[0] for k, v in calls.items()})
    run.set_stats(stats["mean"], stats["var"], f"stack{s}", "first")
    taps = jax.tree.map(lambda a: a[None], taps)
    if "rest" in sizes.groups(s):
        others = {k: v[1:] for k, v in calls.items()}
        (x, scale), (stats, more) = lax.scan(scanned, (x, scale), (group(run, s, "rest"), others))
        run.set_stats(stats["mean"], stats["var"], f"stack{s}", "rest")
        taps = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), taps, more)
    run.log_scale = scale
    for name, value in taps.items():
        inner = not name.endswith("/output")
        run.taps[name] = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), value) if inner else value
    return x


def forward(
    options: Forward,
    sizes: Sizes,
    variables: Variables,
    pruned: Pruned,
    images: Array,
    calls: dict[str, Array],
    tap: Tap | None,
    moments: PyTree | None,
) -> tuple[Array, PyTree, PyTree, Array]:
    """Runs the network.

    Args:
      options: static options.
      sizes: static sizes.
      variables: see `init_params` and `init_stats`.
      pruned: the cell.
      images: float [batch, height, width, in_channels].
      calls: activation calls of every tap site, int32 [..., 10].
      tap: called at every site on the input of its rectifier, or None.
      moments: tree of `nasjax.nn.Moments` shaped like the weights, or None.

    Returns:
      logits float [batch, num_classes]; new running statistics; taps; log of the factor by which the
      logits were scaled down.
    """
    run = Runner(options, variables.params, variables.stats, calls, tap, moments, images.dtype)
    x = run.activation(run.norm(run.conv(images, "stem"), "stem"), "stem")
    x = run.rescale(x)
    for s in range(sizes.stacks):
        if s:
            x = nn.max_pool(x, 2, stride=2, padding="VALID")
        x = _stack(run, sizes, s, pruned, x)
    logits = run.linear(x.mean((1, 2)), "head")
    return logits, run.stats, run.taps, run.log_scale
