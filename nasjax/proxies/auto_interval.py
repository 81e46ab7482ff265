"""Layer intervals that are found from the images: ``interval="auto"`` of L-SWAG, once for a space and its images."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
from typing import Any

import jax
import numpy as np

from nasjax import parallel
from nasjax.hashing import fingerprint
from nasjax.proxies.base import Proxy
from nasjax.proxies.lswag import LswagConfig, from_config
from nasjax.proxies.profile import IntervalProfile, profile_interval
from nasjax.records import Store

_log = logging.getLogger(__name__)


def resolve(
    space: Any,
    batches: Any,
    chosen: tuple[Proxy, ...],
    key: jax.Array,
    profile_archs: int,
    store: Store | None,
    run_options: dict[str, Any],
) -> tuple[tuple[Proxy, ...], dict[int, IntervalProfile]]:
    """Replaces interval "auto" by what the spike rule finds.

    Args:
      space: search space.
      batches: images.
      chosen: proxies.
      key: typed key, see `nasjax.score`.
      profile_archs: random architectures that are measured.
      store: where an earlier run may have left the profile.
      run_options: engine, batching, chunk, devices.

    Returns:
      the proxies, and the profiles of those that asked, by their place.
    """
    resolved, profiles = list(chosen), {}
    known: dict[Any, IntervalProfile] = {}
    for i, proxy in enumerate(chosen):
        options = dict(proxy.options)
        if options.get("interval") != "auto":
            continue
        config = LswagConfig(**options)
        shared: dict[str, Any] = {"num_batches": max(2, config.num_batches), "init": config.init, "norm": config.norm}
        name = tuple(shared.items())
        description = {
            "space": space.name,
            "space_options": space.options,
            "data": batches.fingerprint,
            "precision": space.precision,
            "key": np.asarray(jax.random.key_data(key)).tolist(),
            "num_archs": profile_archs,
            **shared,
        }
        if name not in known:
            context = f"profile-{fingerprint(description)}"
            kept = parallel.shared("layer interval kept", functools.partial(_kept, store, context))
            if kept is None:
                made = profile_interval(
                    space, batches, key=jax.random.fold_in(key, 1), num_archs=profile_archs, **shared, **run_options
                )
                kept = parallel.shared("layer interval", made.to_json)
                if store is not None:
                    store.describe(context, description | {"profile": kept})
            known[name] = IntervalProfile.from_json(kept)
            _log.info("layer interval of %s: %s", proxy.name, known[name].interval)
        profiles[i] = known[name]
        resolved[i] = from_config(dataclasses.replace(config, interval=known[name].interval), name=proxy.name)
    return tuple(resolved), profiles


def _kept(store: Store | None, context: str) -> dict[str, Any] | None:
    """The profile of an earlier run, in JSON form."""
    found = None if store is None else dict(store.contexts()).get(context)
    return None if found is None else dict(json.loads(found)["profile"])
