"""A network small enough to derive by hand: two linear layers with a sign pattern read before each."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import nn
from nasjax.types import LayerTable, Output, Site, Variables


@dataclasses.dataclass(frozen=True)
class LinearSpace:
    """``y = (x a) b`` with loss ``mean (y - t)^2 / 2``; the identity stands where a rectifier would."""

    def apply(self, variables, arch, images, *, norm="batch", tap=None, moments=None, rescale=False):
        del norm, rescale
        x = images.reshape(images.shape[0], -1)
        own = {"a": None, "b": None} if moments is None else moments
        hidden = nn.linear(x, variables.params["a"], moments=own["a"])
        calls = self.site_calls(arch)
        taps = {}
        if tap is not None:
            taps = {k: tap(Site(k, calls[k]), v) for k, v in (("input", x), ("hidden", hidden))}
        return Output(nn.linear(hidden, variables.params["b"], moments=own["b"]), variables.stats, taps)

    def layer_outputs(self, variables, arch, images, visit, *, norm="batch"):
        del arch, norm
        hidden = images.reshape(images.shape[0], -1) @ variables.params["a"]
        return [visit(hidden[None]), visit((hidden @ variables.params["b"])[None])]

    def loss(self, output, targets):
        return 0.5 * jnp.square(output.logits[:, 0] - targets).mean()

    def weights(self, params):
        return params

    def with_weights(self, params, weights):
        del params
        return weights

    def layer_sums(self, terms):
        return jnp.stack([terms["a"].sum(), terms["b"].sum()])

    def weight_mask(self, arch):
        del arch
        return {"a": jnp.ones((1, 1), bool), "b": jnp.ones((1, 1), bool)}

    def named_weights(self, params):
        return params

    def layers(self, arch):
        del arch
        order = np.array([1, 2], np.int32)
        return LayerTable(("a", "b"), np.ones(2, bool), order, np.int32(2), np.array([5, 9], np.int32))

    def site_calls(self, arch):
        del arch
        hot = jnp.eye(10, dtype=jnp.int32)
        return {"input": hot[0], "hidden": hot[5]}


@pytest.fixture(scope="session")
def linear_space():
    return LinearSpace()


@pytest.fixture(scope="session")
def run_linear(linear_space):
    """Runs one pass on given weights and inputs, as float64 NumPy arrays."""
    from nasjax.proxies import passes

    def run(p, a, b, x, t):
        """a [n, h], b [h, 1], x [batches, batch, n], t int [batches, batch]."""
        params = {"a": jnp.asarray(a, jnp.float64), "b": jnp.asarray(b, jnp.float64)}
        x = jnp.asarray(x, jnp.float64)
        images = x.reshape(*x.shape[:2], 1, 1, -1)
        program = jax.jit(lambda v, x, t: passes.run_with(linear_space, p, v, None, x, t))
        return passes.to_host(program(Variables(params, {}), images, jnp.asarray(t, jnp.int32)))

    return run


@pytest.fixture(scope="module")
def programs_stay():
    """For tests that count compilations, however many programs other tests of the process have left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nasjax.proxies.memory.crowded", lambda: False)
        yield
