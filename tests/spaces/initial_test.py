"""Tests of nasjax.spaces.initial."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.spaces import initial
from nasjax.types import InputError

KERNEL = (5, 3, 3, 8, 4)  # five kernels of fan in 72 and fan out 36


def test_fans():
    assert initial.fans(KERNEL) == (72, 36)
    assert initial.fans((7, 9)) == (7, 9)


@pytest.mark.parametrize(
    ("law", "kind", "scale"),
    [
        ("torch", "uniform", 72**-0.5),
        ("kaiming_fan_in", "normal", (2 / 72) ** 0.5),
        ("kaiming_fan_out", "normal", (2 / 36) ** 0.5),
        ("normal", "normal", 1.0),
    ],
)
def test_laws(law, kind, scale):
    drawn = initial.weight(KERNEL, law)
    assert (drawn.shape, drawn.kind) == (KERNEL, kind) and drawn.scale == pytest.approx(scale)
    assert initial.weight((2, 3), law, fan=(72, 36)).scale == pytest.approx(scale)
    assert initial.bias(4, 72, law).kind == ("uniform" if law == "torch" else "zeros")


def test_draw_fills_a_tree():
    tree = {
        "a": initial.Draw((40, 50), "uniform", 0.5),
        "b": (initial.Draw((40, 50), "normal", 2.0), initial.Draw((3,), "zeros", 0.0)),
        "c": initial.Draw((2, 4), "normal", jnp.array([[0.0], [1.0]])),
    }
    own = jax.jit(lambda key: initial.draw(key, tree, jnp.float32))(jax.random.key(0))
    a, b = np.asarray(own["a"]), np.asarray(own["b"][0])
    assert a.dtype == np.float32 and 0.49 < np.abs(a).max() <= 0.5 and 1.9 < b.std() < 2.1
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.1  # the kinds do not share their bits
    np.testing.assert_array_equal(own["b"][1], 0)
    assert (np.asarray(own["c"]) == 0).all(1).tolist() == [True, False]


def test_norms():
    params, stats = initial.norms({"x": (3,), "y": {"z": (2, 4)}}, jnp.float32)
    assert params["scale"]["y"]["z"].shape == stats["var"]["y"]["z"].shape == (2, 4)
    assert all((leaf == 1).all() for leaf in jax.tree.leaves((params["scale"], stats["var"])))
    assert all((leaf == 0).all() for leaf in jax.tree.leaves((params["shift"], stats["mean"])))


def test_unknown_law():
    assert initial.check_law("torch") == "torch"
    with pytest.raises(InputError, match="'xavier'.*kaiming_fan_in"):
        initial.check_law("xavier")
