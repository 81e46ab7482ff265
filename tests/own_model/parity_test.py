"""A space's network rebuilt as a Flax module has the space's own scores, in float64."""

import os

import flax.linen as fl
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nasjax
from nasjax.own_model import score_model
from nasjax.spaces.autoformer import AutoFormerTiny
from nasjax.spaces.base import architecture_keys, bind_one
from nasjax.spaces.cell201 import EDGES
from nasjax.spaces.nasbench201 import NasBench201

NB201 = NasBench201(channels=4, cells=1, num_classes=4, image_size=8)
FORMER = AutoFormerTiny(
    embed_dims=(12,), depths=(2, 3), heads=(1, 2), mlp_ratios=(2.0, 3.0), num_classes=4, image_size=8, patch_size=4,
    head_dim=4, max_distance=2,
)  # fmt: skip
PROXIES = (
    "params", "flops", "grad_norm", "snip", "plain", "l2_norm", "synflow", "snr", "nwot", "swap", "reg_swap", "zico",
    "lswag", "lswag:interval=3-6", "lswag:interval=3-6:psi_layers=interval",
)  # fmt: skip
MORE = (
    "fisher", "grasp", "gradsign", "gsnr", "jacob_cov", "epe_nas", "te_ntk", "lswag:norm=sample",
    "lswag:norm=sample:granularity=sample",
)  # fmt: skip
EXPECTED = {"rtol": 1e-6, "atol": 0}
DEAD_ENDS = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|none~2|"
PLAIN = "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|nor_conv_1x1~2|"
FORMERS = ((2, 3.0, 2.0, 2, 1, 12), (3, 2.0, 3.0, 2.0, 1, 2, 2, 12))


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


class Attention(fl.Module):
    """Attention with 2-D relative positions of keys and values."""

    heads: int
    side: int

    @fl.compact
    def __call__(self, x):
        batch, tokens, width = x.shape
        units, dtype = FORMER.head_dim, x.dtype
        reach = FORMER.max_distance
        rows, columns = np.divmod(np.arange(self.side**2), self.side)

        def relative(name):
            """[tokens, tokens, units]: vertical plus horizontal embedding of every pair."""
            total = 0
            for axis, place in (("vertical", rows), ("horizontal", columns)):
                shape = (2 * reach + 2, units)
                table = self.param(f"{name}_{axis}", fl.initializers.zeros, shape, dtype)
                index = np.zeros((tokens, tokens), int)
                index[1:, 1:] = np.clip(place[None] - place[:, None], -reach, reach) + reach + 1
                total = total + table[index]
            return total

        qkv = fl.Dense(3 * self.heads * units, param_dtype=dtype, name="qkv")(x)
        q, k, v = jnp.moveaxis(qkv.reshape(batch, tokens, 3, self.heads, units), 2, 0)
        logits = jnp.einsum("bnhd,bmhd->bhnm", q, k) + jnp.einsum("bnhd,nmd->bhnm", q, relative("key"))
        share = jax.nn.softmax(logits * units**-0.5)
        out = jnp.einsum("bhnm,bmhd->bnhd", share, v) + jnp.einsum("bhnm,nmd->bnhd", share, relative("value"))
        return fl.Dense(width, param_dtype=dtype, name="proj")(out.reshape(batch, tokens, -1))


class Transformer(fl.Module):
    """An AutoFormer sub-network, without room for more."""

    width: int
    heads: tuple
    hidden: tuple

    @fl.compact
    def __call__(self, x):
        batch, dtype = x.shape[0], x.dtype
        size = FORMER.patch_size
        side = x.shape[1] // size

        def norm(x, name):
            return fl.LayerNorm(1e-5, param_dtype=dtype, name=name)(x)

        x = fl.Conv(self.width, (size, size), (size, size), "VALID", param_dtype=dtype, name="patch")(x)
        token = self.param("token", fl.initializers.zeros, (1, 1, self.width), dtype)
        position = self.param("position", fl.initializers.zeros, (1, side * side + 1, self.width), dtype)
        x = jnp.concatenate([jnp.broadcast_to(token, (batch, 1, self.width)), x.reshape(batch, -1, self.width)], 1)
        x = x + position
        for i, (heads, hidden) in enumerate(zip(self.heads, self.hidden, strict=True)):
            x = x + Attention(heads, side, name=f"attention{i}")(norm(x, f"attention_norm{i}"))
            h = fl.Dense(hidden, param_dtype=dtype, name=f"fc1_{i}")(norm(x, f"mlp_norm{i}"))
            x = x + fl.Dense(self.width, param_dtype=dtype, name=f"fc2_{i}")(fl.gelu(h, approximate=False))
        return fl.Dense(4, param_dtype=dtype, name="head")(norm(x, "last_norm")[:, 1:].mean(1))


def linen_former(arch, variables):
    """(functions of the rebuilt network, its parameters)."""
    given = jax.tree.map(np.asarray, variables.params)
    width, depth = int(arch[0]), int(arch[1])
    slots = (len(arch) - 2) // 2
    heads = tuple(int(h) for h in arch[2 : 2 + depth])
    hidden = tuple(int(width * t // 10) for t in arch[2 + slots : 2 + slots + depth])
    units, most = FORMER.head_dim, FORMER.heads[-1]

    def linear(name, place=(), rows=slice(None), columns=slice(None)):
        return {
            "kernel": given["weights"][name][place][..., rows, columns],
            "bias": given["bias"][name][place][columns],
        }

    def norm(name, place=()):
        return {"scale": given["scale"][name][place], "bias": given["shift"][name][place]}

    tokens = given["tokens"]
    params = {"patch": linear("patch"), "head": linear("head"), "last_norm": norm("head")}
    params |= {name: tokens[name] for name in ("token", "position")}
    for i in range(depth):
        own = heads[i] * units
        parts = np.concatenate([p * most * units + np.arange(own) for p in range(3)])
        tables = ("key_vertical", "key_horizontal", "value_vertical", "value_horizontal")
        params[f"attention{i}"] = {
            "qkv": linear("qkv", i, columns=parts),
            "proj": linear("proj", i, rows=slice(own)),
            **{table: tokens[table][i] for table in tables},
        }
        params[f"fc1_{i}"] = linear("fc1", i, columns=slice(hidden[i]))
        params[f"fc2_{i}"] = linear("fc2", i, rows=slice(hidden[i]))
        params[f"attention_norm{i}"], params[f"mlp_norm{i}"] = norm("attention", i), norm("mlp", i)
    module = Transformer(width, heads, hidden)
    template = jax.eval_shape(module.init, jax.random.key(0), jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float64))
    own = {"params": params}
    assert jax.tree.map(lambda a: a.shape, own) == jax.tree.map(lambda a: a.shape, dict(template))
    return {"apply_fn": module.apply, "params": own}


def compare(space, encoding, rebuild, batches, proxies):
    arch = np.asarray(space.decode([encoding])[0])
    given = rebuild(arch, own_variables(space, arch))
    found = score_model(batches=batches, proxies=proxies, **given)
    expected = nasjax.score(space, [encoding], batches, proxies, key=jax.random.key(0), engine="jit", chunk=1)
    assert list(found.scores) == list(expected.scores)
    for name in found.scores:
        np.testing.assert_allclose(found.scores[name], expected.scores[name], **EXPECTED, err_msg=name)
        np.testing.assert_allclose(found.raw[name], expected.raw[name], **EXPECTED, err_msg=name)
        assert found.reasons[name] == expected.reasons[name], name


def test_nasbench201(batches):
    compare(NB201, DEAD_ENDS, linen_201, batches, [name for name in PROXIES if name not in ("synflow", "snr")])


def test_autoformer(batches):
    compare(FORMER, FORMERS[0], linen_former, batches, PROXIES)


@pytest.mark.slow
@pytest.mark.skipif("NASJAX_LONG_TESTS" not in os.environ, reason="takes minutes to compile; set NASJAX_LONG_TESTS=1")
@pytest.mark.parametrize(
    ("space", "encoding", "rebuild", "proxies"),
    [
        (NB201, DEAD_ENDS, linen_201, (*MORE, "synflow", "snr", "az_expressivity", "az_progressivity")),
        (NB201, PLAIN, linen_201, PROXIES),
        (FORMER, FORMERS[0], linen_former, MORE),
        (FORMER, FORMERS[1], linen_former, PROXIES),
    ],
)
def test_other_proxies_and_architectures(space, encoding, rebuild, proxies, batches):
    compare(space, encoding, rebuild, batches, proxies)
