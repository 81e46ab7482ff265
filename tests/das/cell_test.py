"""The cell: facts with exact answers, and the fast way against the plain one."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.das import DASConfig, Genotype, apply_cell, cell, linear, mixture, ops, preset, sample_magnitudes
from nasjax.das import genotype as genotypes
from nasjax.types import InputError

SMALL = DASConfig(num_frames=4)


@pytest.fixture(scope="module")
def images():
    return jax.random.normal(jax.random.key(0), (2, 6, 8, 3))


def random_weights(config, seed=0):
    rng = np.random.default_rng(seed)
    shape = len(config.edges), len(config.operations)
    return jnp.asarray(rng.random(shape), jnp.float32), sample_magnitudes(jax.random.key(seed), config)


def plain(images, weights, magnitudes, config, gain):
    """Frame by frame, edge by edge, operation by operation, from the definition."""
    frames = []
    for level in config.levels:
        states = [images] * config.num_inputs
        for node in range(config.num_nodes):
            total = 0
            for e, (to, source) in enumerate(config.edges):
                if to == node:
                    for k, op in enumerate(config.operations):
                        moved = ops.apply(states[source], op, magnitudes[e, k], level=level)
                        total = total + weights[e, k] * moved
            states.append(total)
        frames.append(states[-1] / gain)
    return jnp.stack(frames, 1)


def test_structure():
    config = DASConfig()
    assert config.levels == (4, 3, 2, 1, 0, 1, 2, 3)
    assert DASConfig(num_frames=5).levels == (2, 1, 0, 1, 2)
    assert len(config.edges) == 14 and [e for e in config.edges if e[0] == 0] == [(0, 0), (0, 1)]
    assert len(preset("single_edge").edges) == 1
    assert DASConfig(num_frames=4, schedule="linear").levels == (0, 1, 2, 3)
    assert DASConfig(num_frames=4, schedule="sweep").levels == (-2, -1, 0, 1)
    assert len(preset("video10").operations) == 10 and preset("video10").num_frames == 5
    assert len(preset("autoaugment15").operations) == 15 and preset("autoaugment15").levels == (1,)
    assert preset("geometric5").path_gain() == 16 and DASConfig(gain="reference").path_gain() == 1


def test_gain_counts_the_paths_that_are_kept():
    config = DASConfig()
    kept = np.zeros(14, bool)
    kept[[config.edges.index(e) for e in ((3, 4), (3, 0), (2, 1), (2, 0))]] = True  # node 2 -> node 3, input -> both
    assert config.path_gain(kept) == 3
    np.testing.assert_array_equal(config.path_gain(np.stack([kept, np.ones(14, bool)])), [3, 16])


@pytest.mark.parametrize("gain", ["paths", "reference"])
def test_identities_give_the_image_back(images, gain):
    config = DASConfig(num_frames=4, gain=gain)
    weights = jnp.zeros((14, 5)).at[:, 0].set(1)
    video = mixture(images, weights, sample_magnitudes(jax.random.key(0), config), config=config)
    factor = 1 if gain == "paths" else 16
    np.testing.assert_array_equal(video, jnp.broadcast_to(images[:, None], video.shape) * factor)
    assert apply_cell(genotypes.identity(config), images).shape == (2, 4, 6, 8, 3)


def test_single_frame_is_the_image_bit_for_bit(images):
    for config in (DASConfig(num_frames=1), preset("single_edge", num_frames=1)):
        np.testing.assert_array_equal(apply_cell(genotypes.identity(config), images)[:, 0], images)


def test_centre_frame_is_the_image_for_any_alpha(images):
    _, magnitudes = random_weights(SMALL)
    alpha = jax.random.normal(jax.random.key(3), (14, 5)) * 3
    video = apply_cell(alpha, images, config=SMALL, magnitudes=magnitudes)
    np.testing.assert_allclose(video[:, 2], images, atol=1e-5)
    assert np.abs(video[:, 1] - images).max() > 0.05


def test_colours_stay_in_their_frame():
    """A constant colour is that colour inside of every frame; the code of the paper's author mixes colour and time."""
    colour = jnp.broadcast_to(jnp.array([1.0, 2.0, 3.0]), (1, 9, 9, 3))
    config = DASConfig(num_frames=3, magnitude="fixed", magnitudes=(0, 0.05, 0.05, 1.1, 5.0), num_nodes=2)
    alpha = jnp.zeros((len(config.edges), 5))
    video = apply_cell(alpha, colour, config=config, magnitudes=sample_magnitudes(jax.random.key(0), config))
    np.testing.assert_allclose(video[0, :, 4, 4], np.tile([1.0, 2.0, 3.0], (3, 1)), rtol=1e-5)
    tras = dataclasses.replace(config, layout="tras")
    mixed = apply_cell(alpha, colour, config=tras, magnitudes=sample_magnitudes(jax.random.key(0), config))
    np.testing.assert_allclose(mixed[0, 0, 4, 4], [1, 1, 1], rtol=1e-5)  # three frames of red


@pytest.mark.parametrize("schedule", ["symmetric", "sweep"])
def test_fast_cell_is_the_plain_one(x64, schedule):
    config = DASConfig(num_frames=4, schedule=schedule,
                       ops=("identity", "translate_x", "translate_y", "zoom", "rotate", "shear_x"))  # fmt: skip
    assert linear.applies(config)
    images = jax.random.normal(jax.random.key(0), (2, 6, 8, 3), jnp.float64)
    weights, magnitudes = (array.astype(jnp.float64) for array in random_weights(config))
    out = mixture(images, weights, magnitudes, config=config)
    np.testing.assert_allclose(out, plain(images, weights, magnitudes, config, 16), atol=1e-12)


def test_gradients_of_the_fast_cell(x64):
    config = DASConfig(num_frames=3, num_nodes=2)
    images = jax.random.normal(jax.random.key(0), (2, 6, 7, 2), jnp.float64)
    weights, magnitudes = (array.astype(jnp.float64) for array in random_weights(config))
    target = jax.random.normal(jax.random.key(1), (2, 3, 6, 7, 2), jnp.float64)
    gain = float(config.path_gain())

    def loss(way):
        return lambda *a: ((way(*a) - target) ** 2).sum()

    fast = jax.jit(jax.grad(loss(lambda *a: mixture(*a, config=config)), argnums=(0, 1, 2)))
    slow = jax.grad(loss(lambda *a: plain(*a, config, gain)), argnums=(0, 1, 2))
    for own, other in zip(fast(images, weights, magnitudes), slow(images, weights, magnitudes), strict=True):
        np.testing.assert_allclose(own, other, atol=1e-8)


def test_cell_is_linear(images):
    weights, magnitudes = random_weights(SMALL)
    other = jax.random.normal(jax.random.key(5), images.shape)

    def run(x):
        return mixture(x, weights, magnitudes, config=SMALL)

    np.testing.assert_allclose(run(2 * images - other), 2 * run(images) - run(other), atol=1e-4)


def test_masking_an_operation_takes_its_term_away(images):
    config = preset("single_edge", num_frames=4)
    _, magnitudes = random_weights(config)
    weights = jax.nn.softmax(jnp.arange(5.0))[None]

    def run(w):
        return mixture(images, w, magnitudes, config=config)

    for k in range(5):
        term = weights[0, k] * run(jnp.zeros((1, 5)).at[0, k].set(1))
        np.testing.assert_allclose(run(weights.at[0, k].set(0)), run(weights) - term, atol=1e-5)


def test_one_hot_is_the_single_operation(images):
    config = preset("single_edge", num_frames=4)
    _, magnitudes = random_weights(config)
    for k, op in enumerate(config.operations):
        video = mixture(images, jnp.zeros((1, 5)).at[0, k].set(1), magnitudes, config=config)
        for t, level in enumerate(config.levels):
            np.testing.assert_allclose(video[:, t], ops.apply(images, op, magnitudes[0, k], level=level), atol=1e-5)


def test_genotype_leaves_out_what_it_does_not_use(images):
    weights, magnitudes = random_weights(SMALL)
    drawn = genotypes.random_genotype(jax.random.key(1), SMALL, magnitudes)
    one_hot, own, used = drawn.arrays()
    assert used.sum() == len(drawn.genes) == 8
    whole = mixture(images, one_hot, own, config=SMALL, gain=float(SMALL.path_gain(used.any(-1))))
    np.testing.assert_allclose(apply_cell(drawn, images), whole, atol=1e-5)


def test_cells_in_a_row(images):
    config = DASConfig(num_frames=3, num_nodes=1, num_cells=2)
    weights, magnitudes = random_weights(config)
    one = dataclasses.replace(config, num_cells=1)
    video = mixture(images, weights, magnitudes, config=config)
    first = mixture(images, weights, magnitudes, config=one)
    for t, level in enumerate(config.levels):
        total = 0
        for e, state in enumerate((images, first[:, t])):
            for k, op in enumerate(config.operations):
                total = total + weights[e, k] * ops.apply(state, op, magnitudes[e, k], level=level)
        np.testing.assert_allclose(video[:, t], total / 2, atol=1e-4)


def test_other_op_sets_take_the_general_way(images):
    for name, frames in (("video10", 3), ("autoaugment15", 1)):
        config = preset(name, num_frames=frames)
        assert not linear.applies(config)
        weights, magnitudes = random_weights(config)
        video = mixture(images, weights, magnitudes, config=config)
        assert video.shape == (2, frames, 6, 8, 3) and np.isfinite(video).all()
    nearest = DASConfig(num_frames=3, num_nodes=1, interpolation="nearest", fill="edge")
    assert np.isfinite(mixture(images, *random_weights(nearest), config=nearest)).all()


def test_magnitudes():
    config = DASConfig()
    drawn = cell.reference_magnitudes(config)
    np.testing.assert_allclose(drawn[0, 1:], [0.083, 0.062, 0.952, -4], atol=5e-4)
    np.testing.assert_allclose(drawn[1, 1:], [0.112, -0.003, 1.251, -1], atol=5e-4)
    np.testing.assert_allclose(drawn[13, 1:], [-0.012, -0.101, 0.892, 12], atol=5e-4)
    sampled = np.asarray(sample_magnitudes(jax.random.key(0), config))
    assert (np.abs(sampled[:, 1:3]) <= 0.12).all() and (np.abs(sampled[:, 3] - 1) <= 0.3).all()
    assert (sampled[:, 4] == np.round(sampled[:, 4])).all() and (np.abs(sampled[:, 4]) <= 20).all()
    assert len(np.unique(sampled[:, 1])) == 14
    fixed = DASConfig(magnitude="fixed")
    np.testing.assert_allclose(sample_magnitudes(jax.random.key(0), fixed), np.tile([0, 0.06, 0.06, 1.15, 10], (14, 1)))
    np.testing.assert_allclose(cell.bounded(cell.unbounded(sampled, config), config)[:, 1:], sampled[:, 1:], atol=0.42)
    assert np.abs(np.asarray(cell.bounded(jnp.full((14, 5), 99.0), config))[:, 4]).max() <= 20


def test_whole_pixels(images):
    config = preset("single_edge", num_frames=2, whole_pixels=True, magnitude="fixed", magnitudes=(0, 0.1, 0, 1, 0))
    weights, magnitudes = jnp.zeros((1, 5)).at[0, 1].set(1), sample_magnitudes(jax.random.key(0), config)
    out = mixture(images, weights, magnitudes, config=config)[:, 0]  # 0.1 of 8 pixels, rounded to one
    np.testing.assert_allclose(out[:, :, 1:], images[:, :, :-1], atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [{"num_frames": 0}, {"num_frames": 2.5}, {"schedule": "up"}, {"ops": "geometric6"}, {"ops": ("rotate", "rotate")},
     {"ops": ()}, {"magnitudes": (1.0,) * 5}, {"magnitude": "fixed", "magnitudes": (1.0,)}, {"mean": (0.5,)},
     {"magnitude": "fixed", "magnitudes": (0, 0, 0, float("nan"), 0)}],
)  # fmt: skip
def test_bad_configurations_are_refused(change):
    with pytest.raises(InputError, match="allowed|do:"):
        DASConfig(**change)


def test_arrays_of_another_cell_are_refused(images):
    weights, magnitudes = random_weights(SMALL)
    with pytest.raises(InputError, match="14, 5"):
        mixture(images, weights[:, :4], magnitudes, config=SMALL)
    with pytest.raises(InputError, match="images"):
        mixture(images[0], weights, magnitudes, config=SMALL)
    with pytest.raises(InputError, match="config"):
        apply_cell(weights, images)
    with pytest.raises(InputError, match="preset"):
        preset("geometric6")


def test_genotype_json(tmp_path):
    _, magnitudes = random_weights(SMALL)
    drawn = genotypes.random_genotype(jax.random.key(1), SMALL, magnitudes)
    file = drawn.save(tmp_path / "genotype.json")
    assert Genotype.load(file) == drawn and str(drawn).count("<-") == 8
    with pytest.raises(InputError, match="ops"):
        Genotype.load(file, config=preset("video10"))
    text = file.read_text()
    others = text.replace(drawn.genes[0].op, "spin"), text.replace('"version": 1', '"version": 9')
    for wrong in ("{}", "[1]", text[:50], *others):
        with pytest.raises(InputError):
            Genotype.from_json(wrong)
    with pytest.raises(InputError, match="cannot be read"):
        Genotype.load(tmp_path / "none.json")
    with pytest.raises(InputError, match="not of this op set"):
        Genotype(((0, 0, "solarize", 0.5),), SMALL)
    with pytest.raises(InputError, match="no edge"):
        Genotype(((0, 3, "rotate", 0.5),), SMALL)
    with pytest.raises(InputError, match="already"):
        Genotype(((0, 0, "rotate", 0.5), (0, 0, "zoom", 1.0)), SMALL)
