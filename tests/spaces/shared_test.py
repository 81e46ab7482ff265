"""Parts of spaces that most of them share."""

import jax.numpy as jnp
import numpy as np
import scipy.special

from nasjax.spaces.shared import Classifier, OneProgram
from nasjax.types import Output


def test_loss_is_the_mean_cross_entropy(x64):
    rng = np.random.default_rng(0)
    logits, labels = 5 * rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
    expected = -scipy.special.log_softmax(logits, axis=1)[np.arange(6), labels].mean()
    found = Classifier().loss(Output(jnp.asarray(logits), {}, {}), jnp.asarray(labels))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_weights_are_replaced_and_the_rest_is_kept():
    params = {"weights": 1, "scale": 2, "bias": 3}
    space = Classifier()
    assert space.weights(params) == 1
    assert space.named_weights(params) == (1, 2)
    assert space.with_weights(params, 4) == {"weights": 4, "scale": 2, "bias": 3}
    assert params["weights"] == 1


def test_one_signature_binds_to_the_space_itself():
    class Space(OneProgram):
        name = "space"

    space = Space()
    assert space.signature(np.zeros((3, 6), int)) == ["space"] * 3
    assert space.signature(np.zeros(6, int)) == ["space"]
    assert space.bind("space") is space
