"""Tests of nasjax.interop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import interop
from nasjax.spaces.nasbench201 import NasBench201
from nasjax.types import InputError, Variables

SPACE = NasBench201(channels=2, cells=2, num_classes=4, image_size=8)
ARCH = np.array([3, 0, 2, 1, 4, 3], np.int32)


def torch_state(seed: int = 0) -> dict[str, np.ndarray]:
    """A made-up state of the official network, shapes written out by hand."""
    rng = np.random.default_rng(seed)
    state: dict[str, np.ndarray] = {}

    def conv(name, outs, ins, kernel):
        state[f"{name}.weight"] = rng.standard_normal((outs, ins, kernel, kernel)).astype(np.float32)

    def norm(name, channels):
        for field in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{field}"] = rng.uniform(0.5, 1.5, channels).astype(np.float32)
        state[f"{name}.num_batches_tracked"] = np.array(7)

    conv("stem.0", 2, 3, 3)
    norm("stem.1", 2)
    for block, width in ((0, 2), (1, 2), (3, 4), (4, 4), (6, 8), (7, 8)):
        for edge, kernel in ((0, 3), (2, 1), (5, 3)):
            conv(f"cells.{block}.layers.{edge}.op.1", width, width, kernel)
            norm(f"cells.{block}.layers.{edge}.op.2", width)
    for block, width in ((2, 4), (5, 8)):
        conv(f"cells.{block}.conv_a.op.1", width, width // 2, 3)
        norm(f"cells.{block}.conv_a.op.2", width)
        conv(f"cells.{block}.conv_b.op.1", width, width, 3)
        norm(f"cells.{block}.conv_b.op.2", width)
        conv(f"cells.{block}.downsample.1", width, width // 2, 1)
    norm("lastact.0", 8)
    state["classifier.weight"] = rng.standard_normal((4, 8)).astype(np.float32)
    state["classifier.bias"] = rng.standard_normal(4).astype(np.float32)
    return state


def back(variables: Variables) -> dict[str, np.ndarray]:
    """The state again, by places written out by hand."""
    params, stats = jax.tree.map(np.asarray, tuple(variables))
    weights, state = params["weights"], {}

    def norm(name, *path):
        trees = {
            "weight": params["scale"],
            "bias": params["shift"],
            "running_mean": stats["mean"],
            "running_var": stats["var"],
        }
        for field, tree in trees.items():
            for part in path:
                tree = tree[part]
            state[f"{name}.{field}"] = tree

    def conv(name, kernel):
        state[f"{name}.weight"] = np.moveaxis(kernel, (3, 2), (0, 1))

    conv("stem.0", weights["stem"])
    norm("stem.1", "stem")
    for stage, blocks in enumerate([(0, 1), (3, 4), (6, 7)]):
        for cell, block in enumerate(blocks):
            for edge, kind in ((0, "kernel"), (2, "pointwise"), (5, "kernel")):
                conv(f"cells.{block}.layers.{edge}.op.1", weights["stages"][stage][kind][cell, edge])
                norm(f"cells.{block}.layers.{edge}.op.2", "stages", stage, (cell, edge))
    for stage, block in ((0, 2), (1, 5)):
        for part in ("conv_a", "conv_b"):
            conv(f"cells.{block}.{part}.op.1", weights["reductions"][stage][part])
            norm(f"cells.{block}.{part}.op.2", "reductions", stage, part)
        conv(f"cells.{block}.downsample.1", weights["reductions"][stage]["shortcut"])
    norm("lastact.0", "head")
    state["classifier.weight"], state["classifier.bias"] = weights["head"].T, params["bias"]
    return state


def test_round_trip():
    state = torch_state()
    found = back(interop.from_torch(SPACE, ARCH, state))
    kept = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert set(found) == set(kept)
    for name, value in kept.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_the_tree_is_that_of_init():
    variables = interop.from_torch(SPACE, ARCH, torch_state())
    expected = jax.eval_shape(lambda: SPACE.init(jax.random.key(0), ARCH))
    assert jax.tree.structure(variables) == jax.tree.structure(expected)
    same = jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), variables, expected)
    assert all(jax.tree.leaves(same))


def test_unused_slots_are_zero():
    stage = interop.from_torch(SPACE, ARCH, torch_state()).params["weights"]["stages"][1]
    for name, used in (("kernel", [0, 5]), ("pointwise", [2])):
        filled = np.abs(np.asarray(stage[name])).sum((2, 3, 4, 5)) > 0
        np.testing.assert_array_equal(filled, np.tile(np.isin(np.arange(6), used), (2, 1)))


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.model."])
def test_prefixes_of_wrappers_are_ignored(prefix):
    plain = interop.from_torch(SPACE, ARCH, torch_state())
    wrapped = interop.from_torch(SPACE, ARCH, {prefix + n: v for n, v in torch_state().items()})
    jax.tree.map(np.testing.assert_array_equal, plain, wrapped)


def test_running_statistics_may_be_absent():
    state = {n: v for n, v in torch_state().items() if "running" not in n}
    stats = interop.from_torch(SPACE, ARCH, state).stats
    assert all((np.asarray(leaf) == 0).all() for leaf in jax.tree.leaves(stats["mean"]))
    assert all((np.asarray(leaf) == 1).all() for leaf in jax.tree.leaves(stats["var"]))


def test_dtype(x64):
    variables = interop.from_torch(SPACE, ARCH, torch_state(), dtype=np.float64)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype(np.float64)}
    assert interop.from_torch(SPACE, ARCH, torch_state(), dtype=jnp.float32).params["bias"].dtype == np.float32


def broken(change):
    state = torch_state()
    change(state)
    return state


def nan(state):
    state["classifier.bias"][1] = np.nan


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s.pop("stem.0.weight"), r"missing \['stem.0.weight'\]"),
        (lambda s: s.pop("cells.3.layers.2.op.2.bias"), "cells.3.layers.2.op.2.bias"),
        (lambda s: s.update({"auxiliary.weight": np.zeros(3)}), r"not expected \['auxiliary.weight'\]"),
        (lambda s: s.update({"classifier.weight": np.zeros((5, 8))}), r"classifier.weight: shape \(8, 5\)"),
        (lambda s: s.update({"stem.0.weight": np.zeros((2, 3, 5, 5))}), r"stem.0.weight: shape \(5, 5, 3, 2\)"),
        (lambda s: s.update({"stem.1.running_var": np.ones(3)}), "stem.1.running_var"),
        (nan, "classifier.bias: .*NaN"),
    ],
)
def test_tensors_that_do_not_fit(change, match):
    with pytest.raises(InputError, match=match):
        interop.from_torch(SPACE, ARCH, broken(change))


def test_tensors_of_another_architecture():
    with pytest.raises(InputError, match=r"do not belong to .*missing .*\.\.\.,"):
        interop.from_torch(SPACE, np.array([3, 3, 2, 1, 4, 3]), torch_state())


@pytest.mark.slow
def test_trained_network_classifies_cifar10(shared):
    space = NasBench201()
    arch = space.decode("|none~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|")[0]
    with np.load(shared / "data" / "nb201_arch2566_cifar10_trained.npz") as file:
        variables = interop.from_torch(space, arch, dict(file))
    with np.load(shared / "data" / "cifar10_subset.npz") as file:
        images, labels = file["x_test"][:1000], file["y_test"][:1000]
    mean, std = np.array([125.3, 123.0, 113.9]) / 255, np.array([63.0, 62.1, 66.7]) / 255
    images = ((images / 255 - mean) / std).astype(np.float32)

    @functools.partial(jax.jit, static_argnames="norm")
    def run(variables, arch, images, norm):
        return space.apply(variables, arch, images, norm=norm).logits.argmax(-1)

    found = [run(variables, arch, part, "running") for part in np.split(images, 10)]
    accuracy = 100 * np.mean(np.concatenate(found) == labels)
    assert 88.7 <= accuracy <= 92.7
