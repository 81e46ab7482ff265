"""The cell of four nodes with norms over a batch that devices share."""

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.spaces import cells

OPS = ("none", "skip", "pointwise", "kernel", "pool")


def test_shares_of_a_batch_give_what_the_batch_gives(x64):
    rng = np.random.default_rng(0)
    x, probe = rng.normal(size=(4, 4, 4, 2)), rng.normal(size=(4, 4, 4, 2))
    arch = np.array([3, 2, 3, 1, 4, 2], np.int32)

    def edge():
        weights = {"pointwise": rng.normal(size=(1, 1, 2, 2)), "kernel": rng.normal(size=(3, 3, 2, 2))}
        vectors = (rng.uniform(1, 2, 2), rng.normal(size=2), rng.normal(size=2), rng.uniform(1, 2, 2))
        return cells.EdgeArgs(weights, *vectors)

    edges = tuple(edge() for _ in range(6))

    def run(norm, arch, x, probe, edges):
        config = cells.EdgeConfig(norm, "highest", OPS)

        def loss(x, edges):
            nodes, *running = cells.cell(cells.CellConfig(config, config), arch, x, edges, (None,) * 6)
            return (nodes[3] * probe).sum(), running

        return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(x, edges)

    # An axis of vmap stands for the devices: the collectives are the same.
    (value, running), (dx, dedges) = jax.jit(run, static_argnums=0)(
        "batch", arch, x, probe, edges
    )
    share = lambda a: a.reshape(2, 2, 4, 4, 2)  # noqa: E731
    mapped = jax.vmap(run, in_axes=(None, None, 0, 0, None), axis_name="shard")
    (values, running_of), (dx_of, dedges_of) = jax.jit(mapped, static_argnums=0)(
        "batch@shard", arch, share(x), share(probe), edges
    )
    np.testing.assert_allclose(values.sum(), value)
    np.testing.assert_allclose(dx_of.reshape(x.shape), dx, rtol=1e-9, atol=1e-11)
    for own, expected in zip(running_of, running, strict=True):
        for device in range(2):
            np.testing.assert_allclose(own[device], expected, rtol=1e-10)
    jax.tree.map(lambda own, expected: np.testing.assert_allclose(own.sum(0), expected, rtol=1e-9, atol=1e-11),
                 dedges_of, dedges)  # fmt: skip
    assert not np.allclose(jnp.asarray(running[0]), [own.mean for own in edges])


def test_cells_of_many_networks_on_an_accelerator(monkeypatch, x64):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    rng = np.random.default_rng(1)
    archs = np.concatenate([rng.integers(0, 5, (4, 6)), [[3] * 6]]).astype(np.int32)
    x, probe = rng.normal(size=(2, 5, 2, 4, 4, 2))
    weights = {"pointwise": rng.normal(size=(5, 1, 1, 2, 2)), "kernel": rng.normal(size=(5, 3, 3, 2, 2))}
    edges = (cells.EdgeArgs(weights, *rng.uniform(1, 2, (4, 5, 2))),) * 6
    config = cells.EdgeConfig("batch", "highest", OPS)

    def run(arch, x, probe, edges):
        def loss(x, edges):
            nodes, *running = cells.cell(cells.CellConfig(config, config), arch, x, edges, (None,) * 6)
            return (nodes[3] * probe).sum(), running

        return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(x, edges)

    given = (archs, x, probe, edges)
    found = jax.jit(jax.vmap(run))(*given)
    for i in range(5):
        own = jax.jit(run)(*jax.tree.map(lambda a, i=i: a[i], given))
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-9, atol=1e-11), found, own)
