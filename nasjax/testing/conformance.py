"""Whether a search space keeps what proxies and drivers rely on."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.spaces.base import SearchSpace, by_signature
from nasjax.types import Array, InputError, PyTree

_FUNCTIONS = [name for name in vars(SearchSpace) if not name.startswith("_")]


def check_space(space: Any, *, key: Array | None = None, num: int = 4, batch: int = 2) -> None:
    """Checks a search space of classifiers on a few random architectures; a small configuration is enough.

    Encodings come back; all functions are there and fit each other; one program serves all of a signature;
    logits have their shape and, of a valid architecture, depend on the images; every activation has its calls; weights
    that an architecture lacks have no gradient; ``num_params`` is at least the number of weights.

    Args:
      space: with the functions of `nasjax.spaces.SearchSpace`.
      key: typed key; that of seed 0 by default.
      num: how many architectures.
      batch: how many images.

    Raises:
      InputError: the space breaks one of these; the message says which, and for which architecture.
    """
    missing = [name for name in _FUNCTIONS if not hasattr(space, name)]
    _require(not missing, space, f"lacks {', '.join(missing)}")
    try:
        hash(space)
    except TypeError:
        _require(False, space, "cannot be hashed: make it a frozen dataclass whose fields can")
    key = jax.random.key(0) if key is None else key
    archs = np.asarray(space.sample(key, num))
    _require(np.issubdtype(archs.dtype, np.integer) and len(archs) == num, space, f"sample(key, {num}) gives {archs!r}")
    encodings = space.encode(archs)
    again = np.asarray(space.decode(encodings))
    _require(np.array_equal(again, archs), space, f"decode(encode(archs)) is {again.tolist()}, not {archs.tolist()}")
    for arch, text in zip(archs, encodings, strict=True):
        valid, reason = space.is_valid(arch)
        _require(bool(valid) or bool(reason), space, "is_valid gives no reason", text)
        _require(isinstance(space.canonical(arch), str), space, "canonical gives no text", text)
    for bound, members in by_signature(space, archs):
        _check_program(bound, archs[members], [encodings[i] for i in members], key, batch)


def _check_program(space: Any, archs: np.ndarray, encodings: list[str], key: Array, batch: int) -> None:
    size = (batch, space.image_size, space.image_size, space.in_channels)
    images = jax.random.normal(jax.random.fold_in(key, 1), size)
    labels = jnp.arange(batch) % space.num_classes
    traced: list[int] = []

    @jax.jit
    def program(arch: Array, images: Array, labels: Array) -> dict[str, PyTree]:
        traced.append(1)
        variables = space.init(key, arch)
        weights, mask = space.weights(variables.params), space.weight_mask(arch)

        def loss(weights: PyTree) -> Any:
            own = variables._replace(params=space.with_weights(variables.params, weights))
            output = space.apply(own, arch, images, tap=lambda site, value: jnp.sum(value > 0))
            return space.loss(output, labels), output

        gradients, output = jax.grad(loss, has_aux=True)(weights)
        there = jax.tree.map(lambda w, m: jnp.broadcast_to(m, w.shape).astype(w.dtype), weights, mask)
        stray = jax.tree.map(lambda g, m: jnp.abs(g * (1 - m)).sum(), gradients, there)
        table = space.layers(arch)
        return {
            "logits": output.logits,
            "taps": output.taps,
            "calls": space.site_calls(arch),
            "stray": sum(jax.tree.leaves(stray)),
            "counts": space.layer_sums(there),
            "layers": {name: getattr(table, name) for name in ("active", "order", "depth", "bins")},
        }

    names = space.layers(jnp.asarray(archs[0])).names
    for arch, text in zip(archs, encodings, strict=True):
        found = jax.tree.map(np.asarray, program(jnp.asarray(arch), images, labels))
        logits, layers, counts = found["logits"], found["layers"], found["counts"]
        shape = (batch, space.num_classes)
        _require(logits.shape == shape, space, f"logits are {list(logits.shape)}, not {list(shape)}", text)
        _require(bool(np.isfinite(logits).all()), space, "logits are not finite", text)
        if space.is_valid(arch)[0] and batch > 1:
            _require(bool(np.ptp(logits, axis=0).any()), space, "is valid, and its logits depend on no image", text)
        sites, calls = set(found["taps"]), set(found["calls"])
        _require(sites == calls, space, f"apply taps {sorted(sites)}, site_calls has {sorted(calls)}", text)
        for what, array in {"layers": layers["active"], "layer_sums": counts}.items():
            _require(array.shape == (len(names),), space, f"{what} has {len(array)} rows, names are {len(names)}", text)
        order = np.sort(layers["order"][layers["active"]])
        _require(np.array_equal(order, 1 + np.arange(layers["depth"])), space, f"order of active layers {order}", text)
        low, high = layers["bins"].min(), layers["bins"].max()
        _require(low >= -1 and high <= 9, space, f"bins of layers from {low} to {high}, allowed are -1 to 9", text)
        _require(np.array_equal(counts > 0, layers["active"]), space, "layers and weight_mask disagree", text)
        _require(float(found["stray"]) == 0, space, "weights outside of weight_mask have a gradient", text)
        params = int(space.num_params(arch))
        _require(params >= counts.sum(), space, f"num_params is {params}, it has {int(counts.sum())} weights", text)
    _require(len(traced) == 1, space, f"apply was traced {len(traced)} times for one signature")


def _require(held: Any, space: Any, complaint: str, encoding: str = "") -> None:
    if not held:
        what = f", architecture {encoding!r}" if encoding else ""
        raise InputError(f"space {getattr(space, 'name', space)!r}{what}: {complaint}.")
