"""The macro networks of TransNAS-Bench-101 as one program for every skeleton (Duan et al., CVPR 2021).

A stem that quarters the image, then four to six modules of two residual blocks; a module may double the
channels, halve the image, or both, in its first block. Blocks run in one ``lax.scan``, each convolution a
``lax.switch`` over its shapes; see `nasjax.spaces.units` and `nasjax.spaces.transnas_macro_plan`.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.spaces import initial, slots, units
from nasjax.spaces import transnas_heads as heads
from nasjax.spaces import transnas_stem as stem
from nasjax.spaces import transnas_tasks as tasks
from nasjax.spaces.optional import OutputVisit
from nasjax.spaces.runner import Forward, Runner
from nasjax.spaces.transnas_macro_plan import (
    BLOCKS,
    MODULES,
    NUM_CHANGES,
    NUM_STATES,
    SIDES,
    STEM_HALVINGS,
    Plan,
    Sizes,
    plan,
)
from nasjax.types import Array, LayerTable, PyTree, Site, Tap

SITE = "blocks"
# The official code passes its flags (affine, track_running_stats) to the norm of a shortcut in the places of
# eps and momentum, so both are True there.
SHORTCUT_NORM: dict[str, Any] = {"eps": 1.0, "momentum": 1.0}
_CONVS = ("conv_a", "conv_b")


def weight_shapes(sizes: Sizes) -> PyTree:
    """Shapes of the encoder's weights, all as wide as the widest."""
    w = sizes.widest
    return {
        stem.NAME: stem.weight_shapes(sizes.in_channels, sizes.channels),
        "convs": (BLOCKS, 2, 3, 3, w, w),
        "shortcuts": (BLOCKS, 1, 1, w, w),
    }


def norm_shapes(sizes: Sizes) -> PyTree:
    """Shapes of one vector of every batch norm."""
    blocks = {"convs": (BLOCKS, 2, sizes.widest), "shortcuts": (BLOCKS, sizes.widest)}
    return {stem.NAME: stem.norm_shapes(sizes.channels), **blocks, heads.NAME: heads.norm_shapes(sizes.head)}


def weight_mask(arch: Array, sizes: Sizes) -> PyTree:
    """Which weights an architecture uses: booleans that broadcast against the weights."""
    own, w = plan(arch), sizes.widest
    before, after = sizes.channels_of(own.before), sizes.channels_of(own.after)

    def corner(ins: Array, outs: Array, used: Array) -> Array:
        wide = lambda a: a.reshape(*a.shape, *(1,) * 4)  # noqa: E731
        lead = (1,) * (ins.ndim + 2)
        rows, columns = jnp.arange(w).reshape(*lead, w, 1), jnp.arange(w).reshape(*lead, 1, w)
        return (rows < wide(ins)) & (columns < wide(outs)) & wide(used)

    exists = own.exists > 0
    pair = lambda a, b: jnp.stack([a, b], 1)  # noqa: E731
    ones = lambda shape: jnp.ones((1,) * len(shape), bool)  # noqa: E731
    head = {layer.name: ones(layer.shape) for layer in sizes.head}
    first = sizes.head[0]
    rows = jnp.tile(jnp.arange(w) < after[-1], first.ins // w)
    head[first.name] = rows.reshape(*(1,) * (len(first.shape) - 2), -1, 1)
    return {
        stem.NAME: {part: ones(s) for part, s in stem.weight_shapes(sizes.in_channels, sizes.channels).items()},
        "convs": corner(pair(before, after), pair(after, after), pair(exists, exists)),
        "shortcuts": corner(before, after, own.shortcut < NUM_CHANGES),
        heads.NAME: head,
    }


def init_params(key: Array, sizes: Sizes, arch: Array, law: str, dtype: Any) -> PyTree:
    """Random parameters, by the fans of the architecture; what it does not use is zero.

    "torch" is what the official code draws: encoder convolutions normal, variance 2/fan_out.
    """
    encoder = "kaiming_fan_out" if law == "torch" else law
    own, mask = plan(arch), weight_mask(arch, sizes)
    before, after = sizes.channels_of(own.before), sizes.channels_of(own.after)

    def masked(name: str, ins: Array, outs: Array) -> initial.Draw:
        shape = weight_shapes(sizes)[name]
        wide = lambda a: a.reshape(*a.shape, *(1,) * 4)  # noqa: E731
        taps = shape[-4] * shape[-3]
        drawn = initial.weight(shape, encoder, fan=(wide(taps * ins), wide(taps * outs)))
        return drawn._replace(scale=jnp.where(mask[name], drawn.scale, 0.0).astype(dtype))

    laws: dict[str, Any] = {
        stem.NAME: {
            part: initial.weight(shape, encoder)
            for part, shape in stem.weight_shapes(sizes.in_channels, sizes.channels).items()
        },
        "convs": masked("convs", jnp.stack([before, after], 1), jnp.stack([after, after], 1)),
        "shortcuts": masked("shortcuts", before, after),
    }
    parts = sizes.head[0].ins // sizes.widest
    halvings = STEM_HALVINGS + own.after[-1] % SIDES
    head_laws, bias_laws = heads.weight_laws(sizes.head, law, halvings, first_ins=parts * after[-1])
    name = sizes.head[0].name
    used = jnp.where(mask[heads.NAME][name], head_laws[name].scale, 0.0).astype(dtype)
    head_laws[name] = head_laws[name]._replace(scale=used)
    weights, biases = initial.draw(key, ({**laws, heads.NAME: head_laws}, {heads.NAME: bias_laws}), dtype)
    return {"weights": weights, "bias": biases, **initial.norms(norm_shapes(sizes), dtype)[0]}


def init_stats(sizes: Sizes, dtype: Any) -> PyTree:
    """Running statistics of a fresh network: mean 0, variance 1."""
    return initial.norms(norm_shapes(sizes), dtype)[1]


def layers(runner: Runner, name: str) -> Any:
    """Weights, norms and moments of a family of layers."""
    params = runner.params
    norms = units.NormArgs(params["scale"][name], params["shift"][name], runner.mean[name], runner.var[name])
    return params["weights"][name], norms, runner.own_moments(name)


def encode(runner: Runner, sizes: Sizes, own: Plan, images: Array) -> Array:
    """Images to the buffer of features [batch, capacity], in the state ``own.after[-1]``."""
    precision = runner.options.precision
    convs = units.Convs(precision, sizes.shapes(), rectify=True, passes=False)
    sides = units.Convs(precision, sizes.changes(), rectify=False, passes=True)
    norms = units.Norms(runner.options.norm, tuple(sizes.states()[i] for i in sizes.kept_states()))
    side_norms = norms._replace(**SHORTCUT_NORM)
    names = [f"{SITE}/{j}" for j in range(len(sizes.segments()))]
    calls = tuple(runner.calls[name].reshape(BLOCKS, 2, -1) for name in names) if runner.tap is not None else ()

    def shown(y: Array, state: Array, there: Array) -> PyTree:
        """What is made of the output of a layer, which has the shape of a state."""
        if runner.show is None:
            return ()
        full = sizes.capacity()
        missing = full - jnp.asarray([*sizes.lengths().tolist(), full], jnp.int32)[state]
        return jax.tree.map(lambda a: a[0], runner.show(jnp.where(there, y, 0)[None], missing[None]))

    def conv(x: Array, xs: Any) -> Any:
        number, norm, (weights, args, moments), calls = xs
        taps: tuple[Any, ...] = ()
        if runner.tap is not None:
            pieces = zip(names, sizes.segments(), calls, strict=True)
            taps = tuple(runner.tap(Site(name, own), x[:, low:high]) for name, (low, high), own in pieces)
        y = units.conv(convs, number, x, weights, moments)
        seen = shown(y, norm, norm < NUM_STATES)
        y, mean, var = units.norm(norms, place[norm], y, args)
        return y, (mean, var, taps, seen)

    def block(carry: tuple[Array, Array], xs: Any) -> Any:
        (x, runner.log_scale), (numbers, norm, shortcut, side_norm, pair, side, calls) = carry, xs
        weights, args, moments = side
        residual = units.conv(sides, shortcut, x, weights, moments)
        seen = shown(residual, side_norm, side_norm < NUM_STATES)
        residual, mean, var = units.norm(side_norms, place[side_norm], residual, args)
        y, (means, variances, taps, more) = lax.scan(conv, x, (numbers, norm, pair, calls))
        x = runner.rescale(residual + y)
        return (x, runner.log_scale), ((means, variances), (mean, var), taps, (more, seen))

    x = units.fit(stem.run(runner, images), sizes.capacity())
    norm = jnp.where(own.exists > 0, own.after, NUM_STATES)
    side_norm = jnp.where(own.shortcut < NUM_CHANGES, own.after, NUM_STATES)
    numbers = jnp.asarray(sizes.shape_numbers())[jnp.stack([own.first, own.second], 1)]
    shortcut = jnp.asarray(sizes.change_numbers())[own.shortcut]
    place = jnp.asarray(sizes.state_numbers())
    families = layers(runner, "convs"), layers(runner, "shortcuts")
    xs = (numbers, jnp.stack([norm, norm], 1), shortcut, side_norm, *families, calls)
    (x, runner.log_scale), (conv_stats, side_stats, taps, seen) = lax.scan(block, (x, runner.log_scale), xs)
    runner.set_stats(*conv_stats, "convs")
    runner.set_stats(*side_stats, "shortcuts")
    if runner.show is not None:
        runner.shown.append(jax.tree.map(_interleave, *seen))
    if runner.tap is not None:
        merged = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), taps)
        runner.taps |= dict(zip(names, merged, strict=True))
    return x


def _pooled(sizes: Sizes, state: Array, x: Array) -> Array:
    """Mean over positions: buffer to [batch, widest], zeros behind the channels in use."""

    def pool(channels: int, side: int, x: Array) -> Array:
        return units.fit(units.view(x, side, channels).mean((1, 2)), sizes.widest)

    shapes = [sizes.states()[i] for i in sizes.kept_states()]
    return lax.switch(jnp.asarray(sizes.state_numbers())[state], [functools.partial(pool, *s) for s in shapes], x)


def _decoded(runner: Runner, sizes: Sizes, state: Array, x: Array) -> Array:
    """Decoder behind an encoder of any state that halved the image; channels padded to the widest."""
    sides = sizes.sides()[1:]  # every architecture halves the image at least once
    shapes, kept = sizes.states(), [i for i in sizes.kept_states() if i % SIDES]

    def widen(channels: int, side: int, x: Array) -> Array:
        full = jnp.pad(units.view(x, side, channels), ((0, 0), (0, 0), (0, 0), (0, sizes.widest - channels)))
        return units.fit(full, sizes.widest * sides[0] ** 2)

    def decode(place: int, x: Array, log_scale: Array) -> Any:
        own = runner.twin(log_scale)
        own.show = runner.show
        features = units.view(x, sides[place], sizes.widest)
        y = heads.decode(own, sizes.task, sizes.head, features, STEM_HALVINGS + 1 + place)
        return y, own.mean[heads.NAME], own.var[heads.NAME], own.log_scale, own.shown

    place = state % SIDES - 1
    widened = [functools.partial(widen, *shapes[i]) for i in kept]
    x = lax.switch(jnp.searchsorted(jnp.asarray(kept), state), widened, x)
    branches = [functools.partial(decode, i) for i in range(len(sides))]
    y, mean, var, runner.log_scale, shown = lax.switch(place, branches, x, runner.log_scale)
    runner.shown += shown
    runner.set_stats(mean, var, heads.NAME)
    return y


def layer_names(sizes: Sizes) -> tuple[str, ...]:
    """Slot names: the module names of the official network."""
    names = [*stem.LAYERS]
    for m in range(MODULES):
        for block in range(2):
            names += [f"layer{m}.{block}.{conv}.ops.1" for conv in _CONVS]
            names += [f"layer{m}.0.downsample.0"] * (block == 0)
    return (*names, *(layer.name for layer in sizes.head))


def _interleave(convs: Array, shortcuts: Array) -> Array:
    """[12, 2, ...] of convolutions and [12, ...] of shortcuts in the order of the slots: [30, ...]."""
    pairs = convs.reshape(MODULES, 4, *convs.shape[2:])
    rows = jnp.concatenate([pairs[:, :2], shortcuts[::2, None], pairs[:, 2:]], 1)
    return rows.reshape(-1, *rows.shape[2:])


def active_slots(arch: Array, sizes: Sizes) -> Array:
    """Which slots hold a weight layer, bool [L]."""
    own = plan(arch)
    exists = own.exists > 0
    blocks = _interleave(jnp.stack([exists, exists], 1), own.shortcut < NUM_CHANGES)
    return jnp.concatenate([jnp.ones(len(stem.LAYERS), bool), blocks, jnp.ones(len(sizes.head), bool)])


def layer_sums(terms: PyTree, sizes: Sizes) -> Array:
    """Sums a tree shaped like the weights over each slot: float [L]."""
    blocks = _interleave(terms["convs"].sum((2, 3, 4, 5)), terms["shortcuts"].sum((1, 2, 3, 4)))
    head = jnp.stack([terms[heads.NAME][layer.name].sum() for layer in sizes.head])
    return jnp.concatenate([stem.layer_sums(terms), blocks, head])


def site_calls(table: LayerTable, arch: Array, sizes: Sizes) -> dict[str, Array]:
    """Activation calls of every site: "stem" int32 [10]; "blocks/{j}" int32 [24, 10], a convolution a row.

    A site of the blocks is a piece of the buffer: an activation fills the first few pieces, and the others
    have no calls.
    """
    names = layer_names(sizes)
    order = [
        names.index(f"layer{m}.{block}.{conv}.ops.1") for m in range(MODULES) for block in range(2) for conv in _CONVS
    ]
    eye = np.eye(len(names), dtype=bool)
    found = slots.site_calls(table, {stem.NAME: eye[names.index(stem.LAYERS[1])], SITE: eye[order]})
    own = plan(arch)
    states = jnp.stack([own.before, own.after], 1).reshape(-1)  # of the input of each convolution
    lengths = jnp.asarray(sizes.lengths())[states]
    rows = found.pop(SITE)
    for j, (_, high) in enumerate(sizes.segments()):
        found[f"{SITE}/{j}"] = jnp.where((lengths >= high)[:, None], rows, 0)
    return found


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
    """Runs the network; arguments as of `nasjax.spaces.transnas_micro_network.forward`."""
    runner = Runner(options, params, stats, calls, tap, moments, images.dtype, show=show)
    own = plan(arch)
    state = own.after[-1]

    def pooled(images: Array) -> Array:
        return _pooled(sizes, state, encode(runner, sizes, own, images))

    if task.head == "jigsaw":
        return heads.classify(runner, runner.over_tiles(pooled, tasks.tiles(images))), runner
    if task.head == "linear":
        return heads.classify(runner, pooled(images)), runner
    return _decoded(runner, sizes, state, encode(runner, sizes, own, images)), runner
