"""Small images, and the two spaces' networks rebuilt as Flax modules with the spaces' own weights."""

import flax.linen as fl
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.data import Batches
from nasjax.spaces.autoformer import AutoFormerTiny
from nasjax.spaces.base import architecture_keys, bind_one
from nasjax.spaces.cell201 import EDGES
from nasjax.spaces.nasbench201 import NasBench201

NB201 = NasBench201(channels=4, cells=1, num_classes=4, image_size=8)
FORMER = AutoFormerTiny(
    embed_dims=(12,), depths=(2, 3), heads=(1, 2), mlp_ratios=(2.0, 3.0), num_classes=4, image_size=8, patch_size=4,
    head_dim=4, max_distance=2,
)  # fmt: skip


def make_batches(*, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    return Batches.from_arrays(
        rng.normal(size=(16, 8, 8, 3)), np.arange(16) % 4, batch_size=8, num_batches=2, dtype=dtype, num_classes=4
    )


@pytest.fixture(scope="module")
def batches():
    return make_batches()


class Cell(fl.Module):
    """A cell, its edges in the official order; ``norm`` is False for the network without norms."""

    ops: tuple
    norm: bool

    @fl.compact
    def __call__(self, x):
        nodes = [x]
        for target in (1, 2, 3):
            total = jnp.zeros_like(x)
            for e, (source, end) in enumerate(EDGES):
                if end == target:
                    total = total + self.edge(e, nodes[source])
            nodes.append(total)
        return nodes[3]

    def edge(self, e, x):
        if self.ops[e] in (2, 3):
            size = 1 if self.ops[e] == 2 else 3
            x = fl.Conv(x.shape[-1], (size, size), use_bias=False, param_dtype=x.dtype, name=f"conv{e}")(fl.relu(x))
            return batch_norm(x, self.norm, f"norm{e}")
        if self.ops[e] == 4:
            return fl.avg_pool(x, (3, 3), padding=((1, 1), (1, 1)), count_include_pad=False)
        return x if self.ops[e] == 1 else jnp.zeros_like(x)


def batch_norm(x, norm, name):
    layer = fl.BatchNorm(use_running_average=False, param_dtype=x.dtype, name=name)
    return layer(x) if norm else x


class Network201(fl.Module):
    """NAS-Bench-201 as AutoDL has it; returns the logits and the feature maps."""

    ops: tuple
    norm: bool = True

    @fl.compact
    def __call__(self, x):
        def conv(x, width, name, size=3, stride=1, padding=1):
            return fl.Conv(
                width, (size, size), stride, padding, use_bias=False, param_dtype=x.dtype, name=name
            )(x)  # fmt: skip

        x = batch_norm(conv(x, 4, "stem"), self.norm, "stem_norm")
        maps = [x]
        for stage in range(3):
            x = Cell(self.ops, self.norm, name=f"cell{stage}")(x)
            maps.append(x)
            if stage < 2:
                width = 2 * x.shape[-1]
                h = conv(fl.relu(x), width, f"conv_a{stage}", stride=2)
                h = batch_norm(h, self.norm, f"norm_a{stage}")
                h = batch_norm(conv(fl.relu(h), width, f"conv_b{stage}"), self.norm, f"norm_b{stage}")
                pooled = fl.avg_pool(x, (2, 2), (2, 2))
                x = h + conv(pooled, width, f"shortcut{stage}", size=1, padding=0)
                maps.append(x)
        x = fl.relu(batch_norm(x, self.norm, "last_norm")).mean((1, 2))
        return fl.Dense(4, param_dtype=x.dtype, name="head")(x), maps


def own_variables(space, arch, *, seed=0):
    """The variables that `nasjax.score` draws for an architecture with the key of a seed."""
    key = architecture_keys(jax.random.key(seed), space.encode(arch[None]))[0]
    return bind_one(space, arch).init(jax.random.fold_in(key, 0), arch, dtype=jnp.float64)


def linen_201(arch, variables):
    """(functions of the rebuilt network, its parameters)."""
    ops = tuple(int(op) for op in arch)
    weights = variables.params["weights"]
    params = {"stem": weights["stem"], "head": (weights["head"], variables.params["bias"])}
    for stage in range(3):
        for e, op in enumerate(ops):
            if op in (2, 3):
                name = "pointwise" if op == 2 else "kernel"
                params.setdefault(f"cell{stage}", {})[f"conv{e}"] = weights["stages"][stage][name][0, e]
        if stage < 2:
            for part in ("conv_a", "conv_b", "shortcut"):
                params[f"{part}{stage}"] = weights["reductions"][stage][part]
    module = Network201(ops)
    template = module.init(jax.random.key(0), jnp.zeros((2, 8, 8, 3), jnp.float64))

    def fill(path, leaf):
        names = [entry.key for entry in path]
        if names[0] != "params" or names[-1] in ("scale", "shift", "bias") and names[1] != "head":
            return leaf
        found = params
        for name in names[1:-1]:
            found = found[name]
        found = found[names[-1] == "bias"] if isinstance(found, tuple) else found
        assert found.shape == leaf.shape
        return found

    own = jax.tree_util.tree_map_with_path(fill, template)

    def run(module):
        return lambda v, x: module.apply(v, x, mutable=["batch_stats"])[0]

    return {
        "apply_fn": lambda v, x: run(module)(v, x)[0],
        "norm_free_fn": lambda v, x: run(Network201(ops, norm=False))(v, x)[0],
        "features_fn": lambda v, x: run(module)(v, x)[1],
        "params": own,
    }
