"""TSM, GSM and GSF against their equations, written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from scipy import ndimage

from nasjax.das.temporal import GSF, GSM, Temporal, TemporalConfig, interleave, narrow_conv, shift, temporal_shift
from nasjax.types import InputError


def compiled(fn, *args):
    """Result of a function that is compiled as a whole: quicker than operation by operation."""
    return jax.jit(fn).lower(*args).compile()(*args)


def video(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def np_shift(x, step):
    """step 1: the frame before."""
    out = np.zeros_like(x)
    if step == 1:
        out[:, 1:] = x[:, :-1]
    else:
        out[:, :-1] = x[:, 1:]
    return out


def np_interleave(half):
    n = half.shape[-1]
    out = np.empty_like(half)
    for i in range(2):
        for j in range(n // 2):
            out[..., 2 * j + i] = half[..., i * (n // 2) + j]
    return out


def filled(module, x, value=None, seed=1):
    """Variables of a module in float64: all parameters equal, or random."""
    variables = jax.eval_shape(module.init, jax.random.key(0), x)
    rng = np.random.default_rng(seed)
    make = (lambda a: rng.normal(size=a.shape)) if value is None else (lambda a: np.full(a.shape, value))
    norm = {"norm": {"scale": np.ones(x.shape[-1]), "bias": np.zeros(x.shape[-1])}}
    stats = {"norm": {"mean": np.zeros(x.shape[-1]), "var": np.ones(x.shape[-1])}}
    return {"params": {**jax.tree.map(make, variables["params"]), **norm}, "batch_stats": stats}


def reference(params, x, fused):
    """The equations, with scipy's correlate for the convolutions; running statistics of mean 0, variance 1."""
    u = np.maximum(x / np.sqrt(1 + 1e-5), 0)
    outs = []
    for half, step in ((0, -1), (1, 1)):
        channels = slice(*(half * x.shape[-1] // 2, (half + 1) * x.shape[-1] // 2))
        xs, us = x[..., channels], u[..., channels]
        kernel = params["kernel"][..., half]
        gate = params["bias"][half] + sum(
            ndimage.correlate(us[..., c], kernel[None, ..., c], mode="constant") for c in range(us.shape[-1])
        )
        y = np.tanh(gate)[..., None] * xs
        moved, rest = np_shift(y, step), xs - y
        if fused:
            means = [part.mean((2, 3)).swapaxes(1, 2) for part in (moved, rest)]  # [batch, channels, frames]
            w = params[f"fusion{half}_bias"][0] + sum(
                ndimage.correlate(m, params[f"fusion{half}_kernel"][None, ..., i, 0], mode="constant")
                for i, m in enumerate(means)
            )
            w = (1 / (1 + np.exp(-w))).swapaxes(1, 2)[:, :, None, None]
            out = moved * w + rest * (1 - w)
        else:
            out = moved + rest
        outs.append(np_interleave(out))
    return np.concatenate(outs, -1)


def test_shift_and_interleave():
    x = video(2, 3, 1, 1, 8)
    for step in (1, -1):
        np.testing.assert_array_equal(shift(jnp.asarray(x), step), np_shift(x, step).astype(np.float32))
    np.testing.assert_array_equal(interleave(jnp.arange(8)), np_interleave(np.arange(8)))


def test_tsm_moves_two_eighths():
    x = video(2, 4, 3, 3, 19).astype(np.float32)  # 19 // 8 = 2 channels each way
    y = np.asarray(temporal_shift(jnp.asarray(x)))
    expected = x.copy()
    expected[..., :2], expected[..., 2:4] = np_shift(x[..., :2], -1), np_shift(x[..., 2:4], 1)
    np.testing.assert_array_equal(y, expected)
    past = np.asarray(temporal_shift(jnp.asarray(x), direction="past"))
    np.testing.assert_array_equal(past[..., :4], np_shift(x[..., :4], 1))


@pytest.mark.parametrize("taps", [(3, 3), (3, 5, 3)])
def test_narrow_conv_is_a_convolution(x64, taps):
    x, kernel = video(2, 4, 5, 6, 3)[:, : 4 if len(taps) == 3 else 1], video(*taps, 3, seed=1)
    x = x if len(taps) == 3 else x[:, 0]
    weights = kernel[None]
    expected = sum(ndimage.correlate(x[..., c], weights[..., c], mode="constant") for c in range(3))
    np.testing.assert_allclose(narrow_conv(jnp.asarray(x), jnp.asarray(kernel)), expected, atol=1e-12)


@pytest.mark.parametrize("fused", [False, True], ids=["gsm", "gsf"])
def test_gated_modules_follow_their_equations(x64, fused):
    x, module = video(2, 3, 4, 5, 8), GSF() if fused else GSM()
    variables = filled(module, x)
    y, seen = module.apply(variables, jnp.asarray(x), mutable=["intermediates"])
    np.testing.assert_allclose(y, reference(variables["params"], x, fused), atol=1e-12)
    gates = seen["intermediates"]["gates"][0]
    assert gates.shape == (2, 3, 4, 5, 2) and np.abs(gates).max() <= 1 and np.abs(gates).max() > 0.5


def test_gsm_starts_as_an_interleave():
    x = jnp.asarray(video(1, 3, 2, 2, 8), jnp.float32)
    y, _ = compiled(GSM().init_with_output, jax.random.key(0), x)
    expected = np.concatenate([np_interleave(np.asarray(x[..., :4])), np_interleave(np.asarray(x[..., 4:]))], -1)
    np.testing.assert_array_equal(y, expected)


def test_gsf_of_zeros_is_half_an_interleave():
    x = jnp.asarray(video(1, 3, 2, 2, 8), jnp.float32)
    y = GSF().apply(filled(GSF(), x, 0.0), x)
    expected = np.concatenate([np_interleave(np.asarray(x[..., :4])), np_interleave(np.asarray(x[..., 4:]))], -1)
    np.testing.assert_array_equal(y, 0.5 * expected)


@pytest.mark.parametrize("channels", [4, 16, 24])
def test_parameter_counts(channels):
    def count(module):
        found = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 2, 2, 2, channels)))
        return sum(leaf.size for leaf in jax.tree.leaves(found["params"]))

    assert count(GSF()) == 29 * channels + 40
    assert count(GSM()) == 29 * channels + 2


def test_initial_laws_are_those_of_pytorch():
    params = compiled(GSF().init, jax.random.key(3), jnp.zeros((1, 1, 2, 2, 64)))["params"]
    for name, bound in (("kernel", 1 / np.sqrt(27 * 32)), ("fusion0_kernel", 1 / np.sqrt(18))):
        largest = np.abs(params[name]).max()
        assert 0.8 * bound < largest <= bound
    assert 0 < np.abs(params["bias"]).max() <= 1 / np.sqrt(27 * 32)


@pytest.mark.parametrize("module", [GSM(start="identity"), GSF(start="identity")], ids=["gsm", "gsf"])
def test_gentle_start(module):
    x = jnp.asarray(video(1, 3, 4, 4, 8), jnp.float32)
    y, _ = compiled(module.init_with_output, jax.random.key(0), x)
    np.testing.assert_allclose(y, x, rtol=0.003)


@pytest.mark.parametrize(
    ("kind", "direction", "reads"),
    [("tsm", "both", {1, 2, 3}), ("tsm", "future", {2, 3}), ("gsm", "past", {1, 2}), ("gsf", "both", {1, 2, 3}),
     ("gsf", "past", {1, 2})],
)  # fmt: skip
def test_what_a_frame_sees(kind, direction, reads):
    """Derivative of the middle frame by each frame, through running statistics and the modules' own shifts alone."""
    module = Temporal(TemporalConfig(kind=kind, ratio=1.0, direction=direction), 8)
    x = jnp.asarray(video(5, 2, 2, 8), jnp.float32)
    variables = compiled(lambda key, x: module.init(key, x, 5), jax.random.key(0), x)
    # Gates see both neighbours through their convolution: a bias in place of the kernel leaves the shift alone.
    params = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.zeros_like(leaf) if "kernel" in str(path) else leaf + 0.3, variables.get("params", {})
    )
    gradient = compiled(jax.grad(lambda x, v: module.apply(v, x, 5)[2].sum()), x, {**variables, "params": params})
    assert {int(t) for t in np.flatnonzero(np.abs(gradient).sum((1, 2, 3)))} == reads


def test_the_share_of_channels():
    config = TemporalConfig(ratio=0.25)
    assert [config.channels(width) for width in (8, 16, 20, 24, 64)] == [4, 4, 8, 8, 16]
    x = jnp.ones((4, 2, 2, 16))
    y = compiled(lambda key, x: Temporal(config, 16).init_with_output(key, x, 2)[0], jax.random.key(0), x)
    assert (y[..., 4:] == 1).all() and not (y[..., :4] == 1).any()


def test_statistics_of_the_norm_are_over_batch_time_and_space():
    x = jnp.asarray(video(2, 3, 4, 4, 4) + 5, jnp.float32)

    def both(key, x):
        start = GSM().init(key, x, train=True)
        return start, GSM().apply(start, x, train=True, mutable=["batch_stats"])[1]

    start, new = compiled(both, jax.random.key(0), x)
    np.testing.assert_allclose(start["batch_stats"]["norm"]["mean"], np.zeros(4))  # initialising changes none
    np.testing.assert_allclose(new["batch_stats"]["norm"]["mean"], 0.1 * x.mean((0, 1, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize(
    "fields",
    [{"kind": "gst"}, {"direction": "up"}, {"placement": "middle"}, {"start": "zero"}, {"ratio": 0}, {"ratio": 2}],
)
def test_bad_configuration(fields):
    with pytest.raises(InputError, match="allowed"):
        TemporalConfig(**fields)


def test_channels_that_do_not_fit():
    with pytest.raises(InputError, match="multiple of 4"):
        GSF().init(jax.random.key(0), jnp.zeros((1, 2, 2, 2, 6)))
    with pytest.raises(InputError, match="needs 4 channels"):
        Temporal(TemporalConfig(), 2).init(jax.random.key(0), jnp.zeros((2, 2, 2, 2)), 2)


def test_modules_are_linen():
    assert issubclass(GSF, nn.Module) and issubclass(GSM, nn.Module)
