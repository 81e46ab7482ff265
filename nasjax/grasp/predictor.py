"""The predictor: fit, score, rank, uncertainty, save and load."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nasjax.grasp.config import PredictorConfig
from nasjax.grasp.features import Inputs, Scaling, fit_scaling, inputs, scaled
from nasjax.grasp.graphs import as_graphs, check_same_space
from nasjax.types import InputError, PyTree

MIN_GRAPHS = 4


class Prediction(NamedTuple):
    """Scores of an ensemble.

    Attributes:
      score: float64 [n], mean over the members; higher is better.
      uncertainty: float64 [n], standard deviation over the members, in the unit of ``score``; zero with one member.
      members: float64 [m, n], each member's scores. Ranking losses fix no scale, so a member's scores are standardised
        by their mean and deviation on the training graphs; those of "mse" and "l1" are in the unit of the targets.
    """

    score: np.ndarray
    uncertainty: np.ndarray
    members: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Predictor:
    """A trained predictor; `fit` and `load` make it.

    Attributes:
      config: its options.
      space: name of the space of its graphs.
      vocabulary: labels of their nodes.
      scaling: of the proxies among its features.
      params: parameters, every array with a leading axis of members.
      slope: float64 [m], to the common scale.
      offset: float64 [m].
      history: float32 [m, checks], mean training loss.
      steps: int [m], the step that was kept of each.
      encoding: options of the encoder of its graphs, see `Graphs`.
    """

    config: PredictorConfig
    space: str
    vocabulary: tuple[str, ...]
    scaling: Scaling
    params: PyTree
    slope: np.ndarray
    offset: np.ndarray
    history: np.ndarray
    steps: np.ndarray
    encoding: tuple[tuple[str, Any], ...] = ()

    def predict(self, graphs: Any, **devices: Any) -> Prediction:
        """Scores with their uncertainty.

        Args:
          graphs: of the same space, with the proxies that the configuration names.
          **devices: ``engine``, ``devices`` and ``chunk`` (graphs a block), see `nasjax.parallel.population_map`.

        Returns:
          the prediction.

        Raises:
          InputError: graphs of another space, encoded in another way, or without a proxy.
        """
        given = as_graphs(graphs)
        check_same_space(given, self.space, given.vocabulary, self.encoding)
        if given.vocabulary != self.vocabulary:  # graphs without an encoder of their own name the labels that occur
            given = given.relabelled(self.vocabulary)
        made = inputs(given, self.config.features, self.config.model, self.scaling)
        return self.predict_inputs(made, **devices)

    def predict_inputs(self, made: Inputs, **devices: Any) -> Prediction:
        """As ``predict``, for features that were made before.

        Args:
          made: of `nasjax.grasp.features.inputs`.
          **devices: as ``predict``.

        Returns:
          the prediction.
        """
        from nasjax.grasp import train

        raw = np.asarray(train.score_graphs(self.params, made, self.config, **devices), np.float64).T
        members = raw * self.slope[:, None] + self.offset[:, None]
        return Prediction(members.mean(0), members.std(0), members)

    def score(self, graphs: Any, **devices: Any) -> np.ndarray:
        """Scores float64 [n], higher is better.

        Args:
          graphs: as ``predict``.
          **devices: as ``predict``.

        Returns:
          mean over the members.

        Raises:
          InputError: as ``predict``.
        """
        return self.predict(graphs, **devices).score

    def rank(self, graphs: Any, **devices: Any) -> np.ndarray:
        """Numbers int [n] of the graphs, best first; the earlier first among equals.

        Args:
          graphs: as ``predict``.
          **devices: as ``predict``.

        Returns:
          the order.

        Raises:
          InputError: as ``predict``.
        """
        return np.argsort(-self.score(graphs, **devices), kind="stable")

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Saves the predictor by orbax; the directory holds nothing else.

        Args:
          directory: a new one, or that of a predictor of the same configuration, which is replaced.

        Raises:
          InputError: it holds a predictor of another configuration, or cannot be written.
        """
        from nasjax.grasp import storage

        storage.write(directory, self)


def load(directory: str | os.PathLike[str], *, config: PredictorConfig | None = None) -> Predictor:
    """Loads a predictor.

    Args:
      directory: where ``Predictor.save`` wrote it.
      config: the configuration that it must have; any by default.

    Returns:
      the predictor, with the same scores.

    Raises:
      InputError: there is none, it cannot be read, or it is of another configuration.
    """
    from nasjax.grasp import storage

    meta, arrays = storage.read(directory, config)
    scale = Scaling(**arrays["scaling"]) if arrays["scaling"] else Scaling(*np.zeros((4, 0)))
    try:
        return Predictor(
            PredictorConfig.of(meta["config"]), meta["space"], tuple(meta["vocabulary"]), scale, arrays["params"],
            arrays["slope"], arrays["offset"], arrays["history"], arrays["steps"],
            tuple((name, value) for name, value in meta.get("encoding", ())),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(storage.unreadable(directory, error)) from None


def fit(
    graphs: Any,
    targets: Any,
    *,
    seed: int = 0,
    config: PredictorConfig | None = None,
    unlabelled: Any = None,
    init: Predictor | None = None,
    engine: str = "auto",
    devices: Any = None,
    **options: Any,
) -> Predictor:
    """Trains a predictor.

    Args:
      graphs: n labelled graphs, see `nasjax.grasp.encode`; at least 4.
      targets: finite numbers [n], not all equal; higher is better.
      seed: of everything random; the same seed gives the same scores.
      config: options; the defaults of `PredictorConfig`.
      unlabelled: further graphs, for pre-training and as reference of the proxies' scale; no target of theirs is read.
      init: a predictor of the same network to begin with: fine-tuning, or the next round of a selection.
      engine: how devices share the members, see `nasjax.parallel.population_map`.
      devices: which.
      **options: options by name, such as ``loss="hinge"``, ``members=5``.

    Returns:
      the predictor.

    Raises:
      InputError: too few graphs, targets with NaN or all equal, a cyclic graph, graphs of two spaces, a missing proxy,
        an unknown option.

    Examples:
      >>> import jax, nasjax
      >>> space = nasjax.get_space("nasbench201")
      >>> archs = space.sample(jax.random.key(0), 8)
      >>> graphs = nasjax.grasp.encode(space, archs)
      >>> model = nasjax.grasp.fit(graphs, space.num_params(archs), steps=2, width=4)
      >>> model.score(graphs).shape
      (8,)
    """
    given = as_graphs(graphs)
    check_targets(targets, len(given))
    rows = np.arange(len(given))
    pool = given if unlabelled is None else as_graphs([given, as_graphs(unlabelled)])
    found = fit_many(pool, rows[None], np.asarray(targets, np.float64)[None], seeds=(seed,), config=config,
                     init=None if init is None else (init,), engine=engine, devices=devices, **options)  # fmt: skip
    return found[0]


def fit_many(
    graphs: Any,
    rows: Any,
    targets: Any,
    *,
    seeds: Sequence[int],
    config: PredictorConfig | None = None,
    init: Sequence[Predictor] | None = None,
    counts: Sequence[int] | None = None,
    made: Inputs | None = None,
    params: PyTree = None,
    engine: str = "auto",
    devices: Any = None,
    **options: Any,
) -> list[Predictor]:
    """Trains predictors on several parts of one population, all in one program.

    Args:
      graphs: all N graphs; those in no row are unlabelled.
      rows: int [k, n], labelled graphs of each predictor.
      targets: numbers [k, n].
      seeds: length k.
      config: options.
      init: predictors to begin with, length k.
      counts: how many of the n labels of each there are, so that parts of several sizes share a program; all by
        default.
      made: features of the graphs, where the caller has them.
      params: what `pretrain` gave for these seeds, where the caller has it.
      engine: as `fit`.
      devices: as `fit`.
      **options: as `fit`.

    Returns:
      k predictors; each as `fit` with its seed on its part, and the others as unlabelled graphs.

    Raises:
      InputError: as `fit`.
    """
    from nasjax.grasp import train

    config = (config or PredictorConfig()).with_options(**options)
    given, rows = as_graphs(graphs), np.asarray(rows)
    targets = np.asarray(targets, np.float64)
    counts = [rows.shape[1]] * len(rows) if counts is None else list(counts)
    if rows.ndim != 2 or targets.shape != rows.shape or not len(rows) == len(seeds) == len(counts):
        raise InputError(
            f"rows {list(rows.shape)}, targets {list(targets.shape)}, {len(seeds)} seeds; allowed: [k, n] twice and k "
            "seeds"
        )
    for row, count in zip(targets, counts, strict=True):
        check_targets(row[:count], count, tie=0.0 if config.train.loss in ("mse", "l1") else config.train.tie)
    scaling = fit_scaling(given, config.features.proxies)
    if made is None:
        made = inputs(given, config.features, config.model, scaling)
    keys = _words(seeds, config.members)
    start: PyTree = () if params is None else params
    if init is not None:
        start = _stacked([_checked_init(p, config).params for p in init])
    elif config.train.pretrain_steps and params is None:
        start = pretrain(given, seeds=seeds, config=config, made=made, engine=engine, devices=devices)
    held = np.stack([_held_out(count, rows.shape[1], config, s) for s, count in zip(seeds, counts, strict=True)])
    weights = (np.arange(rows.shape[1]) < np.array(counts)[:, None]).astype(np.float32)
    columns = (rows.astype(np.int32), targets.astype(np.float32), weights, held)
    each = [np.repeat(column, config.members, 0) for column in columns]
    job = train.Job(keys, each[0], each[1], each[2], each[3], start)
    done = train.fit_jobs(job, made, config, engine=engine, devices=devices)
    found = []
    for i in range(len(rows)):
        part = slice(i * config.members, (i + 1) * config.members)
        own = train.Trained(*_map(lambda x, part=part: x[part], done))
        if not np.isfinite(own.loss).all():
            rate = config.train.learning_rate
            raise InputError(f"the loss of seed {seeds[i]} is not finite; do: lower learning_rate={rate}")
        slope, offset = (np.asarray(x, np.float64) for x in (own.slope, own.offset))
        found.append(Predictor(config, given.space, given.vocabulary, scaling, own.params, slope, offset, own.loss,
                               own.step, given.encoding))  # fmt: skip
    return found


def pretrain(graphs: Any, *, seeds: Sequence[int], config: PredictorConfig, made: Inputs | None = None,
             engine: str = "auto", devices: Any = None) -> PyTree:  # fmt: skip
    """Teaches networks the proxies named in ``config.train.pretrain``; no target is read.

    Args:
      graphs: graphs with these proxies.
      seeds: length k.
      config: options.
      made: features of the graphs, where the caller has them.
      engine: as `fit`.
      devices: as `fit`.

    Returns:
      parameters, every array with a leading axis of k times the members; `fit_many` takes them up by itself.

    Raises:
      InputError: a proxy is missing.
    """
    from nasjax.grasp import train

    given, names = as_graphs(graphs), config.train.pretrain
    if made is None:
        made = inputs(given, config.features, config.model, fit_scaling(given, config.features.proxies))
    columns = scaled(given, names, fit_scaling(given, names), "rank")
    for name, column in zip(names, columns, strict=True):
        if column.ndim != 1:
            raise InputError(f"pretrain: proxy {name!r} is one of nodes; allowed: those of whole networks")
    return train.pretrain_jobs(_words(seeds, config.members), np.arange(len(given)), made, np.stack(columns, 1), config,
                               engine=engine, devices=devices)  # fmt: skip


def check_targets(targets: Any, count: int, *, tie: float = 0.0) -> None:
    """Refuses targets that nothing can be learnt from.

    Args:
      targets: what is given for ``count`` graphs.
      count: number of graphs.
      tie: difference that makes no pair.

    Raises:
      InputError: too few, no numbers, NaN or infinite, or all equal.
    """
    if count < MIN_GRAPHS:
        raise InputError(f"{count} training graphs; allowed: {MIN_GRAPHS} or more; do: label more architectures")
    try:
        values = np.asarray(targets, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the targets are no numbers ({error}); allowed: numbers [{count}]") from None
    if values.shape != (count,):
        raise InputError(f"targets of shape {list(values.shape)} for {count} graphs; allowed: [{count}], one each")
    bad = ~np.isfinite(values)
    if bad.any():
        raise InputError(
            f"{int(bad.sum())} of {count} targets are NaN or infinite (first: row {int(np.argmax(bad))}); allowed: "
            "finite numbers; do: leave these graphs out"
        )
    if np.ptp(values) == 0:
        raise InputError(f"all {count} targets equal {values[0]:g}: nothing ranks; do: check the column")
    if np.ptp(values.astype(np.float32)) <= tie:
        raise InputError(
            f"the {count} targets differ by {np.ptp(values):.3g}, which counts as a tie (tie={tie:g}, float32): "
            "nothing ranks; do: scale them, such as to percent, or take their mean away"
        )


def _words(seeds: Sequence[int], members: int) -> np.ndarray:
    """Words of a key for each seed and member: uint32 [k members, 2]."""
    import jax

    keys = [jax.random.fold_in(jax.random.key(int(seed)), member) for seed in seeds for member in range(members)]
    return np.stack([np.asarray(jax.random.key_data(key)) for key in keys])


def _held_out(count: int, room: int, config: PredictorConfig, seed: int) -> np.ndarray:
    """Which labels choose the step, float32 [room]; the same for all members."""
    held = np.zeros(room, np.float32)
    if config.train.validation:
        number = min(max(round(config.train.validation * count), 2), count - 2)
        held[np.random.default_rng([seed, 1]).permutation(count)[:number]] = 1
    return held


def _checked_init(predictor: Predictor, config: PredictorConfig) -> Predictor:
    if predictor.config.model != config.model or predictor.config.members != config.members:
        raise InputError(
            f"init is a predictor of another network ({predictor.config.members} members, {predictor.config.model}); "
            f"allowed: {config.members} members, {config.model}; do: train with its options"
        )
    return predictor


def _map(function: Any, tree: PyTree) -> PyTree:
    import jax

    return jax.tree.map(function, tree)


def _stacked(trees: Sequence[PyTree]) -> PyTree:
    import jax

    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *trees)

