"""Every engine, batching, chunk and number of devices gives the same result."""

import functools
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import parallel
from nasjax.types import InputError

ENGINES = ("pmap", "shard_map", "jit", "host")
SIZES = (1, 5, 13)


def plain(item, weights):
    """A fixed number of sums and products: equal to the last bits everywhere."""
    return {"sum": jnp.sum(item["x"] * weights), "row": item["x"] * item["n"].astype(item["x"].dtype)}


def noisy_gradient(item, weights):
    """Random keys, a scan and a gradient, as a proxy has them."""

    def loss(weights):
        noise = jax.random.uniform(item["key"], weights.shape, weights.dtype)

        def layer(hidden, _):
            return jnp.tanh(hidden @ (weights + 0.1 * noise)), None

        hidden, _ = jax.lax.scan(layer, item["x"], None, length=2)
        return jnp.sum(jax.lax.switch(item["n"] % 2, (jnp.sin, jnp.square), hidden))

    value, gradient = jax.value_and_grad(loss)(weights)
    return value, jnp.sum(gradient**2), item["n"] > 2


@functools.cache
def population(size):
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(7), jnp.arange(size))
    x = np.random.default_rng(0).normal(size=(20, 3))[:size]
    return {"x": x, "n": np.arange(size, dtype=np.int32), "key": keys}


def one_by_one(fn, items, *shared):
    """The oracle: a Python loop over the items."""
    size = len(items["n"])
    results = [jax.jit(fn)(jax.tree.map(lambda x, i=i: x[i], items), *shared) for i in range(size)]
    return jax.tree.map(lambda *parts: np.stack([np.asarray(part) for part in parts]), *results)


def assert_same(actual, expected, rtol=1e-12):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert isinstance(a, np.ndarray)
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-13)


@pytest.fixture(scope="module")
def expected():
    """What each function gives for each population size, in float64."""
    with jax.enable_x64(True):
        return {
            (fn, size): one_by_one(fn, population(size), shared)
            for fn, shared in ((plain, np.arange(3.0)), (noisy_gradient, np.eye(3)))
            for size in SIZES
        }


@pytest.mark.parametrize("chunk", [1, 3, 8])
@pytest.mark.parametrize("batching", parallel.BATCHINGS)
@pytest.mark.parametrize(
    ("engine", "devices"),
    [("jit", 4), *((engine, devices) for engine in ("pmap", "shard_map", "host") for devices in (1, 2, 4))],
)
def test_same_result_everywhere(engine, devices, batching, chunk, expected, x64):
    mapped = parallel.population_map(plain, engine=engine, devices=devices, batching=batching, chunk=chunk)
    for size in SIZES:
        assert_same(mapped(population(size), np.arange(3.0)), expected[plain, size])
    assert mapped.trace_count == 1


@pytest.mark.parametrize(
    ("engine", "devices", "batching", "chunk"),
    [
        ("pmap", 1, "map", 8),
        ("pmap", 4, "map", 1),
        ("pmap", 2, "vmap", 3),
        ("shard_map", 2, "map", 3),
        ("shard_map", 4, "vmap", 8),
        ("jit", 1, "map", 3),
        ("jit", 1, "vmap", 8),
        ("host", 4, "map", 3),
        ("host", 2, "vmap", 1),
    ],
)
def test_keys_scans_and_gradients(engine, devices, batching, chunk, expected, x64):
    mapped = parallel.population_map(noisy_gradient, engine=engine, devices=devices, batching=batching, chunk=chunk)
    for size in SIZES:
        # A batched product may sum in another order, hence not to the last bit.
        assert_same(mapped(population(size), np.eye(3)), expected[noisy_gradient, size], rtol=1e-10)
    assert mapped.trace_count == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_order_does_not_matter(engine, x64):
    mapped = parallel.population_map(noisy_gradient, engine=engine, devices=2, chunk=3)
    order = np.random.default_rng(1).permutation(13)
    items = population(13)
    forward = mapped(items, np.eye(3))
    shuffled = mapped(jax.tree.map(lambda x: x[order], items), np.eye(3))
    for a, b in zip(jax.tree.leaves(forward), jax.tree.leaves(shuffled), strict=True):
        np.testing.assert_array_equal(a[order], b)


@pytest.mark.parametrize("size", [1, 2, 5, 6, 7, 12, 13, 29])
@pytest.mark.parametrize("engine", ENGINES)
def test_chunks_cover_the_population_in_order(engine, size):
    mapped = parallel.population_map(lambda item: item * 2, engine=engine, devices=4, chunk=3)
    limit = 3 * (1 if engine in ("jit", "host") else 4)
    seen = []
    for indices, result, seconds in mapped.chunks(np.arange(size)):
        np.testing.assert_array_equal(result, 2 * indices)
        assert 0 < len(indices) <= limit
        assert seconds > 0
        seen.extend(indices)
    assert seen == list(range(size))
    assert mapped.trace_count == 1
    assert mapped.compile_seconds > 0


def test_a_small_population_uses_all_devices():
    mapped = parallel.population_map(lambda item: item, engine="host", devices=4, chunk=8)
    assert [len(indices) for indices, _, _ in mapped.chunks(np.arange(6))] == [2, 2, 1, 1]


@pytest.mark.parametrize("engine", ENGINES)
def test_spare_slots_are_not_computed(engine):
    calls = []

    def count(value):
        calls.append(int(value))
        return value

    def fn(item):
        return jax.pure_callback(count, jax.ShapeDtypeStruct((), jnp.int32), item)

    mapped = parallel.population_map(fn, engine=engine, devices=2, chunk=8)
    np.testing.assert_array_equal(mapped(np.arange(5, dtype=np.int32)), np.arange(5))
    assert sorted(calls) == list(range(5))


def test_retraces_for_another_shape_or_dtype_only():
    mapped = parallel.population_map(lambda item, scale: item * scale, engine="host", devices=2, chunk=2)
    scale = np.float32(2)
    for size in (1, 2, 9):
        mapped(np.ones((size, 4), np.float32), scale)
    assert mapped.trace_count == 1
    mapped(np.ones((3, 5), np.float32), scale)
    mapped(np.ones((3, 4), np.int32), scale)
    assert mapped.trace_count == 3
    mapped(np.ones((8, 4), np.float32), np.float32(3))
    assert mapped.trace_count == 3


def test_precision_of_the_caller_is_part_of_the_program():
    mapped = parallel.population_map(lambda item: item @ item, engine="jit")
    items = np.ones((2, 3, 3), np.float32)
    mapped(items)
    with jax.default_matmul_precision("highest"):
        mapped(items)
    mapped(items)
    assert mapped.trace_count == 2


def test_host_devices_are_busy_at_once():
    """Each item waits for the other, which runs on another device."""
    barrier = threading.Barrier(2, timeout=20)

    def meet(value):
        barrier.wait()
        return value

    def fn(item):
        return jax.pure_callback(meet, jax.ShapeDtypeStruct((), jnp.int32), item)

    mapped = parallel.population_map(fn, engine="host", devices=2, chunk=1)
    np.testing.assert_array_equal(mapped(np.arange(6, dtype=np.int32)), np.arange(6))


@pytest.mark.parametrize("engine", ENGINES)
def test_few_blocks_are_in_flight(engine):
    calls = []

    def count(value):
        calls.append(int(value))
        return value

    def fn(item):
        return jax.pure_callback(count, jax.ShapeDtypeStruct((), jnp.int32), item)

    mapped = parallel.population_map(fn, engine=engine, devices=2, chunk=1)
    blocks = mapped.chunks(np.arange(40, dtype=np.int32))
    next(blocks)
    time.sleep(0.2)
    assert len(calls) <= 2 * 3  # Two devices; one block handed over, two in flight.
    blocks.close()
    assert len(calls) <= 2 * 3


@pytest.mark.parametrize("engine", ENGINES)
def test_error_while_tracing_surfaces(engine):
    def fn(item):
        raise KeyError("no such layer")

    with pytest.raises(KeyError, match="no such layer"):
        parallel.population_map(fn, engine=engine)(np.arange(3))


@pytest.mark.parametrize("engine", ENGINES)
def test_error_while_running_surfaces_after_the_finished_blocks(engine):
    def fail(value):
        if value == 4:
            raise RuntimeError("item four is broken")
        return value

    def fn(item):
        return jax.pure_callback(fail, jax.ShapeDtypeStruct((), jnp.int32), item)

    mapped = parallel.population_map(fn, engine=engine, devices=2, chunk=1)
    done = []
    with pytest.raises(Exception, match="item four is broken"):
        for indices, _, _ in mapped.chunks(np.arange(9, dtype=np.int32)):
            done.extend(indices)
    assert done == list(range(4))


@pytest.mark.parametrize("engine", ENGINES)
def test_nan_and_inf_pass_through(engine):
    items = np.array([1, np.nan, np.inf, -np.inf, 0], np.float32)
    result = parallel.population_map(lambda item: item * 2, engine=engine, devices=2, chunk=2)(items)
    np.testing.assert_array_equal(result, items * 2)


def test_keys_may_be_shared_and_of_any_kind():
    def fn(item, key):
        return jax.random.bits(jax.random.fold_in(key, item))

    key = jax.random.key(3, impl="rbg")
    result = parallel.population_map(fn, engine="pmap", devices=2, chunk=2)(np.arange(5), key)
    np.testing.assert_array_equal(result, [jax.jit(fn)(i, key) for i in range(5)])


def test_results_on_devices_and_lists_of_devices():
    devices = parallel.local_devices()[1:3]
    items = jax.device_put(jnp.arange(5.0), parallel.local_devices()[3])
    for engine in ENGINES:
        mapped = parallel.population_map(lambda item, s: item + s["a"], engine=engine, devices=devices, chunk=2)
        assert set(mapped.devices) <= set(devices)
        np.testing.assert_array_equal(mapped(items, {"a": items[1]}), np.arange(5.0) + 1)


def test_auto_engine_and_default_chunk():
    assert parallel.population_map(plain).engine == "pmap"
    assert parallel.population_map(plain, devices=1).engine == "jit"
    assert parallel.population_map(plain).chunk == 8
    assert len(parallel.population_map(plain).devices) == 4
    assert len(parallel.population_map(plain, engine="jit").devices) == 1
    assert parallel.device_summary() == "4 x cpu"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "shardmap"}, "'shardmap'.*auto, pmap, shard_map, jit, host.*'shard_map'"),
        ({"engine": "PMAP"}, "did you mean 'pmap'"),
        ({"batching": "vmapp"}, "'vmapp'.*map, vmap.*'vmap'"),
        ({"devices": 9}, "9 devices.*1 to 4.*device_count=9"),
        ({"devices": 0}, "devices=0.*at least 1"),
        ({"devices": -1}, "devices=-1"),
        ({"devices": True}, "devices=True"),
        ({"devices": 1.5}, "devices=1.5"),
        ({"devices": []}, r"devices=\[\]"),
        ({"devices": ["cpu"]}, "devices=.*'cpu'"),
        ({"chunk": 0}, "chunk=0.*at least 1"),
        ({"chunk": -3}, "chunk=-3"),
        ({"chunk": 2.0}, "chunk=2.0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        parallel.population_map(plain, **options)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (np.zeros((0, 3)), "0 items"),
        ({}, "no array"),
        ({"a": np.zeros((3, 2)), "b": np.zeros(4)}, r"\(3, 2\), \(4,\)"),
        ([np.zeros(3), np.float32(1)], r"\(3,\), \(\)"),
        (np.array(["a", "b"]), "dtype <U1"),
    ],
)
def test_bad_population(items, message):
    mapped = parallel.population_map(lambda item: item)
    with pytest.raises(InputError, match=message):
        mapped(items)
    with pytest.raises(InputError, match=message):
        mapped.chunks(items)  # Before the first block is asked for.
    assert mapped.trace_count == 0
