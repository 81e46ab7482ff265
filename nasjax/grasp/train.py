"""Training: one compiled scan over the steps, many members and seeds in one program, spread over devices."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from nasjax import parallel
from nasjax.grasp import losses
from nasjax.grasp.config import ModelConfig, PredictorConfig
from nasjax.grasp.features import Inputs
from nasjax.grasp.model import RankGCN, Readings
from nasjax.types import Array, PyTree

_NEW_LAYERS = ("auxiliary", "head", "score", "pair")  # the others carry over from pre-training


class Job(NamedTuple):
    """One network to train; a population of jobs is one program.

    Attributes:
      words: uint32 [2], words of a key.
      rows: int32 [n], training graphs among all; those beyond the labels repeat the first.
      targets: float32 [n], higher is better.
      weights: float32 [n], 0 beyond the labels.
      held: float32 [n], 1 for labels that choose the step and do not train.
      params: parameters to begin with, or () for random ones.
    """

    words: Any
    rows: Any
    targets: Any
    weights: Any
    held: Any
    params: Any


class Trained(NamedTuple):
    """A trained network.

    Attributes:
      params: parameters.
      slope: float32 [], with ``offset`` what brings the scores to a common scale.
      offset: float32 [].
      loss: float32 [checks], mean training loss between checks.
      step: int32 [], the step that was kept.
    """

    params: PyTree
    slope: Any
    offset: Any
    loss: Any
    step: Any


def network(config: PredictorConfig) -> RankGCN:
    """The module of a configuration."""
    return RankGCN(config.model, len(config.train.pretrain), config.train.loss == "brp")


def fit_jobs(jobs: Job, graphs: Inputs, config: PredictorConfig, **devices: Any) -> Trained:
    """Trains a population of networks.

    Args:
      jobs: with a leading axis.
      graphs: features of all graphs that rows count in.
      config: options.
      **devices: ``engine``, ``devices`` and ``chunk`` of `nasjax.parallel.population_map`.

    Returns:
      what was trained, NumPy arrays with the leading axis.
    """
    found = _mapped("fit", config.model, config.train, len(jobs.rows), **_hashable(devices))(jobs, graphs)
    return Trained(*found)


def pretrain_jobs(words: np.ndarray, rows: np.ndarray, graphs: Inputs, targets: Any, config: PredictorConfig,
                  **devices: Any) -> PyTree:  # fmt: skip
    """Teaches networks the proxies of unlabelled graphs.

    Args:
      words: uint32 [m, 2], words of a key for each network.
      rows: int32 [u], graphs to learn from.
      graphs: features of all graphs.
      targets: float32 [all, p], scaled proxies, NaN where unknown.
      config: options.
      **devices: as `fit_jobs`.

    Returns:
      parameters with the leading axis m.
    """
    mapped = _mapped("pretrain", config.model, config.train, len(words), **_hashable(devices))
    return mapped(words, np.asarray(rows, np.int32), graphs, np.asarray(targets, np.float32))


def score_graphs(
    params: PyTree, graphs: Inputs, config: PredictorConfig, *, chunk: int | None = None, **devices: Any
) -> Any:
    """Raw scores of every network for every graph.

    Args:
      params: with a leading axis m.
      graphs: features of n graphs.
      config: options.
      chunk: graphs in one block on a device; a power of two by default, so that a search compiles little.
      **devices: ``engine`` and ``devices`` of `nasjax.parallel.population_map`.

    Returns:
      float32 [n, m].
    """
    if chunk is None:
        most = 512 if parallel.local_devices()[0].platform == "cpu" else 8192
        chunk = min(most, 1 << (len(graphs.mask) - 1).bit_length())
    return _scorer(config.model, config.train, chunk, **_hashable(devices))(graphs, params)


def _hashable(devices: dict[str, Any]) -> dict[str, Any]:
    """Options of devices as keys of a cache."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in devices.items()}


@functools.lru_cache(maxsize=32)
def _mapped(what: str, model: ModelConfig, train: Any, count: int, *, engine: str = "auto", devices: Any = None,
            chunk: int | None = None) -> parallel.Mapped:  # fmt: skip
    """The compiled program of a configuration, kept."""
    config = PredictorConfig(model=model, train=train)
    function = functools.partial(_fit_one if what == "fit" else _pretrain_one, config=config)
    number = len(devices) if isinstance(devices, tuple) else devices or len(parallel.local_devices())
    places = 1 if engine == "jit" else number
    share = chunk or -(-count // places)
    # Products of many small batches run faster one network after another on a CPU.
    batching = "map" if parallel.local_devices()[0].platform == "cpu" else "vmap"
    return parallel.population_map(function, engine=engine, batching=batching, chunk=share, devices=devices)


@functools.lru_cache(maxsize=32)
def _scorer(
    model: ModelConfig, train: Any, chunk: int, *, engine: str = "auto", devices: Any = None
) -> parallel.Mapped:
    module = network(PredictorConfig(model=model, train=train))

    def one(graph: Inputs, params: PyTree) -> Array:
        batch = jax.tree.map(lambda x: x[None], graph)
        return jax.vmap(lambda p: _read(module, p, batch).score[0])(params)

    return parallel.population_map(one, engine=engine, batching="vmap", chunk=chunk, devices=devices)


def _fit_one(job: Job, graphs: Inputs, *, config: PredictorConfig) -> Trained:
    """One network from its labels."""
    train, module = config.train, network(config)
    init_key, step_key = jax.random.split(jax.random.wrap_key_data(job.words))
    count = job.rows.shape[0]
    size = min(train.batch, count)
    own = jax.tree.map(lambda x: x[job.rows], graphs)
    there = job.weights * (1 - job.held)
    mean, deviation = _moments(job.targets, there)
    standard = (job.targets - mean) / deviation
    params: PyTree = module.init(init_key, jax.tree.map(lambda x: x[:1], own))["params"]
    if job.params != ():
        params = _carried(job.params, params)
    optimiser = _optimiser(train.learning_rate, train.steps, train.weight_decay, train.layer_decay)

    def objective(p: PyTree, batch: Inputs, place: Any, key: Array) -> Array:
        readings = _read(module, p, batch, key)
        return losses.loss(readings, standard[place], job.targets[place], there[place], train)

    def step(carry: Any, key: Array) -> Any:
        p, state = carry
        draw_key, drop_key = jax.random.split(key)
        if size == count:
            place, batch = jnp.arange(count), own
        else:  # those that are not there come last
            order = jax.random.uniform(draw_key, (count,)) + (1 - there)
            place = jnp.argsort(order)[:size]
            batch = jax.tree.map(lambda x: x[place], own)
        value, gradient = jax.value_and_grad(objective)(p, batch, place, drop_key)
        update, state = optimiser.update(gradient, state, p)
        return (optax.apply_updates(p, update), state), value

    def quality(p: PyTree) -> Array:
        scores = _read(module, p, own).score
        return _tau(scores, job.targets, job.weights * job.held)

    def block(carry: Any, keys: Array) -> Any:
        state, best, best_tau, best_step, done = carry
        state, values = lax.scan(step, state, keys)
        done = done + len(keys)
        if not train.validation:
            return (state, best, best_tau, best_step, done), values.mean()
        tau = quality(state[0])
        better = tau > best_tau  # the first of equals
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), state[0], best)
        kept = (jnp.where(better, tau, best_tau), jnp.where(better, done, best_step))
        return (state, best, *kept, done), values.mean()

    checks = min(train.checks, train.steps) if train.validation else 1
    per = -(-train.steps // checks)
    keys = jax.random.split(step_key, checks * per).reshape(checks, per)
    start: Any = ((params, optimiser.init(params)), params if train.validation else (), -2.0, 0, 0)
    (state, best, _, best_step, _), curve = lax.scan(block, start, keys)
    params, kept = (best, best_step) if train.validation else (state[0], checks * per)
    scores = _read(module, params, own).score
    if train.loss in ("mse", "l1"):  # back to the unit of the targets
        slope, offset = deviation, mean
    else:
        centre, spread = _moments(scores, job.weights)
        slope, offset = 1 / spread, -centre / spread
    return Trained(params, slope, offset, curve, jnp.asarray(kept, jnp.int32))


def _pretrain_one(words: Array, rows: Array, graphs: Inputs, targets: Array, *, config: PredictorConfig) -> PyTree:
    """One network from proxies alone: mean squared error of those that are known."""
    train, module = config.train, network(config)
    init_key, step_key = jax.random.split(jax.random.wrap_key_data(words))
    size = min(train.pretrain_batch, rows.shape[0])
    params = module.init(init_key, jax.tree.map(lambda x: x[:1], graphs))["params"]
    optimiser = _optimiser(train.pretrain_rate, train.pretrain_steps, train.weight_decay, 1.0)

    def objective(p: PyTree, batch: Inputs, wanted: Array, key: Array) -> Array:
        found = _read(module, p, batch, key).auxiliary
        known = jnp.isfinite(wanted)
        return jnp.where(known, (found - jnp.where(known, wanted, 0)) ** 2, 0).sum() / jnp.maximum(known.sum(), 1)

    def step(carry: Any, key: Array) -> Any:
        p, state = carry
        draw_key, drop_key = jax.random.split(key)
        place = rows[jax.random.randint(draw_key, (size,), 0, rows.shape[0])]
        batch = jax.tree.map(lambda x: x[place], graphs)
        gradient = jax.grad(objective)(p, batch, targets[place], drop_key)
        update, state = optimiser.update(gradient, state, p)
        return (optax.apply_updates(p, update), state), None

    keys = jax.random.split(step_key, train.pretrain_steps)
    (params, _), _ = lax.scan(step, (params, optimiser.init(params)), keys)
    return params


def _read(module: RankGCN, params: PyTree, batch: Inputs, key: Array | None = None) -> Readings:
    """Applies the network; with a key as in training, dropping activations."""
    found: Any = module.apply({"params": params}, batch, train=key is not None,
                              rngs=None if key is None else {"dropout": key})  # fmt: skip
    return Readings(*found)


def _optimiser(rate: float, steps: int, decay: float, layer_decay: float) -> optax.GradientTransformation:
    """AdamW with a cosine schedule; pre-trained layers may learn more slowly."""
    usual = optax.adamw(optax.cosine_decay_schedule(rate, steps), weight_decay=decay)
    if layer_decay == 1.0:
        return usual

    def label(params: PyTree) -> PyTree:
        return {name: _constant(tree, "new" if name in _NEW_LAYERS else "old") for name, tree in params.items()}

    slow = optax.adamw(optax.cosine_decay_schedule(rate * layer_decay, steps), weight_decay=decay)
    return optax.multi_transform({"new": usual, "old": slow}, label)


def _constant(tree: PyTree, value: str) -> PyTree:
    return jax.tree.map(lambda _: value, tree)


def _carried(old: PyTree, new: PyTree) -> PyTree:
    """Parameters of an earlier training; those whose layer it lacks, or has in another size, are new ones."""

    def fits(name: str) -> bool:
        return name in old and jax.tree.map(jnp.shape, old[name]) == jax.tree.map(jnp.shape, new[name])

    return {name: old[name] if fits(name) else new[name] for name in new}


def _moments(values: Array, weights: Array) -> tuple[Array, Array]:
    """Weighted mean, and a deviation that is never zero."""
    total = jnp.maximum(weights.sum(), 1)
    mean = (values * weights).sum() / total
    deviation = jnp.sqrt((weights * (values - mean) ** 2).sum() / total)
    return mean, jnp.where(deviation > 1e-12, deviation, 1.0)


def _tau(scores: Array, targets: Array, weights: Array) -> Array:
    """Kendall's tau-a over the graphs of weight 1."""
    signs = jnp.sign(scores[:, None] - scores[None]) * jnp.sign(targets[:, None] - targets[None])
    both = weights[:, None] * weights[None]
    return (signs * both).sum() / jnp.maximum(both.sum(), 1)
