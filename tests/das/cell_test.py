"""The cell: facts with exact answers, and the fast way against the plain one."""

import dataclasses

import jax
import numpy as np
import pytest
from scipy import ndimage

from nasjax.das import DASConfig, Genotype, apply_cell, cell, linear, mixture, preset, sample_magnitudes
from nasjax.das import genotype as genotypes
from nasjax.types import InputError

SMALL = DASConfig(num_frames=3, num_nodes=2)  # five edges
EDGES = len(SMALL.edges)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(2, 6, 8, 3)).astype(np.float32)


def random_weights(config, seed=0):
    rng = np.random.default_rng(seed)
    shape = len(config.edges), len(config.operations)
    return rng.random(shape).astype(np.float32), cell.reference_magnitudes(config, seed=seed).astype(np.float32)


def compiled(function, *args):
    return jax.jit(function).lower(*args).compile()


def run(config, images, weights, magnitudes, **options):
    def function(*args):
        return mixture(*args, config=config, **options)

    return np.asarray(compiled(function, images, weights, magnitudes)(images, weights, magnitudes))


@pytest.fixture(scope="module")
def small(images):
    """The cell of SMALL as a function of images, weights and magnitudes."""
    return compiled(lambda *args: mixture(*args, config=SMALL), images, *random_weights(SMALL))


def moved(images, name, m):
    """A warp by scipy, in float64."""
    h, w = images.shape[1:3]
    y, x = np.mgrid[:h, :w].astype(float)
    cy, cx = (h - 1) / 2, (w - 1) / 2
    turn = np.deg2rad(m)
    source = {
        "identity": (y, x), "translate_x": (y, x - m * w), "translate_y": (y - m * h, x),
        "zoom": (cy + (y - cy) / (m or 1), cx + (x - cx) / (m or 1)), "shear_x": (y, x - m * (y - cy)),
        "rotate": (cy + (y - cy) * np.cos(turn) + (x - cx) * np.sin(turn),
                   cx + (x - cx) * np.cos(turn) - (y - cy) * np.sin(turn)),
    }[name]  # fmt: skip
    out = np.empty(images.shape)
    for b, c in np.ndindex(images.shape[0], images.shape[3]):
        out[b, ..., c] = ndimage.map_coordinates(images[b, ..., c].astype(float), source, order=1, mode="grid-constant")
    return out


def plain(images, weights, magnitudes, config, gain):
    """Frame by frame, edge by edge, operation by operation, from the definition and scipy."""
    frames = []
    for level in config.levels:
        states = [images] * config.num_inputs
        for node in range(config.num_nodes):
            total = 0
            for e, (to, source) in enumerate(config.edges):
                if to == node:
                    for k, op in enumerate(config.operations):
                        m = magnitudes[e, k] ** level if op.name == "zoom" else magnitudes[e, k] * level
                        total = total + weights[e, k] * moved(states[source], op.name, m)
            states.append(total)
        frames.append(states[-1] / gain)
    return np.stack(frames, 1)


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
    assert config.path_gain(kept=kept) == 3
    np.testing.assert_array_equal(config.path_gain(kept=np.stack([kept, np.ones(14, bool)])), [3, 16])


@pytest.mark.parametrize("gain", ["paths", "reference"])
def test_identities_give_the_image_back(images, gain):
    config = DASConfig(num_frames=2, ops=("identity", "rotate"), gain=gain)
    weights = np.tile(np.float32([1, 0]), (14, 1))
    video = run(config, images, weights, random_weights(config)[1], used=weights > 0)
    factor = 1 if gain == "paths" else 16
    np.testing.assert_array_equal(video, np.broadcast_to(images[:, None], video.shape) * factor)


def test_single_frame_is_the_image_bit_for_bit(images):
    for config in (DASConfig(num_frames=1), preset("single_edge", num_frames=1)):
        np.testing.assert_array_equal(apply_cell(genotypes.identity(config), images)[:, 0], images)


def test_centre_frame_is_the_image_for_any_alpha(images, small):
    alpha = np.random.default_rng(3).normal(size=(EDGES, 5)) * 3
    weights = np.exp(alpha) / np.exp(alpha).sum(-1, keepdims=True)
    video = small(images, weights.astype(np.float32), random_weights(SMALL)[1])
    np.testing.assert_allclose(video[:, 1], images, atol=1e-5)
    assert np.abs(video[:, 0] - images).max() > 0.05


def test_colours_stay_in_their_frame():
    """A constant colour is that colour inside of every frame; the code of the paper's author mixes colour and time."""
    colour = np.broadcast_to(np.float32([1, 2, 3]), (1, 9, 9, 3))
    config = DASConfig(num_frames=3, num_nodes=1, magnitude="fixed", magnitudes=(0, 0.05, 0.05, 1.1, 5.0))
    weights, magnitudes = np.full((2, 5), 0.2, np.float32), sample_magnitudes(jax.random.key(0), config)
    video = run(config, colour, weights, magnitudes)
    np.testing.assert_allclose(video[0, :, 4, 4], np.tile([1.0, 2.0, 3.0], (3, 1)), rtol=1e-5)
    mixed = run(dataclasses.replace(config, layout="tras"), colour, weights, magnitudes)
    np.testing.assert_allclose(mixed[0, 0, 4, 4], [1, 1, 1], rtol=1e-5)  # three frames of red


@pytest.mark.parametrize("schedule", ["symmetric", "sweep"])
def test_cell_is_what_it_says(images, schedule):
    config = DASConfig(num_frames=4, num_nodes=2 if schedule == "sweep" else 3, schedule=schedule,
                       ops=("identity", "translate_x", "translate_y", "zoom", "rotate", "shear_x"))  # fmt: skip
    assert linear.applies(config)
    weights, magnitudes = random_weights(config)
    out = run(config, images, weights, magnitudes)
    np.testing.assert_allclose(out, plain(images, weights, magnitudes, config, config.path_gain()), atol=5e-4)


def test_derivatives_of_the_cell(images):
    """Along random directions, against differences of the plain cell in float64."""
    config = DASConfig(num_frames=3, num_nodes=2, num_inputs=1)
    weights, magnitudes = random_weights(config)
    rng = np.random.default_rng(1)
    target = rng.normal(size=(2, 3, 6, 8, 3)).astype(np.float32)

    def loss(images, weights, magnitudes):
        return (mixture(images, weights, magnitudes, config=config) * target).sum()

    args = images, weights, magnitudes
    pulled = compiled(jax.grad(loss, argnums=(0, 1, 2)), *args)(*args)
    for place, own in enumerate(pulled):
        way = rng.normal(size=own.shape)
        if place == 2:
            way[:, 4] *= 10  # degrees
        step = 1e-5
        ends = []
        for sign in (1, -1):
            near = list(args)
            near[place] = np.asarray(args[place], np.float64) + sign * step * way
            ends.append((plain(*near, config, config.path_gain()) * target).sum())
        np.testing.assert_allclose((np.asarray(own) * way).sum(), (ends[0] - ends[1]) / (2 * step), rtol=2e-3)


def test_cell_is_linear(images, small):
    weights, magnitudes = random_weights(SMALL)
    other = np.random.default_rng(5).normal(size=images.shape).astype(np.float32)
    both = 2 * np.asarray(small(images, weights, magnitudes)) - np.asarray(small(other, weights, magnitudes))
    np.testing.assert_allclose(small(2 * images - other, weights, magnitudes), both, atol=1e-4)


def test_masking_an_operation_takes_its_term_away(images):
    config = preset("single_edge", num_frames=4)
    _, magnitudes = random_weights(config)
    own = compiled(lambda *args: mixture(*args, config=config), images, np.zeros((1, 5), np.float32), magnitudes)
    weights = np.random.default_rng(0).dirichlet(np.ones(5))[None].astype(np.float32)
    for k, op in enumerate(config.operations):
        one_hot, masked = np.zeros((1, 5), np.float32), weights.copy()
        one_hot[0, k], masked[0, k] = 1, 0
        term = np.asarray(own(images, one_hot, magnitudes))
        for t, level in enumerate(config.levels):  # a one-hot weight is the single operation
            m = magnitudes[0, k] ** level if op.name == "zoom" else magnitudes[0, k] * level
            np.testing.assert_allclose(term[:, t], moved(images, op.name, m), atol=2e-5)
        rest = np.asarray(own(images, weights, magnitudes)) - weights[0, k] * term
        np.testing.assert_allclose(own(images, masked, magnitudes), rest, atol=1e-5)


def test_genotype_leaves_out_what_it_does_not_use(images, small):
    _, magnitudes = random_weights(SMALL)
    drawn = genotypes.random_genotype(jax.random.key(1), SMALL, magnitudes)
    one_hot, own, used = drawn.arrays()
    assert used.sum() == len(drawn.genes) == 4
    share = SMALL.path_gain() / SMALL.path_gain(kept=used.any(-1))
    whole = np.asarray(small(images, one_hot, own)) * share
    np.testing.assert_allclose(compiled(lambda x: apply_cell(drawn, x), images)(images), whole, atol=1e-5)


def test_alpha_mixes_by_its_softmax(images, small):
    weights, magnitudes = random_weights(SMALL)
    weights /= weights.sum(-1, keepdims=True)
    alpha = np.log(weights)
    own = compiled(lambda a, x, m: apply_cell(a, x, config=SMALL, magnitudes=m), alpha, images, magnitudes)
    video = own(alpha, images, magnitudes)
    np.testing.assert_allclose(video, small(images, weights, magnitudes), atol=1e-4)


def test_cells_in_a_row(images):
    config = DASConfig(num_frames=3, num_nodes=1, num_cells=2)
    one = dataclasses.replace(config, num_cells=1)
    weights, magnitudes = random_weights(config)
    first = plain(images, weights, magnitudes, one, 2)
    video = run(config, images, weights, magnitudes)
    for t, level in enumerate(config.levels):
        total = 0
        for e, state in enumerate((images, first[:, t])):
            for k, op in enumerate(config.operations):
                m = magnitudes[e, k] ** level if op.name == "zoom" else magnitudes[e, k] * level
                total = total + weights[e, k] * moved(state, op.name, m)
        np.testing.assert_allclose(video[:, t], total / 2, atol=1e-4)


@pytest.mark.parametrize(("name", "frames"), [("video10", 3), ("autoaugment15", 1)])
def test_other_op_sets_take_the_general_way(images, name, frames):
    config = preset(name, num_frames=frames)
    assert not linear.applies(config)
    video = run(config, images, *random_weights(config))
    assert video.shape == (2, frames, 6, 8, 3) and np.isfinite(video).all()


def test_the_general_way_is_the_fast_one(images, small, monkeypatch):
    weights, magnitudes = random_weights(SMALL)
    monkeypatch.setattr(linear, "applies", lambda config: False)
    np.testing.assert_allclose(run(SMALL, images, weights, magnitudes), small(images, weights, magnitudes), atol=2e-5)


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
    back = np.asarray(cell.bounded(cell.unbounded(sampled, config), config))
    np.testing.assert_allclose(back[:, 1:], np.clip(sampled[:, 1:], [-0.1176, -0.1176, 0.706, -19.6],
                                                    [0.1176, 0.1176, 1.294, 19.6]), rtol=1e-4, atol=1e-4)  # fmt: skip
    assert np.abs(np.asarray(cell.bounded(np.full((14, 5), 99.0, np.float32), config))[:, 4]).max() <= 20


def test_whole_pixels(images):
    config = preset("single_edge", num_frames=2, whole_pixels=True, magnitude="fixed", magnitudes=(0, 0.1, 0, 1, 0))
    weights, magnitudes = np.float32([[0, 1, 0, 0, 0]]), sample_magnitudes(jax.random.key(0), config)
    out = run(config, images, weights, magnitudes)[:, 0]  # 0.1 of 8 pixels, rounded to one
    np.testing.assert_allclose(out[:, :, 1:], images[:, :, :-1], atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [{"num_frames": 0}, {"num_frames": 2.5}, {"schedule": "up"}, {"ops": "geometric6"}, {"ops": ("rotate", "rotate")},
     {"ops": ()}, {"magnitudes": (1.0,) * 5}, {"magnitude": "fixed", "magnitudes": (1.0,)}, {"mean": (0.5,)},
     {"magnitude": "fixed", "magnitudes": (0, 0, 0, float("nan"), 0)},
     {"magnitude": "fixed", "magnitudes": (0, 0, 0, 0, 0)}, {"mean": (0.5,), "std": (0.0,)}],
)  # fmt: skip
def test_bad_configurations_are_refused(change):
    with pytest.raises(InputError, match="allowed|do:"):
        DASConfig(**change)


def test_arrays_of_another_cell_are_refused(images):
    weights, magnitudes = random_weights(SMALL)
    with pytest.raises(InputError, match="5, 5"):
        mixture(images, weights[:, :4], magnitudes, config=SMALL)
    with pytest.raises(InputError, match="images"):
        mixture(images[0], weights, magnitudes, config=SMALL)
    with pytest.raises(InputError, match="config"):
        apply_cell(weights, images)
    with pytest.raises(InputError, match="uint8; allowed: floats"):
        mixture(images.astype(np.uint8), weights, magnitudes, config=SMALL)
    with pytest.raises(InputError, match="preset"):
        preset("geometric6")


def test_genotype_json(tmp_path):
    _, magnitudes = random_weights(SMALL)
    drawn = genotypes.random_genotype(jax.random.key(1), SMALL, magnitudes)
    file = drawn.save(tmp_path / "genotype.json")
    assert Genotype.load(file) == drawn and str(drawn).count("<-") == 4
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
    with pytest.raises(InputError, match="factor; allowed: above 0"):
        Genotype(((1, 0, "zoom", 0.0),), SMALL)
    for cut in (((0, 0, "rotate", 0.5),), ((1, 2, "rotate", 0.5),)):
        with pytest.raises(InputError, match="no path from an input to node 1"):
            Genotype(cut, SMALL)


def test_a_genotype_is_saved_whole_or_not_at_all(tmp_path, monkeypatch):
    file = genotypes.identity(SMALL).save(tmp_path / "genotype.json")
    before = file.read_text()

    def full(*unused):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InputError, match="No space left"):
        genotypes.identity(dataclasses.replace(SMALL, num_frames=2)).save(file)
    assert file.read_text() == before and [f.name for f in tmp_path.iterdir()] == ["genotype.json"]


def test_double_precision_beside_single(images, x64):
    """With 64-bit numbers on, magnitudes of either width go with images of either width."""
    weights, magnitudes = random_weights(SMALL)
    outs = []
    for kind, other in (("float32", "float64"), ("float64", "float32")):
        widths = ((images, kind), (weights, other), (magnitudes, other))
        arrays = [jax.numpy.asarray(array, width) for array, width in widths]
        outs.append(np.asarray(jax.jit(lambda *own: mixture(*own, config=SMALL))(*arrays)))
    assert [out.dtype.name for out in outs] == ["float32", "float64"]
    np.testing.assert_allclose(*outs, atol=1e-4)
