"""Layers against lax in float64: values, first and second derivatives, also inside loops and switches."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from nasjax import nn
from nasjax.types import InputError

DIMS = ("NHWC", "HWIO", "NHWC")

# kernel, stride, dilation, padding, image size, input and output channels
CASES = [
    ((1, 1), 1, 1, "SAME", (6, 6), 3, 4),
    ((1, 1), 2, 1, "SAME", (7, 5), 2, 3),
    ((1, 1), 2, 1, "VALID", (8, 8), 1, 1),
    ((1, 1), 1, 1, ((1, 0), (0, 2)), (4, 5), 2, 2),
    ((3, 3), 1, 1, "SAME", (6, 6), 3, 4),
    ((3, 3), 1, 1, "SAME", (7, 5), 1, 3),
    ((3, 3), 1, 1, "SAME", (1, 1), 2, 3),
    ((3, 3), 1, 1, "SAME", (2, 1), 2, 3),
    ((3, 3), 2, 1, "SAME", (8, 8), 2, 3),
    ((3, 3), 2, 1, "SAME", (7, 9), 2, 1),
    ((3, 3), 2, 1, 1, (8, 8), 2, 3),
    ((3, 3), 2, 1, 1, (7, 7), 3, 2),
    ((3, 3), 1, 1, "VALID", (5, 6), 2, 3),
    ((3, 3), 3, 1, "VALID", (11, 10), 1, 1),
    ((3, 3), (2, 1), (1, 2), "SAME", (8, 7), 2, 3),
    ((3, 3), (1, 2), (2, 1), "SAME", (8, 7), 2, 3),
    ((3, 3), 1, 2, "SAME", (7, 7), 2, 3),
    ((3, 3), 2, 2, 2, (9, 8), 2, 2),
    ((3, 3), 1, 1, ((2, 0), (0, 1)), (5, 6), 2, 3),
    ((3, 3), 2, 1, ((0, 3), (3, 0)), (6, 7), 2, 3),
    ((3, 3), 1, 1, ((4, 4), (4, 4)), (4, 4), 2, 3),
    ((5, 5), 1, 1, "SAME", (8, 7), 2, 3),
    ((5, 5), 2, 1, 2, (9, 9), 3, 2),
    ((5, 5), 1, 2, "SAME", (9, 10), 1, 2),
    ((5, 5), 2, 2, "SAME", (11, 12), 2, 2),
    ((3, 1), 1, 1, "SAME", (6, 5), 2, 3),
    ((3, 1), 2, 1, ((1, 1), (0, 0)), (7, 6), 2, 3),
    ((1, 3), 1, 1, "SAME", (6, 5), 2, 3),
    ((2, 2), 1, 1, "SAME", (5, 5), 2, 2),
    ((2, 4), 2, 1, "SAME", (7, 8), 2, 2),
    ((3, 3), 1, 1, ((-1, 1), (0, 0)), (6, 6), 2, 2),
    ((3, 3), 1, 1, ((1, 1), (-1, 2)), (6, 6), 2, 2),
]


def pair(value):
    return (value, value) if isinstance(value, int) else value


def lax_conv(x, w, stride, padding, dilation, groups=1):
    """The oracle."""
    pads = [(padding, padding)] * 2 if isinstance(padding, int) else padding
    return lax.conv_general_dilated(
        x,
        w,
        pair(stride),
        pads,
        rhs_dilation=pair(dilation),
        dimension_numbers=DIMS,
        feature_group_count=groups,
        precision="highest",
    )


def make_pair(kind, case):
    """Our function, the oracle, and their operands x, w and two tangents."""
    kernel, stride, dilation, padding, size, ins, outs = case
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, *size, ins))
    if kind == "conv":
        w = rng.normal(size=(*kernel, ins, outs))
        ours = lambda x, w: nn.conv(x, w, fast=True, **options)  # noqa: E731
        oracle = lambda x, w: lax_conv(x, w, groups=1, **options)  # noqa: E731
    else:
        w = rng.normal(size=(*kernel, 1, ins))
        ours = lambda x, w: nn.depthwise_conv(x, w, **options)  # noqa: E731
        oracle = lambda x, w: lax_conv(x, w, groups=ins, **options)  # noqa: E731
    return ours, oracle, (jnp.asarray(x), jnp.asarray(w)), (rng.normal(size=x.shape), rng.normal(size=w.shape))


def loss_of(fn):
    """A loss that is curved in both operands, with a weight for each output."""

    def loss(x, w):
        y = fn(x, w)
        weights = jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)
        return jnp.sum(jnp.tanh(0.1 * y) * weights)

    return loss


def derivatives(fn, operands, tangents):
    """Value, gradient, grad of grad and jvp of grad."""
    gradient = jax.grad(loss_of(fn), (0, 1))

    def directional(x, w):
        return sum(jnp.vdot(g, t) for g, t in zip(gradient(x, w), tangents, strict=True))

    return {
        "value": fn(*operands),
        "gradient": gradient(*operands),
        "grad of grad": jax.grad(directional, (0, 1))(*operands),
        "jvp of grad": jax.jvp(gradient, operands, tangents)[1],
    }


def assert_close(actual, expected, tol=1e-10):
    for (path, a), b in zip(jax.tree.leaves_with_path(actual), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol, err_msg=jax.tree_util.keystr(path))


def case_name(case):
    kernel, stride, dilation, padding, size, ins, outs = case
    return f"k{kernel}-s{stride}-d{dilation}-p{padding}-{size}-{ins}to{outs}".replace(" ", "")


def check_derivatives(kind, case, context=lambda fn, x, w: fn(x, w)):
    ours, oracle, operands, tangents = make_pair(kind, case)
    results = [
        jax.jit(lambda o, t, fn=fn: derivatives(lambda x, w: context(fn, x, w), o, t))(
            operands, tangents
        )
        for fn in (ours, oracle)
    ]
    assert_close(*results)


# One case of each sort runs always, the others with the slow tests.
ALWAYS = {"conv": (0, 1, 5, 9, 14, 19, 24, 26, 30), "depthwise": (1, 9, 18)}
TABLE = [
    pytest.param(kind, case, id=f"{kind}-{case_name(case)}", marks=[] if i in always else [pytest.mark.slow])
    for kind, always in ALWAYS.items()
    for i, case in enumerate(CASES)
]


@pytest.mark.parametrize(("kind", "case"), TABLE)
def test_convolution_equals_lax(kind, case, x64):
    check_derivatives(kind, case)


def in_scan(fn, x, w):
    def body(total, scale):
        return total + fn(x * scale, w), None

    start = jnp.zeros_like(jax.eval_shape(fn, x, w))
    return lax.scan(body, start, jnp.array([0.5, 1.0, -2.0]))[0]


def in_map(fn, x, w):
    return lax.map(lambda scale: fn(x, w * scale), jnp.array([0.5, 1.0])).sum(0)


def in_switch(fn, x, w):
    def choose(index):
        return lax.switch(index, (lambda x, w: 0 * fn(x, w), fn, lambda x, w: fn(x, 2 * w)), x, w)

    return choose(jnp.int32(1)) + lax.map(choose, jnp.array([0, 2, 1])).sum(0)


def in_vmap_over_images(fn, x, w):
    return jax.vmap(fn, (0, None))(jnp.stack([x, x[::-1]]), w).sum(0)


def in_vmap_over_both(fn, x, w):
    return jax.vmap(fn)(jnp.stack([x, 2 * x]), jnp.stack([w, w[::-1]])).sum(0)


CONTEXTS = (in_scan, in_map, in_switch, in_vmap_over_images, in_vmap_over_both)
INSIDE = [
    pytest.param(kind, CASES[i], context, id=f"{kind}-{i}-{context.__name__}", marks=marks)
    for kind, i, contexts, marks in (
        ("conv", 4, (in_scan, in_switch, in_vmap_over_images), []),
        ("depthwise", 25, (in_scan, in_vmap_over_images), []),
        ("conv", 4, (in_map, in_vmap_over_both), [pytest.mark.slow]),
        ("conv", 19, CONTEXTS, [pytest.mark.slow]),
        ("depthwise", 4, CONTEXTS, [pytest.mark.slow]),
        ("depthwise", 25, (in_map, in_switch, in_vmap_over_both), [pytest.mark.slow]),
    )
    for context in contexts
]


@pytest.mark.parametrize(("kind", "case", "context"), INSIDE)
def test_convolution_inside_control_flow(kind, case, context, x64):
    check_derivatives(kind, case, context)


@pytest.mark.parametrize("case", [CASES[17]], ids=case_name)
def test_forward_mode_without_the_fast_backward(case, x64):
    kernel, stride, dilation, padding, _, ins, _ = case
    options = {"stride": stride, "padding": padding, "dilation": dilation, "fast": False}
    _, oracle, operands, tangents = make_pair("conv", case)
    assert_close(
        jax.jvp(lambda x, w: nn.conv(x, w, **options), operands, tangents), jax.jvp(oracle, operands, tangents)
    )
    _, oracle, operands, tangents = make_pair("depthwise", case)
    ours = jax.jvp(lambda x, w: nn.depthwise_conv(x, w, **options), operands, tangents)
    assert_close(ours, jax.jvp(oracle, operands, tangents))


def loop_moments(loss, x, w):
    """Moments of the single-sample gradients, from an explicit loop."""
    gradient = jax.jit(jax.grad(loss, 1))
    gradients = np.stack([np.asarray(gradient(x[i : i + 1], w)) for i in range(len(x))])
    absolute = np.abs(gradients)
    return nn.Moments(
        gradients.mean(0),
        ((gradients - gradients.mean(0)) ** 2).sum(0),
        absolute.mean(0),
        ((absolute - absolute.mean(0)) ** 2).sum(0),
    )


def mean_loss(fn):
    def loss(x, w, moments=None):
        y = fn(x, w) if moments is None else fn(x, w, moments=moments)
        return jnp.mean(jnp.sum(jnp.sin(y), tuple(range(1, y.ndim))))

    return loss


@pytest.mark.parametrize("case", [CASES[i] for i in (1, 4, 16, 19, 31)], ids=case_name)
@pytest.mark.parametrize("kind", ["conv", "depthwise"])
def test_moments_equal_a_loop_over_samples(kind, case, x64):
    kernel, stride, dilation, padding, *_ = case
    _, oracle, (x, w), _ = make_pair(kind, case)
    layer = nn.conv if kind == "conv" else nn.depthwise_conv

    def ours(x, w, moments):
        return layer(x, w, stride=stride, padding=padding, dilation=dilation, moments=moments)

    gradients = jax.jit(jax.grad(mean_loss(ours), (0, 1, 2)))
    dx, dw, moments = gradients(x, w, nn.Moments.zeros_like(w))
    assert_close((dx, dw), jax.grad(mean_loss(oracle), (0, 1))(x, w))
    assert_close(moments, loop_moments(mean_loss(oracle), x, w))


def test_linear_and_its_moments(x64):
    rng = np.random.default_rng(1)
    w = jnp.asarray(rng.normal(size=(4, 3)))
    for shape in ((5, 4), (5, 2, 4)):
        x = jnp.asarray(rng.normal(size=shape))
        np.testing.assert_allclose(nn.linear(x, w), np.asarray(x) @ np.asarray(w), rtol=1e-12)
        dx, dw, moments = jax.grad(mean_loss(nn.linear), (0, 1, 2))(x, w, nn.Moments.zeros_like(w))
        assert_close((dx, dw), jax.grad(mean_loss(jnp.matmul), (0, 1))(x, w))
        assert_close(moments, loop_moments(mean_loss(jnp.matmul), x, w))


def test_sample_moments_of_large_offsets_do_not_cancel():
    gradients = np.array([[1e4], [1e4 + 1], [1e4 + 2]], np.float32)
    moments = nn.sample_moments(jnp.asarray(gradients))
    np.testing.assert_allclose(moments.m2, [2.0], rtol=1e-6)
    np.testing.assert_allclose(moments.m2_abs, [2.0], rtol=1e-6)


def reduce_probe(value, cotangent):
    return {"dot": jnp.vdot(value, cotangent), "signs": jnp.sum(cotangent > 0, dtype=value.dtype)}


def test_probe_emits_its_statistic_and_changes_nothing(x64):
    x = jnp.array([1.0, -2.0, 3.0])
    zero = {"dot": jnp.zeros(()), "signs": jnp.zeros(())}

    def loss(x, dummy):
        return jnp.sum(nn.probe(x**2, dummy, reduce_probe) * jnp.array([1.0, -1.0, 2.0]))

    dx, statistic = jax.grad(loss, (0, 1))(x, zero)
    np.testing.assert_allclose(loss(x, zero), 1 - 4 + 18)
    np.testing.assert_allclose(dx, [2, 4, 12])
    np.testing.assert_allclose(statistic["dot"], 1 - 4 + 18)
    np.testing.assert_allclose(statistic["signs"], 2)


def numpy_norm(x, axes, eps=1e-5):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def test_batch_norm_modes(x64):
    rng = np.random.default_rng(2)
    x, scale, bias = rng.normal(2, 3, (4, 5, 3, 2)), rng.normal(size=2), rng.normal(size=2)
    stats = (np.array([0.5, 1.0]), np.array([2.0, 0.25]))
    args = tuple(map(jnp.asarray, (x, scale, bias))), tuple(map(jnp.asarray, stats))

    y, (mean, var) = nn.batch_norm(*args[0], stats=args[1], mode="batch", momentum=0.1)
    np.testing.assert_allclose(y, numpy_norm(x, (0, 1, 2)) * scale + bias, rtol=1e-10)
    np.testing.assert_allclose(mean, 0.9 * stats[0] + 0.1 * x.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(var, 0.9 * stats[1] + 0.1 * x.var((0, 1, 2), ddof=1), rtol=1e-12)

    y, kept = nn.batch_norm(*args[0], stats=args[1], mode="running")
    np.testing.assert_allclose(y, (x - stats[0]) / np.sqrt(stats[1] + 1e-5) * scale + bias, rtol=1e-10)
    assert_close(kept, args[1])

    y, kept = nn.batch_norm(*args[0], stats=args[1], mode="sample")
    np.testing.assert_allclose(y, numpy_norm(x, (1, 2)) * scale + bias, rtol=1e-10)
    assert_close(kept, args[1])
    alone = jnp.concatenate([nn.batch_norm(args[0][0][i : i + 1], *args[0][1:])[0] for i in range(4)])
    np.testing.assert_allclose(y, alone, rtol=1e-10)

    y, kept = nn.batch_norm(*args[0], stats=args[1], mode="none")
    np.testing.assert_array_equal(y, x)
    assert_close(kept, args[1])


def test_batch_norm_with_its_own_backward(x64):
    """Value, statistics, gradient, and the gradient's derivative along any direction."""
    keys = jax.random.split(jax.random.key(3), 8)
    args = tuple(jax.random.normal(k, s) + 1 for k, s in zip(keys, [(4, 3, 5, 2), (2,), (2,)], strict=False))
    along = tuple(jax.random.normal(k, a.shape) for k, a in zip(keys[3:], args, strict=False))
    weight, stats = jax.random.normal(keys[7], args[0].shape), (jnp.ones(2), jnp.full(2, 3.0))

    @functools.partial(jax.jit, static_argnums=0)
    def everything(fast):
        def loss(*args):
            y, new = nn.batch_norm(*args, stats=stats, fast=fast)
            return jnp.sum(weight * jnp.sin(y)), (y, new)

        gradient = jax.grad(loss, argnums=(0, 1, 2), has_aux=True)
        (first, out), (second, _) = jax.jvp(gradient, args, along)
        return first, out, second

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), everything(True), everything(False)
    )


def test_batch_norm_without_scale_of_a_constant_is_finite():
    x = jnp.full((2, 3, 3, 4), 7.0)
    y, stats = nn.batch_norm(x, None, None)
    np.testing.assert_array_equal(y, jnp.zeros_like(x))
    assert stats is None
    gradient = jax.grad(lambda x: jnp.sum(nn.batch_norm(x, None, None)[0] ** 2))(x)
    assert jnp.all(jnp.isfinite(gradient))


def test_layer_norm(x64):
    rng = np.random.default_rng(3)
    x, scale, bias = (jnp.asarray(rng.normal(size=shape)) for shape in ((2, 5, 6), (6,), (6,)))
    expected = numpy_norm(np.asarray(x), (-1,))
    np.testing.assert_allclose(nn.layer_norm(x, None, None), expected, rtol=1e-10)
    np.testing.assert_allclose(
        nn.layer_norm(x, scale, bias), expected * np.asarray(scale) + np.asarray(bias), rtol=1e-10
    )


POOLS = [
    (3, 1, "SAME", (6, 6)),
    (3, 1, "SAME", (1, 2)),
    (3, 2, "SAME", (7, 8)),
    (3, 2, 1, (8, 8)),
    (2, 2, "VALID", (7, 6)),
    (2, 2, 0, (8, 8)),
    (3, 1, ((1, 0), (0, 2)), (5, 6)),
]


def loop_pool(x, window, stride, padding, reduce):
    """NumPy loops over the windows; reduce(values inside the image)."""
    size = x.shape[1:3]
    if isinstance(padding, str):
        pads = lax.padtype_to_pads(size, (window, window), (stride, stride), padding)
    else:
        pads = [(padding, padding)] * 2 if isinstance(padding, int) else padding
    outs = [(n + sum(p) - window) // stride + 1 for n, p in zip(size, pads, strict=True)]
    y = np.zeros((x.shape[0], *outs, x.shape[3]))
    for i in range(outs[0]):
        for j in range(outs[1]):
            top, left = i * stride - pads[0][0], j * stride - pads[1][0]
            y[:, i, j] = reduce(x[:, max(top, 0) : top + window, max(left, 0) : left + window])
    return y


@pytest.mark.parametrize(("window", "stride", "padding", "size"), POOLS)
def test_pooling(window, stride, padding, size, x64):
    x = np.random.default_rng(4).normal(size=(2, *size, 3))
    options = {"stride": stride, "padding": padding}
    expected = {
        "inside": loop_pool(x, window, reduce=lambda v: v.mean((1, 2)), **options),
        "all": loop_pool(x, window, reduce=lambda v: v.sum((1, 2)) / window**2, **options),
        "max": loop_pool(x, window, reduce=lambda v: v.max((1, 2)), **options),
    }
    x = jnp.asarray(x)
    np.testing.assert_allclose(nn.avg_pool(x, window, **options), expected["inside"], rtol=1e-10)
    np.testing.assert_allclose(nn.avg_pool(x, window, count_include_pad=True, **options), expected["all"], rtol=1e-10)
    np.testing.assert_allclose(nn.max_pool(x, window, **options), expected["max"], rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_layers_keep_the_dtype(dtype):
    def layers(x, w, depthwise, matrix, scale):
        return [
            nn.conv(x, w),
            nn.depthwise_conv(x, depthwise),
            nn.linear(x, matrix),
            nn.batch_norm(x, scale, scale, stats=(scale, scale)),
            nn.batch_norm(x, scale, scale, stats=(scale, scale), mode="running"),
            nn.layer_norm(x, scale, scale),
            nn.avg_pool(x, 3),
            nn.max_pool(x, 3),
            jax.grad(lambda w: nn.conv(x, w).sum())(w),
        ]

    shapes = ((2, 5, 5, 3), (3, 3, 3, 4), (3, 3, 1, 3), (3, 2), (3,))
    results = jax.eval_shape(layers, *(jax.ShapeDtypeStruct(shape, dtype) for shape in shapes))
    assert {leaf.dtype for leaf in jax.tree.leaves(results)} == {jnp.dtype(dtype)}


@pytest.mark.parametrize(
    "call",
    [
        lambda: nn.conv(jnp.ones((2, 4, 4)), jnp.ones((3, 3, 1, 1))),
        lambda: nn.conv(jnp.ones((2, 4, 4, 3)), jnp.ones((3, 3, 2, 1))),
        lambda: nn.conv(jnp.ones((2, 4, 4, 3)), jnp.ones((3, 3, 3, 1)), padding="FULL"),
        lambda: nn.conv(jnp.ones((2, 4, 4, 3)), jnp.ones((3, 3, 3, 1)), stride=0),
        lambda: nn.conv(jnp.ones((2, 4, 4, 3)), jnp.ones((3, 3, 3, 1)), dilation=(1, 2, 3)),
        lambda: nn.depthwise_conv(jnp.ones((2, 4, 4, 3)), jnp.ones((3, 3, 3, 3))),
        lambda: nn.batch_norm(jnp.ones((2, 4, 4, 3)), None, None, mode="running"),
        lambda: nn.batch_norm(jnp.ones((2, 4, 4, 3)), None, None, mode="train"),
    ],
)
def test_bad_input(call):
    with pytest.raises(InputError):
        call()
