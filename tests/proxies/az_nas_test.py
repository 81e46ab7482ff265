"""AZ-NAS against NumPy, on networks of matrix products."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import nn
from nasjax.proxies import get
from nasjax.proxies.az_nas import FeaturePass, _gain
from nasjax.proxies.base import Facts
from nasjax.types import Block, InputError, Variables, Walk

RNG = np.random.default_rng(0)
STEM, FIRST, SECOND = RNG.normal(size=(3, 4)), RNG.normal(size=(2, 4, 4)), RNG.normal(size=(16, 5))


class Space:
    """Stem, two blocks of one name, one that folds 2x2 pixels into channels, and a last one that is no feature."""

    name, precision = "products", "highest"

    def __init__(self, *, identity=False, skip=False, tokens=False):
        self.identity, self.skip, self.tokens = identity, skip, tokens

    def blocks(self, variables, arch, images, visit, *, norm="batch"):
        del variables, arch, norm
        seen = {}
        product = lambda w: lambda x: (nn.linear(x, jnp.asarray(w)), None)  # noqa: E731
        (x, _), seen["stem"] = visit(Block("stem", 0, 0, True, True), product(STEM), images)

        def cell(x, xs):
            w, position = xs
            function = (lambda x: (x, None)) if self.identity else product(w)
            active = jnp.logical_not(self.skip & (position == 1))
            (y, _), own = visit(Block("cells", 1 + position, position, active, True), function, x)
            return jnp.where(active, y, x), own

        x, seen["cells"] = jax.lax.scan(cell, x, (jnp.asarray(FIRST), jnp.arange(2)))
        if not self.tokens:
            fold = lambda x: (nn.linear(folded(x), jnp.asarray(SECOND)), None)  # noqa: E731
            (x, _), seen["fold"] = visit(Block("fold", 3, 0, True, True), fold, x)
        (x, _), seen["head"] = visit(Block("head", 4, 0, True, False), lambda x: (x, None), x)
        return Walk(x, {}, seen)


def folded(x):
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, h // 2, w // 2, 4 * c)


def entropy(feature):
    rows = feature.reshape(-1, feature.shape[-1])
    share = np.linalg.eigvalsh(np.cov(rows.T, bias=True))
    share = share / share.sum()
    return -(share * np.log(share + 1e-8)).sum()


def gain(weight, probe):
    rows = probe.reshape(-1, probe.shape[-1])
    return np.linalg.svd(weight @ rows.T @ rows / len(rows), compute_uv=False)[0]


@pytest.fixture
def measured(x64):
    images = RNG.normal(size=(3, 4, 4, 3))
    probes = {
        "cells": RNG.choice([-1.0, 1.0], size=(2, 3, 4, 4, 4)),
        "fold": RNG.choice([-1.0, 1.0], size=(3, 2, 2, 5)),
    }
    fixed = jax.tree.map(jnp.asarray, probes)

    def measure(space, *, batch=images, fixed=fixed):
        stats = FeaturePass().measure(space, Variables({}, {}), None, jnp.asarray(batch)[None], None, fixed=fixed)
        return Facts(None, 0, 0, {FeaturePass(): jax.tree.map(np.asarray, stats)})

    return measure, images, probes


def parts(facts):
    return [get(f"az_{p}").finish(facts).score for p in ("expressivity", "progressivity", "trainability")]


def test_formulas(measured):
    measure, images, probes = measured
    features = [images @ STEM]
    features += [features[0] @ FIRST[0], features[0] @ FIRST[0] @ FIRST[1]]
    features.append(np.asarray(folded(features[2])) @ SECOND)
    entropies = [entropy(f) for f in features]
    gains = [
        gain(FIRST[0], probes["cells"][0]),
        gain(FIRST[1], probes["cells"][1]),
        gain(SECOND, probes["fold"]),
    ]
    gains = np.array(gains)
    expected = [sum(entropies), np.diff(entropies).min(), np.mean(2 - gains - 1 / (gains + 1e-6))]
    np.testing.assert_allclose(parts(measure(Space())), expected, rtol=1e-9)


def test_a_block_that_the_architecture_skips_does_not_count(measured):
    measure, images, probes = measured
    facts = measure(Space(skip=True))
    first = images @ STEM
    features = [first, first @ FIRST[0], np.asarray(folded(first @ FIRST[0])) @ SECOND]
    np.testing.assert_allclose(parts(facts)[0], sum(entropy(f) for f in features), rtol=1e-9)
    gains = np.array([gain(FIRST[0], probes["cells"][0]), gain(SECOND, probes["fold"])])
    np.testing.assert_allclose(parts(facts)[2], np.mean(2 - gains - 1 / (gains + 1e-6)), rtol=1e-9)


def test_an_identity_block_is_no_good_in_images_and_left_out_in_tokens(measured):
    measure, images, probes = measured
    facts = measure(Space(identity=True))
    value = get("az_trainability").finish(facts)
    assert value.score == -np.inf
    assert "identity" in value.note
    assert np.isfinite(parts(facts)[:2]).all()
    tokens = Space(identity=True, tokens=True)
    facts = measure(tokens, batch=images[:, 0], fixed={"cells": jnp.asarray(probes["cells"][:, :, 0])})
    values = parts(facts)
    assert np.isfinite(values[0])
    assert np.isnan(values[1])
    assert values[2] == -np.inf  # no block is left


def test_constant_features_have_no_expressivity(measured):
    measure, _, _ = measured
    facts = measure(Space(), batch=np.zeros((3, 4, 4, 3)))
    value = get("az_expressivity").finish(facts)
    assert (value.score, value.note) == (-np.inf, "a feature map is constant")
    assert parts(facts)[1] == -np.inf


def test_probes_and_noise_come_from_the_key(measured):
    def gains(seed, source):
        p = FeaturePass(source=source)
        images = jnp.asarray(RNG.normal(size=(1, 3, 4, 4, 3)))
        return p.measure(Space(), Variables({}, {}), None, images, None, key=jax.random.key(seed))

    assert not np.allclose(gains(0, "batch")["gain"][1:], gains(1, "batch")["gain"][1:])
    # Noise does not depend on the images.
    np.testing.assert_array_equal(gains(0, "noise")["entropy"], gains(0, "noise")["entropy"])
    assert not np.allclose(gains(0, "batch")["entropy"], gains(0, "batch")["entropy"])


@pytest.mark.parametrize(("size", "out"), [(5, 2), (5, 3), (4, 2), (3, 1)])
def test_an_odd_side_is_folded_to_the_size_of_the_output(size, out, x64):
    # Pixel i goes to i // 2: the last of an odd side to none, or to one that sees it alone.
    dx, probe = RNG.normal(size=(2, size, size, 3)), RNG.normal(size=(2, out, out, 5))
    step = max(round(size / out), 1)
    wide = np.zeros((2, step * out, step * out, 3))
    kept = min(size, step * out)
    wide[:, :kept, :kept] = dx[:, :kept, :kept]
    total = np.zeros((step, step, 3, 5))
    for i in range(step * out):
        for j in range(step * out):
            total[i % step, j % step] += wide[:, i, j].T @ probe[:, i // step, j // step]
    expected = np.linalg.svd(total.reshape(-1, 5) / (2 * out * out), compute_uv=False)[0]
    np.testing.assert_allclose(_gain(jnp.asarray(dx), jnp.asarray(probe), "highest"), expected, rtol=1e-10)


def test_presets():
    paper, shared = get("az_nas", preset="paper"), get("az_nas", preset="nbsz")
    assert dict(paper.options) == {"init": "kaiming_fan_in", "source": "noise"}
    assert dict(shared.options) == {"init": "torch", "source": "batch"}
    assert [m.name for m in shared.members] == ["az_expressivity", "az_progressivity", "az_trainability", "flops"]
    assert paper.passes[0].images_needed(64) == 0
    assert len(shared.passes) == 2  # one for the three parts, one for the cost
    with pytest.raises(InputError, match="source='mail'"):
        get("az_nas", source="mail")
