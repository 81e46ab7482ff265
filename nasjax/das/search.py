"""The search: trains a network and the mixture of operations in turns, then chooses operations.

Bilevel, as DARTS: in every step alpha descends the loss of its own half of the images, then the weights that of theirs.
After the epochs of the search, operations are chosen by perturbation with fine-tuning in between, or by the largest
alpha. The state is saved after every epoch; a search that was stopped goes on with the outcome of one that was not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.checkpoint import Checkpoints
from nasjax.das import selection
from nasjax.das.config import DASConfig
from nasjax.das.group import Group, make_group
from nasjax.das.search_config import Network, SearchConfig, SearchData
from nasjax.das.search_result import SearchResult, result_of
from nasjax.das.search_steps import SearchState
from nasjax.types import InputError

Progress = Callable[[int, int], None]


class SearchDivergedError(InputError):
    """Alpha or a loss became NaN or infinite.

    Attributes:
      epoch: in which it did; the state before it is the last good one.
    """

    def __init__(self, message: str, epoch: int) -> None:
        """Keeps the epoch.

        Args:
          message: what to say.
          epoch: number of the epoch.
        """
        super().__init__(message)
        self.epoch = epoch


def search(
    cell: DASConfig,
    data: SearchData,
    network: Network,
    *,
    key: jax.Array,
    config: SearchConfig | None = None,
    magnitudes: Any = None,
    checkpoints: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    devices: int | Sequence[jax.Device] | None = 1,
) -> SearchResult:
    """Searches for the operations of a cell.

    Args:
      cell: what is searched.
      data: images of the weights and of alpha.
      network: over videos, for the classes of the data.
      key: typed key; the same one gives the same result.
      config: settings.
      magnitudes: float [edges, operations] in place of drawn ones.
      checkpoints: directory for the state, saved after every epoch; a search that finds its own state there goes on.
      progress: called as progress(epochs done, all epochs).
      devices: which share every batch: a number, devices, or None for all.

    Returns:
      The genotype, and how it was found.

    Raises:
      InputError: anything asked for does not fit, or the state in ``checkpoints`` is of another search.
      SearchDivergedError: alpha or a loss is no finite number any more; the last good state stays saved.
    """
    return search_seeds(
        cell, data, network, keys=key[None], config=config, magnitudes=magnitudes, checkpoints=checkpoints,
        progress=progress, devices=devices,
    )[0]  # fmt: skip


def search_seeds(
    cell: DASConfig,
    data: SearchData,
    network: Network,
    *,
    keys: jax.Array,
    config: SearchConfig | None = None,
    magnitudes: Any = None,
    checkpoints: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    devices: int | Sequence[jax.Device] | None = 1,
    together: int | None = None,
) -> list[SearchResult]:
    """Searches with several seeds, together in one program where memory allows.

    Args:
      cell: what is searched.
      data: images of the weights and of alpha.
      network: over videos.
      keys: typed keys [seeds].
      config: settings.
      magnitudes: float [edges, operations] in place of drawn ones, for all seeds.
      checkpoints: directory; each group of seeds has one of its own below it, where there are several.
      progress: called as progress(epochs done, all epochs), of all groups.
      devices: see ``search``.
      together: seeds in one program; by default as many as memory holds on accelerators, and one on a CPU, where
        networks run faster one by one.

    Returns:
      a result for each key, what ``search`` finds with it up to rounding.

    Raises:
      InputError: see ``search``.
    """
    config = SearchConfig() if config is None else config
    if keys.ndim != 1 or not jnp.issubdtype(keys.dtype, jax.dtypes.prng_key) or not len(keys):
        raise InputError(f"keys {keys.dtype} {keys.shape}; allowed: typed keys [seeds]; do: jax.random.split")
    _check(cell, data, config)
    program = make_group(network, cell, config, data, magnitudes, devices)
    size = program.seeds_that_fit(keys) if together is None else together
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InputError(f"together={together!r}; allowed: a whole number of at least 1; do: change it")
    total = selection.total_epochs(cell, config)
    groups = [keys[i : i + size] for i in range(0, len(keys), size)]
    found: list[SearchResult] = []
    for number, own in enumerate(groups):
        described = {
            "cell": dataclasses.asdict(cell), "search": dataclasses.asdict(config), "network": network.name,
            "data": data.fingerprint, "keys": np.asarray(jax.random.key_data(own)).tolist(),
            "magnitudes": None if magnitudes is None else np.asarray(magnitudes, float).tolist(),
        }  # fmt: skip
        report = None if progress is None else _part(progress, number, len(groups), total)
        with contextlib.ExitStack() as stack:
            store = None
            if checkpoints is not None:
                where = os.path.join(checkpoints, f"group_{number}") if len(groups) > 1 else checkpoints
                store = stack.enter_context(Checkpoints(where))
            found += _run(program, own, described, store, report)
    return found


def _run(
    program: Group, keys: jax.Array, described: dict[str, Any], store: Checkpoints | None, progress: Progress | None
) -> list[SearchResult]:
    """Searches with one group of seeds."""
    cell, config = program.cell, program.config
    total = selection.total_epochs(cell, config)
    state = program.init(keys)
    alphas = np.full((total + 1, *state.arch["alpha"].shape), np.nan, np.float32)  # [epochs + 1, seeds, ...]
    alphas[0] = state.arch["alpha"]
    record: dict[str, Any] = {"history": [], "events": [[] for _ in keys], "seconds": 0.0}
    first = 0
    if store is not None and store.steps():
        state, alphas, record, first = _restored(store, described, state, alphas)
    begin, before = time.monotonic(), float(record["seconds"])
    if progress is not None:
        progress(first, total)
    for epoch in range(first, total):
        if epoch == config.epochs:
            state = program.reset(state)
        event = selection.event_of(epoch, config)
        if event is not None:
            state = _choose(program, keys, state, epoch, event, record["events"])
        state, measures = program.run_epoch(keys, state, epoch, config.rate(epoch, total))
        alphas[epoch + 1] = state.arch["alpha"]
        _check_finite(state, measures, epoch, store)
        record["history"].append({"epoch": epoch, **{name: values.tolist() for name, values in measures.items()}})
        record["seconds"] = before + time.monotonic() - begin
        if store is not None:
            store.save(epoch + 1, (_plain(state), alphas), {"described": described, "record": record})
        if progress is not None:
            progress(epoch + 1, total)
    return [result_of(cell, config, state, alphas, record, seed) for seed in range(len(keys))]


def _choose(
    program: Group, keys: jax.Array, state: SearchState, epoch: int, event: int, events: list[list[Any]]
) -> SearchState:
    """One choice of the perturbation, for every seed its own edge or node."""
    cell, config = program.cell, program.config
    chosen, kept = np.array(state.chosen), np.array(state.kept)
    subjects = [selection.subject(jax.random.fold_in(key, 3), event, cell) for key in keys]
    while True:
        weights = program.weights(state)
        made = [selection.candidates(weights[s], kept[s], *subjects[s], cell) for s in range(len(keys))]
        accuracy, loss = program.evaluate(state, np.stack([rows for rows, _ in made]))
        again = False
        for s, (edge, node) in enumerate(subjects):
            own = (accuracy[s], loss[s], made[s][1], config.criterion)
            if edge >= 0:
                chosen[s, edge] = picked = selection.most_missed(*own)
            else:
                left = kept[s, list(cell.node_edges(node))].sum()
                if left <= selection.EDGES_KEPT:
                    continue
                kept[s, selection.least_missed(*own)] = False
                picked = selection.least_missed(*own)
                again = again or left - 1 > selection.EDGES_KEPT
            tried = made[s][1] >= 0
            shown = [[float(v) for v in np.where(tried, values[s], np.nan)] for values in (accuracy, loss)]
            events[s].append([epoch, edge, node, int(picked), *shown])
        gain = cell.path_gain(kept=kept).astype(np.float32)
        state = state._replace(chosen=jnp.asarray(chosen), kept=jnp.asarray(kept), gain=jnp.asarray(gain))
        if not again:
            return state


def _restored(
    store: Checkpoints, described: dict[str, Any], state: SearchState, alphas: np.ndarray
) -> tuple[SearchState, np.ndarray, dict[str, Any], int]:
    """The state that an earlier run saved.

    Raises:
      InputError: it is that of another search.
    """
    there, now = store.newest_meta().get("described", {}), json.loads(json.dumps(described))
    if there and there != now:
        raise InputError(_differences(there, now, str(store.directory)))
    saved = store.restore((_plain(state), alphas))
    assert saved is not None
    plain, alphas = saved.arrays
    return jax.tree.map(jnp.asarray, plain), np.array(alphas), saved.meta["record"], saved.step


def _differences(there: Mapping[str, Any], now: Mapping[str, Any], where: str) -> str:
    lines = []
    for name in now:
        old, new = there.get(name), now[name]
        if isinstance(old, dict) and isinstance(new, dict):
            lines += [f"  {name}.{k}: there {old.get(k)!r}, now {new.get(k)!r}" for k in new if old.get(k) != new[k]]
        elif old != new:
            lines.append(f"  {name}: there {str(old)[:60]}, now {str(new)[:60]}")
    text = "\n".join(lines)
    return f"{where} holds the state of another search:\n{text}\nUse another directory, or the same settings as before."


def _check_finite(state: SearchState, measures: dict[str, np.ndarray], epoch: int, store: Checkpoints | None) -> None:
    names = [name for name, value in state.arch.items() if not np.isfinite(np.asarray(value)).all()]
    names += [name.replace("_", " ") for name, value in measures.items() if not np.isfinite(value).all()]
    if not names:
        return
    kept = "no earlier state was saved" if store is None else (
        f"the state after epoch {epoch - 1} in {store.directory} is the last good one" if epoch else
        "it was the first epoch, so there is no good state"
    )  # fmt: skip
    raise SearchDivergedError(
        f"{' and '.join(names)} became NaN or infinite in epoch {epoch}; the search stops there: {kept}; do: lower "
        "weight_lr or alpha_lr, and begin in another directory", epoch,
    )  # fmt: skip


def _check(cell: DASConfig, data: SearchData, config: SearchConfig) -> None:
    smallest = min(len(data.train_labels), len(data.valid_labels))
    if config.batch_size > smallest:
        raise InputError(f"batch_size={config.batch_size} with {len(data.train_labels)} images for the weights and "
                         f"{len(data.valid_labels)} for alpha; allowed: at most {smallest}; do: lower it")  # fmt: skip
    channels = data.train_images.shape[-1]
    if cell.mean and len(cell.mean) != channels:
        raise InputError(f"mean has {len(cell.mean)} numbers for {channels} channels; do: give one each")
    if not cell.moved:
        raise InputError(f"num_frames={cell.num_frames} with schedule={cell.schedule!r}: the only frame is of level 0, "
                         "where every operation leaves the image as it is, so there is nothing to find; do: take more "
                         "frames, or schedule='constant'")  # fmt: skip
    if not selection.total_epochs(cell, config):
        raise InputError("epochs=0 with select='argmax' trains nothing; do: raise epochs")


def _plain(state: SearchState) -> Any:
    return jax.tree.map(np.asarray, state)


def _part(progress: Progress, number: int, groups: int, total: int) -> Progress:
    """Progress of a group as that of all of them."""
    return lambda done, unused: progress(number * total + done, groups * total)
