"""The network walked block by block equals the network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.spaces import nasbench201_modules
from nasjax.spaces.cell201 import EDGES
from nasjax.spaces.nasbench201 import NasBench201

SPACE = NasBench201(channels=2, cells=2, num_classes=3, image_size=8)
ARCHS = ((3, 2, 3, 1, 4, 2), (0, 0, 0, 3, 0, 0))
NAMES = ("stem", "stage0", "reduction0", "stage1", "reduction1", "stage2", "head")
TOTAL = 9  # blocks before the head


@pytest.fixture(scope="module", autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def inputs():
    variables = SPACE.init(jax.random.key(1), jnp.zeros(6, int))
    images = jnp.asarray(np.random.default_rng(0).normal(size=(4, 8, 8, 3)))
    return variables, images, jnp.array([0, 1, 2, 0], jnp.int32)


@pytest.fixture(scope="module")
def walked(inputs):
    """Jitted: walk with the gradient of the loss at every block's output by a dummy that is added there."""
    variables, images, labels = inputs

    def loss(dummies, arch):
        def visit(block, function, x):
            y, stats = function(x)
            own = dummies[block.name]
            own = own if own.ndim == y.ndim else own[block.position]
            return (y + own, stats), {"index": jnp.asarray(block.number), "output": y}

        walk = SPACE.blocks(variables, arch, images, visit)
        logits = nasbench201_modules.classify(SPACE._forward("batch"), variables.params, walk.features)
        return SPACE.loss(type("Output", (), {"logits": logits}), labels), (walk, logits)

    @jax.jit
    def run(arch):
        def see(block, function, x):
            y, stats = function(x)
            return (y, stats), y

        shapes = jax.eval_shape(lambda: SPACE.blocks(variables, arch, images, see).seen)
        dummies = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        gradients, (walk, logits) = jax.grad(loss, has_aux=True)(dummies, arch)
        output = SPACE.apply(variables, arch, images)
        return gradients, walk._replace(seen={k: walk.seen[k] for k in walk.seen}), logits, output

    return run


@pytest.mark.parametrize("arch", ARCHS)
def test_a_walk_gives_the_logits_and_statistics_of_the_network(walked, arch):
    _, walk, logits, output = walked(jnp.array(arch))
    np.testing.assert_allclose(logits, output.logits, rtol=1e-12)
    # Running means are sums that cancel: the other program may round a term, of up to 0.1, otherwise.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-16), walk.stats, output.stats)
    assert jax.tree.structure(walk.stats) == jax.tree.structure(output.stats)


def test_blocks_are_numbered_in_forward_order(inputs, walked):
    walk = walked(jnp.array(ARCHS[0]))[1]
    numbers = np.concatenate([np.ravel(walk.seen[name]["index"]) for name in NAMES])
    np.testing.assert_array_equal(numbers, np.arange(TOTAL + 1))
    variables, images, _ = inputs
    order = []

    def visit(block, function, x):
        order.append((block.name, block.feature))
        return function(x), None

    jax.eval_shape(lambda: SPACE.blocks(variables, jnp.zeros(6, int), images, visit))
    assert order == [(name, name != "head") for name in NAMES]


def test_an_empty_cell_gives_zeros(walked):
    walk = walked(jnp.zeros(6, int))[1]
    assert not walk.seen["stage0"]["output"].any()
    assert walk.seen["stem"]["output"].any()


@pytest.fixture(scope="module")
def responded(inputs):
    variables, images, labels = inputs

    def visit(index, values, cotangents, counts):
        return jnp.asarray(index), values, cotangents, counts

    return jax.jit(lambda arch: SPACE.responses(variables, arch, images, labels, visit))


@pytest.mark.parametrize("arch", ARCHS)
def test_gradients_through_rectifiers_add_up_to_those_of_the_blocks(walked, responded, arch):
    gradients, walk, _, _ = walked(jnp.array(arch))
    head, stage2, b1, a1, stage1, b0, a0, stage0 = responded(jnp.array(arch))
    numbers = [np.ravel(part[0]).tolist() for part in (stage0, a0, b0, stage1, a1, b1, stage2, head)]
    assert numbers == [[0, 1], [2], [2], [3, 4], [5], [5], [6, 7], [8]]
    from_input = [e for e, (source, _) in enumerate(EDGES) if source == 0]
    for name, before, part in (
        ("stage0", walk.seen["stem"]["output"], stage0),
        ("stage1", walk.seen["reduction0"]["output"], stage1),
        ("stage2", walk.seen["reduction1"]["output"], stage2),
    ):
        _, values, cotangents, counts = part
        np.testing.assert_allclose(values[0, 0], before, rtol=1e-12)
        # What flows back through the edges from a cell's input is the gradient of the output before it.
        own = {"stage0": gradients["stem"], "stage1": gradients["reduction0"], "stage2": gradients["reduction1"]}[name]
        np.testing.assert_allclose(cotangents[0, jnp.array(from_input)].sum(0), own, rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(
            cotangents[1, jnp.array(from_input)].sum(0), gradients[name][0], rtol=1e-9, atol=1e-15
        )
        np.testing.assert_array_equal(counts[0], [op in (2, 3) for op in arch])
    _, value, cotangent, _ = head
    np.testing.assert_allclose(jnp.maximum(value[0], 0), walk.features, rtol=1e-12)
    np.testing.assert_allclose(cotangent[0], gradients["head"] * (value[0] > 0), rtol=1e-9, atol=1e-15)


def test_gradients_through_the_rectifiers_of_a_reduction_block(walked, responded, inputs):
    variables, _, _ = inputs
    gradients, walk, _, _ = walked(jnp.array(ARCHS[0]))
    parts = responded(jnp.array(ARCHS[0]))
    b1, a1 = parts[2], parts[3]
    layers = nasbench201_modules.Layers(SPACE._forward("batch"), variables)
    x = walk.seen["stage1"]["output"][-1]
    side = jax.vjp(lambda x: nasbench201_modules.shortcut(layers, x, 1), x)[1](gradients["reduction1"])[0]
    np.testing.assert_allclose(a1[1][0], x, rtol=1e-12)
    np.testing.assert_allclose(a1[2][0] + side, gradients["stage1"][-1], rtol=1e-9, atol=1e-15)

    def rest(h):
        y = layers.conv(jax.nn.relu(h), "reductions", 1, "conv_b")
        return layers.norm(y, "reductions", 1, "conv_b")[0]

    middle = jax.vjp(rest, b1[1][0])[1](gradients["reduction1"])[0]
    np.testing.assert_allclose(b1[2][0], middle, rtol=1e-9, atol=1e-15)
