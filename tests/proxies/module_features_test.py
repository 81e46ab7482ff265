"""MeCo and Dextr against NumPy, on given module outputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.proxies import get
from nasjax.proxies.base import Facts
from nasjax.proxies.module_features import CorrelationPass, SingularPass
from nasjax.types import InputError, Variables

RNG = np.random.default_rng(0)
LARGE, SMALL = RNG.normal(size=(3, 2, 4, 4, 3)), RNG.normal(size=(2, 1, 2, 2, 5))
COUNTS = (np.array([1, 0, 3], np.int32), np.array([2, 1], np.int32))
LARGE[2, :, :, :, 1] = 7.0  # a constant channel
OUT = RNG.normal(size=(12, 4))


class Space:
    """Given module outputs; logits ``((x A)^2)``."""

    name, precision, num_classes = "given", "highest", 4

    def modules(self, variables, arch, images, visit, *, norm="batch"):
        del variables, arch, norm
        repeated = jax.lax.scan(lambda c, v: (c, visit(v, jnp.asarray(COUNTS[0]))), 0, jnp.asarray(LARGE)[None])[1]
        seen = [repeated, visit(jnp.asarray(SMALL), jnp.asarray(COUNTS[1]))]
        return jnp.square(images.reshape(1, -1) @ jnp.asarray(OUT)), seen


def channels(value):
    return value[0].reshape(-1, value.shape[-1]).T


def terms(function):
    values = [*LARGE, *SMALL]
    return sum(c * function(channels(v)) for v, c in zip(values, np.concatenate(COUNTS), strict=True))


def smallest_eigenvalue(rows):
    with np.errstate(all="ignore"):
        correlation = np.nan_to_num(np.corrcoef(rows))
    return np.linalg.eigvalsh(correlation)[0]


def ratio(rows):
    s = np.linalg.svd(rows, compute_uv=False)
    return s[-1] / s[0]


def finish(name, p, stats):
    return get(name).finish(Facts(None, 0, 0, {p: jax.tree.map(np.asarray, stats)}))


def test_meco(x64):
    p = CorrelationPass()
    stats = p.measure(Space(), Variables({}, {}), None, None, None, fixed=jnp.zeros((1, 2, 2, 3)))
    np.testing.assert_allclose(finish("meco", p, stats).score, terms(smallest_eigenvalue), rtol=1e-9)


def test_meco_draws_its_image_from_the_key():
    shapes = []

    class Seen(Space):
        def modules(self, variables, arch, images, visit, *, norm="batch"):
            shapes.append(images.shape)
            return images.sum(), [visit(images[None], jnp.ones(1, jnp.int32))]

    images = jnp.zeros((1, 2, 8, 6, 3))
    run = lambda size, seed: CorrelationPass(size=size).measure(  # noqa: E731
        Seen(), Variables({}, {}), None, images, None, key=jax.random.key(seed)
    )["meco"]
    assert run(16, 0) != run(16, 1)
    run(None, 0)
    assert shapes == [(1, 16, 16, 3), (1, 16, 16, 3), (1, 8, 6, 3)]


def test_dextr(x64):
    p = SingularPass()
    span = RNG.normal(size=(12, 2))
    outputs = np.array([0, 1, 1, 2, 3, 0, 0, 2, 1, 3])
    fixed = (jnp.asarray(span), jnp.asarray(outputs))
    stats = p.measure(Space(), Variables({}, {}), None, jnp.ones((1, 2, 2, 2, 3)), None, fixed=fixed)
    u = span[:, 0] / np.linalg.norm(span[:, 0])
    w = span[:, 1] - u * (u @ span[:, 1])
    w /= np.linalg.norm(w)
    a, b = (u @ OUT)[outputs], (w @ OUT)[outputs]
    # f = (a cos t + b sin t)^2 at t = 0: first derivative 2ab, second 2(b^2 - a^2).
    v, acc = 2 * a * b, 2 * (b**2 - a**2)
    curvature = np.sqrt((v @ v) * (acc @ acc) - (v @ acc) ** 2) / (v @ v) ** 1.5
    h, c = np.log1p(terms(ratio)), np.log1p(curvature)
    np.testing.assert_allclose(finish("dextr", p, stats).score, h * c / (h + c), rtol=1e-9)


def test_dextr_without_curvature_keeps_the_singular_values():
    p = SingularPass()
    value = finish("dextr", p, {"ratios": jnp.array(3.0), "curvature": jnp.array(np.nan)})
    np.testing.assert_allclose(value.score, np.log(4))
    assert "curvature" in value.note
    assert finish("dextr", p, {"ratios": jnp.array(0.0), "curvature": jnp.array(0.0)}).score == 0


def test_options():
    assert dict(get("meco", preset="paper").options) == {"init": "torch", "size": 64}
    with pytest.raises(InputError, match="size=0"):
        get("meco", size=0)
    assert CorrelationPass().images_needed(64) == 0
    assert SingularPass().images_needed(64) == 1
