"""The driver: runs the passes that a set of proxies needs and finishes the scores."""

from __future__ import annotations

import dataclasses
import gc
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax import parallel
from nasjax.hashing import fingerprint
from nasjax.proxies import auto_interval, division, memory, registry
from nasjax.proxies import passes as passes_lib
from nasjax.proxies import population as population_lib
from nasjax.proxies.base import Facts, Proxy, Value
from nasjax.proxies.passes import ActivationPass, CostPass, GradientPass, Pass
from nasjax.proxies.profile import IntervalProfile
from nasjax.proxies.targets import check_targets
from nasjax.records import Record, Store
from nasjax.spaces.base import architecture_keys, by_signature, check_key
from nasjax.types import InputError

_PRECISIONS = {"highest": "highest", "fast": "default"}

Progress = Callable[[int, int], None]


class ScoreResult(NamedTuple):
    """Scores of a population.

    Attributes:
      archs: official encodings, length n.
      scores: column name -> float64 [n]; higher is better. Scores of a population, such as az_nas, compare
        these architectures alone.
      raw: column name -> float64 [n]; the value in the form its source publishes.
      valid: column name -> bool [n]; False for dead architectures and for NaN or infinite scores.
      reasons: column name -> why a score is not valid or what was done to it; empty where nothing is to say.
      seconds: float64 [n], compute time of each architecture, compilation excluded.
      intervals: profiles behind proxies with interval "auto", by column name.
    """

    archs: list[str]
    scores: dict[str, np.ndarray]
    raw: dict[str, np.ndarray]
    valid: dict[str, np.ndarray]
    reasons: dict[str, list[str]]
    seconds: np.ndarray
    intervals: dict[str, IntervalProfile]

    def table(self) -> Any:
        """One row an architecture: arch, a column a proxy, valid (all of them), reason."""
        import pandas as pd

        frame = pd.DataFrame({"arch": self.archs, **self.scores})
        frame["valid"] = np.all(list(self.valid.values()), axis=0)
        names = list(self.scores)
        frame["reason"] = [
            "; ".join(dict.fromkeys(self.reasons[n][i] for n in names if self.reasons[n][i]))
            for i in range(len(self.archs))
        ]
        return frame

    def ranking(self, name: str) -> np.ndarray:
        """Indices from best to worst by one column; invalid architectures last. int [n]."""
        if name not in self.scores:
            raise InputError(f"No scores named {name!r}; there are {', '.join(self.scores)}.")
        values = np.where(self.valid[name], self.scores[name], -np.inf)
        values = np.where(np.isnan(values), -np.inf, values)
        return np.lexsort((np.arange(len(values)), -values, ~self.valid[name]))


def score(
    space: Any,
    archs: Any,
    batches: Any,
    proxies: str | Sequence[str | Proxy] = ("lswag",),
    *,
    key: jax.Array,
    preset: str = "nbsz",
    engine: str = "auto",
    batching: str = "auto",
    chunk: int | None = None,
    devices: Any = None,
    precision: str = "highest",
    store: Store | None = None,
    progress: Progress | None = None,
    profile_archs: int = 64,
) -> ScoreResult:
    """Scores architectures without training.

    Args:
      space: search space, see `nasjax.get_space`.
      archs: population, or official encodings; repeated ones are computed once.
      batches: mini-batches, see `nasjax.data.load`; two are needed for gradient variances with M = 2.
      proxies: names with options (see `nasjax.proxies.parse`) or finished proxies.
      key: typed key; an architecture's own key comes from it and a hash of the encoding, so scores do not
        depend on position, chunk, order, engine or number of devices.
      preset: "nbsz" or "paper", for proxies that name none.
      engine: "auto", "pmap", "shard_map", "jit" or "host".
      batching: how the architectures of a block run: "map", one after another; "vmap", together; "auto", together on an
        accelerator where the space is fast so (see `nasjax.spaces.optional`), and else one after another. There GraSP
        and DEXTR, which take forward-mode derivatives, run one after another whatever is asked for.
      chunk: architectures a block and device.
      devices: None for all local ones, a number, or a sequence.
      precision: "highest", or "fast" for the accelerator's reduced-precision products.
      store: where finished chunks are kept and found again.
      progress: called as progress(done, total) after each chunk; of several processes, with the share of this one.
      profile_archs: random architectures behind ``interval="auto"`` (1000 in the paper).

    Returns:
      the scores; of several processes (`nasjax.parallel.initialize`), each scores a share, and all return all scores.

    Raises:
      InputError: anything asked for does not fit, raised before any long work; or memory ran out, with what to lower.

    Example:
      >>> import jax, nasjax
      >>> space = nasjax.get_space("nasbench201", channels=4, cells=1, image_size=8)
      >>> batches = nasjax.data.load("photos", batch_size=4, image_size=8)
      >>> archs = ["|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|",
      ...          "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"]
      >>> result = nasjax.score(space, archs, batches, ("params", "nwot"), key=jax.random.key(0))
      >>> result.scores["params"].tolist(), result.valid["nwot"].tolist()
      ([8366.0, 4894.0], [True, False])
      >>> result.reasons["nwot"][1]
      'no path from input to output; nwot is -inf'
    """
    check_key(key)
    if store is not None and not hasattr(store, "describe"):
        raise InputError(f"store={store!r}; open one by nasjax.records.Store.open(directory).")
    chosen = registry.parse(proxies, preset=preset, space=space)
    columns = registry.column_names(chosen)
    if archs is None or isinstance(archs, float):
        raise InputError(f"archs={archs!r}; allowed are a population, or a list of official encodings.")
    population = space.decode([archs] if isinstance(archs, int) else archs)
    encodings = space.encode(population)
    check_batches(space, batches, chosen)
    single, names = population_lib.expand(chosen, columns)
    space = with_precision(space, precision)
    run_options = {"engine": engine, "batching": batching, "chunk": chunk, "devices": devices}
    single, profiles = auto_interval.resolve(space, batches, single, key, profile_archs, store, run_options)
    intervals = {names[i]: profile for i, profile in profiles.items()}

    contexts = [_context(space, p, batches, key, precision) for p in single]
    records: dict[tuple[str, str], Record] = {}
    if store is not None:
        for context, description in contexts:
            store.describe(context, description)
            records |= {(context, arch): r for arch, r in store.get(context, encodings).items()}
    first = {text: i for i, text in reversed(list(enumerate(encodings)))}
    unique = sorted(first, key=first.__getitem__)
    work = division.agree([c for c, _ in contexts], unique, records)
    todo = [first[unique[place]] for place in work.own]
    done, total = work.done, work.done + len(todo)
    if progress is not None:
        progress(done, total)
    wanted = tuple(dict.fromkeys(p for proxy in single for p in proxy.passes))
    fresh: list[Record] = []
    with parallel.together():
        own = population[np.array(todo, int)]
        flow = run_passes(space, own, batches, wanted, key=key, **run_options) if todo else iter(())
        for position, last, facts, seconds in flow:
            index = todo[position]
            alive, reason = space.is_valid(population[index])
            for (context, _), proxy in zip(contexts, single, strict=True):
                fresh.append(_record(context, encodings[index], proxy, proxy.finish(facts), alive, reason, seconds))
            done += 1
            if last:
                if store is not None:
                    store.put(fresh)
                records |= {(r.context, r.arch): r for r in fresh}
                fresh = []
                if progress is not None:
                    progress(done, total)
    records |= division.collect(work, records)
    found = _collect(encodings, names, [c for c, _ in contexts], records, intervals)
    return population_lib.ranked_result(found, chosen, columns, lambda i: space.is_valid(population[i])[0])


def check_batches(space: Any, batches: Any, proxies: Sequence[Proxy]) -> None:
    """Refuses data that does not fit the space or the proxies.

    Raises:
      InputError: image size, channels, targets or the number of mini-batches do not fit.
    """
    if not hasattr(batches, "stacked"):
        raise InputError(
            f"batches is {type(batches).__name__}; make them by nasjax.data.load or "
            "nasjax.data.Batches.from_arrays(images, labels)."
        )
    images, labels = batches.stacked
    own = getattr(space, "check_images", None)
    size, channels = images.shape[2], images.shape[-1]
    if own is not None:
        own(images)
    elif (images.shape[2], images.shape[3]) != (space.image_size, space.image_size):
        raise InputError(
            f"Images are {images.shape[2]}x{images.shape[3]}, the space expects {space.image_size}x{space.image_size}; "
            f"set the space's image_size={size} or load the data with image_size={space.image_size}."
        )
    elif channels != space.in_channels:
        raise InputError(f"Images have {channels} channels, the space expects in_channels={space.in_channels}.")
    check_targets(space, labels, images)
    for proxy in proxies:
        proxy.check_space(space)
        for p in proxy.passes:
            needed = passes_lib.images_needed(p, images.shape[1])
            if needed > images.shape[0] * images.shape[1]:
                raise InputError(
                    f"{proxy.label} reads {needed} images, {images.shape[0]} x {images.shape[1]} are loaded; "
                    f"load the data with num_batches={-(-needed // images.shape[1])}."
                )


def with_precision(space: Any, precision: str) -> Any:
    """The space with "highest" or "fast" matrix products."""
    if precision not in _PRECISIONS:
        raise InputError(f"precision={precision!r}; allowed are {', '.join(_PRECISIONS)}.")
    return dataclasses.replace(space, precision=_PRECISIONS[precision])


def run_passes(
    space: Any,
    population: np.ndarray,
    batches: Any,
    wanted: Sequence[Pass],
    *,
    key: jax.Array,
    engine: str = "auto",
    batching: str = "auto",
    chunk: int | None = None,
    devices: Any = None,
    precision: str | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[int, bool, Facts, float]]:
    """Runs passes on a population, chunk by chunk; one program serves the architectures of a signature.

    Args:
      space: search space.
      population: int [n, ...].
      batches: mini-batches.
      wanted: passes.
      key: typed key, see `score`.
      engine: as in `score`; so are ``batching``, ``chunk``, ``devices``.
      batching: see above.
      chunk: see above.
      devices: see above.
      precision: as in `score`; None keeps the space's.
      progress: called as progress(done, total).

    Yields:
      for each architecture, signature by signature: its position, whether it ends a chunk, its facts, seconds of
      compute.
    """
    space = space if precision is None else with_precision(space, precision)
    served = passes_lib.merge(list(wanted))
    program_passes = tuple(p for p in dict.fromkeys(served.values()) if not isinstance(p, CostPass))
    images, labels = batches.stacked
    keys = getattr(space, "architecture_keys", architecture_keys)(key, space.encode(population))
    count = 0
    for bound, members in by_signature(space, population):
        mapped = _program(bound, program_passes, engine, batching, chunk, devices)
        blocks = mapped.chunks((population[members], keys[members]), images, labels)
        for indices, result, seconds in memory.advised(blocks, bound, images, mapped):
            host = passes_lib.to_host(result)
            for row, index in enumerate(members[indices]):
                tables, stats = jax.tree.map(lambda a, r=row: a[r], host)
                arch = population[index]
                layers = bound.layers(arch)._replace(**tables)
                own = {p: part(p, served[p], stats) for p in wanted}
                facts = Facts(layers, int(space.num_params(arch)), int(space.flops(arch)), own)
                count += 1
                yield int(index), row == len(indices) - 1, facts, seconds / len(indices)
            if progress is not None:
                progress(count, len(population))
        del mapped, blocks  # nothing but the table of programs holds one


def part(requested: Pass, server: Pass, stats: dict[Any, Any]) -> Any:
    """The statistics a requested pass asked for, out of those of the pass that served it."""
    if isinstance(server, CostPass):
        return {}
    found = stats[repr(server)]
    if not isinstance(requested, ActivationPass):
        return found
    own = server.activations if isinstance(server, GradientPass) else server
    assert isinstance(own, ActivationPass)
    found = found["activations"] if isinstance(server, GradientPass) else found
    if requested.intervals:
        picked = [own.intervals.index(i) for i in requested.intervals]
        found = found | {"interval_patterns": found["interval_patterns"][..., picked]}
    return found


_PROGRAMS: dict[Any, parallel.Mapped] = {}


def _program(space: Any, program_passes: tuple[Pass, ...], *options: Any) -> parallel.Mapped:
    """The compiled program of a set of passes; kept, so that a second population does not retrace."""
    engine, batching, chunk, devices = options
    together = getattr(space, "together", False) and jax.default_backend() != "cpu"
    if together and any(getattr(p, "forward_mode", False) for p in program_passes):
        batching = "map"  # JAX cannot differentiate the rules for vmap by forward mode
    elif batching == "auto":
        batching = "vmap" if together else "map"
    held = tuple(devices) if isinstance(devices, (list, tuple)) else devices
    name = (space, program_passes, engine, batching, chunk, held)
    if name not in _PROGRAMS:

        def program(item: Any, images: jax.Array, labels: jax.Array) -> Any:
            arch, arch_key = item
            layers = space.layers(arch)
            tables = {f: getattr(layers, f) for f in ("active", "order", "depth", "bins")}
            stats = {repr(p): passes_lib.run(space, p, arch_key, arch, images, labels) for p in program_passes}
            return tables, stats

        if _PROGRAMS and memory.crowded():
            _PROGRAMS.clear()
            gc.collect()
        if len(_PROGRAMS) >= 16:
            _PROGRAMS.pop(next(iter(_PROGRAMS)))
        _PROGRAMS[name] = parallel.population_map(
            program, engine=engine, batching=batching, chunk=chunk, devices=devices
        )
    return _PROGRAMS[name]


def _context(space: Any, proxy: Proxy, batches: Any, key: jax.Array, precision: str) -> tuple[str, dict[str, Any]]:
    description = {
        "space": space.name,
        "space_options": space.options,
        "proxy": proxy.name,
        "proxy_options": {k: list(v) if isinstance(v, tuple) else v for k, v in proxy.options},
        "proxy_version": proxy.version,
        "passes": [repr(p) for p in proxy.passes],
        "data": batches.fingerprint,
        "precision": precision,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
    }
    return fingerprint(description), description


def _record(context: str, arch: str, proxy: Proxy, value: Value, alive: bool, reason: str, seconds: float) -> Record:
    finite = math.isfinite(value.score)
    notes = [value.note] if value.note else []
    if not finite:
        notes.insert(0, f"{proxy.name} is {value.score}")
    if not alive:
        notes.insert(0, reason)
    return Record(context, arch, proxy.name, value.score, value.raw, alive and finite, "; ".join(notes), seconds)


def _collect(
    encodings: list[str],
    columns: list[str],
    contexts: list[str],
    records: dict[tuple[str, str], Record],
    intervals: dict[str, IntervalProfile],
) -> ScoreResult:
    rows = {c: [records[context, text] for text in encodings] for c, context in zip(columns, contexts, strict=True)}
    return ScoreResult(
        list(encodings),
        {c: np.array([r.score for r in rs], np.float64) for c, rs in rows.items()},
        {c: np.array([r.raw for r in rs], np.float64) for c, rs in rows.items()},
        {c: np.array([r.valid for r in rs], bool) for c, rs in rows.items()},
        {c: [r.reason for r in rs] for c, rs in rows.items()},
        np.array([rows[columns[0]][i].seconds for i in range(len(encodings))], np.float64),
        intervals,
    )
