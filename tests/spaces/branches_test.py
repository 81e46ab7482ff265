"""A choice among updates: the chosen one alone acts, under jit, vmap and forward mode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.spaces.branches import update


def add(w, state):
    return {**state, "sum": state["sum"] + w}


def scale(w, state):
    return {"sum": state["sum"] * w, "count": state["count"] + 1}


def run(number, w, total):
    return update(number, [None, add, scale], w, {"sum": total, "count": jnp.zeros((), jnp.int32)})


EXPECTED = [(5.0, 0), (8.0, 0), (15.0, 1)]


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("number", range(3))
def test_one_branch_acts(number, backend, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    found = jax.jit(lambda n, w, x: run(n, w, x))(number, 3.0, 5.0)
    assert (float(found["sum"]), int(found["count"])) == EXPECTED[number]


def test_numbers_may_be_batched():
    found = jax.vmap(run, in_axes=(0, None, None))(jnp.arange(3), 3.0, 5.0)
    np.testing.assert_array_equal(found["sum"], [e[0] for e in EXPECTED])
    np.testing.assert_array_equal(found["count"], [e[1] for e in EXPECTED])


@pytest.mark.parametrize(("number", "slope"), [(0, 0.0), (1, 1.0), (2, 5.0)])
def test_forward_mode(number, slope):
    tangent = jax.jvp(lambda w: run(jnp.int32(number), w, jnp.float32(5))["sum"], (3.0,), (1.0,))[1]
    assert float(tangent) == slope


def test_what_is_not_chosen_is_not_computed():
    """A branch that counts its calls on the host is called once for its own number, and never for another."""
    calls = []

    def noted(w, state):
        return {**state, "sum": state["sum"] + jax.pure_callback(note, jax.ShapeDtypeStruct((), w.dtype), w)}

    def note(w):
        calls.append(float(w))
        return np.asarray(w)

    program = jax.jit(lambda n, w: update(n, [None, noted, scale], w, {"sum": w, "count": jnp.int32(0)}))
    for number in (0, 1, 2):
        jax.block_until_ready(program(number, 3.0))
    assert calls == [3.0]


NUMBERS = np.array([0, 1, 2, 2, 2, 1, 2, 2, 2, 2, 0, 2])  # more of one branch than a group holds


@pytest.mark.parametrize("axes", [(0, 0, 0), (0, None, None), (None, 0, None), (0, 0, None)])
def test_a_population_on_an_accelerator(axes, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    count = len(NUMBERS)
    every = jnp.asarray(NUMBERS), jnp.arange(1.0, count + 1), jnp.arange(10.0, count + 10)
    given = [a if axis == 0 else a[2] for a, axis in zip(every, axes, strict=True)]
    found = jax.jit(jax.vmap(run, axes))(*given)
    for i in range(count):
        own = run(*(a[i] if axis == 0 else a for a, axis in zip(given, axes, strict=True)))
        assert float(found["sum"][i]) == float(own["sum"]) and int(found["count"][i]) == int(own["count"])


def test_a_population_on_an_accelerator_has_derivatives(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    w, total = jnp.arange(1.0, 13.0), jnp.full(12, 5.0)
    slope = jax.vmap(jax.grad(lambda w, number, total: run(number, w, total)["sum"]))(w, jnp.asarray(NUMBERS), total)
    np.testing.assert_array_equal(slope, np.array([0.0, 1.0, 5.0])[NUMBERS])


def test_a_population_on_an_accelerator_runs_what_was_chosen(monkeypatch):
    """Of a population each branch runs for groups of those that chose it."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    calls = []

    def noted(w, state):
        seen = jax.pure_callback(note, jax.ShapeDtypeStruct((), w.dtype), w, vmap_method="expand_dims")
        return {**state, "sum": state["sum"] + seen}

    def note(w):
        calls.append(np.asarray(w).tolist())
        return np.asarray(w)

    numbers = jnp.asarray([0, 1, 2, 0, 2, 0, 2, 2, 2, 2])  # groups of one
    one = lambda n, w: update(n, [None, noted, scale], w, {"sum": w, "count": jnp.int32(0)})  # noqa: E731
    jax.block_until_ready(jax.jit(jax.vmap(one))(numbers, jnp.arange(10.0)))
    assert calls == [[1.0]]
