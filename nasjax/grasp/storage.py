"""Predictors on disk, by orbax: arrays, and beside them the configuration that they belong to."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from nasjax.checkpoint import Checkpoints
from nasjax.grasp.config import PredictorConfig
from nasjax.grasp.features import Scaling
from nasjax.types import InputError, PyTree

if TYPE_CHECKING:
    from nasjax.grasp.predictor import Predictor


def write(directory: str | os.PathLike[str], predictor: Predictor) -> None:
    """Saves a predictor; one of the same configuration is replaced.

    Args:
      directory: where to.
      predictor: what to save.

    Raises:
      InputError: the directory holds a predictor of another configuration, or cannot be written.
    """
    # orbax refuses arrays without an element: there is no scale without proxies.
    scaling = predictor.scaling._asdict() if len(predictor.scaling.mean) else {}
    arrays = {"params": predictor.params, "scaling": scaling, "slope": predictor.slope, "offset": predictor.offset,
              "history": predictor.history, "steps": predictor.steps}  # fmt: skip
    meta = {"config": predictor.config.describe(), "space": predictor.space, "vocabulary": list(predictor.vocabulary),
            "names": _names(predictor.params), "encoding": predictor.encoding}  # fmt: skip
    with Checkpoints(directory, keep=1) as states:
        found = states.newest_meta()
        if found:
            _check_config(found, predictor.config, directory)
        states.save(max(states.steps(), default=0) + 1, arrays, meta)


def check_free(directory: str | os.PathLike[str], config: PredictorConfig) -> None:
    """Refuses a directory that `write` would refuse, before a predictor is trained.

    Args:
      directory: where one is to be saved.
      config: its configuration.

    Raises:
      InputError: it holds a predictor of another configuration.
    """
    if os.path.isdir(directory):
        with Checkpoints(directory, keep=1, read_only=True) as states:
            found = states.newest_meta()
        if found:
            _check_config(found, config, directory)


def read(directory: str | os.PathLike[str], config: PredictorConfig | None) -> tuple[dict[str, Any], PyTree]:
    """Reads what `write` wrote.

    Args:
      directory: where it lies.
      config: the configuration that it must have, or None.

    Returns:
      configuration and names; arrays.

    Raises:
      InputError: there is none, it cannot be read, or it is of another configuration.
    """
    missing = f"there is no predictor in {directory}; do: check the path, or train one by nasjax.grasp.fit"
    if not os.path.isdir(directory):
        raise InputError(missing)
    if os.path.isdir(os.path.join(directory, "predictor")):
        raise InputError(f"{directory} is the directory of a run; do: name {os.path.join(directory, 'predictor')}")
    with Checkpoints(directory, keep=1, read_only=True) as states:
        meta = states.newest_meta()
        if "config" not in meta or "names" not in meta:
            raise InputError(missing)
        if config is not None:
            _check_config(meta, config, directory)
        try:
            proxies = meta["config"]["features"]["proxies"]
        except (KeyError, TypeError) as error:
            raise InputError(unreadable(directory, error)) from None
        scaling = dict.fromkeys(Scaling._fields, 0) if proxies else {}
        like = {"params": _tree(meta["names"]), "scaling": scaling, "slope": 0, "offset": 0, "history": 0, "steps": 0}
        found = states.restore(like)
    assert found is not None  # there is a meta
    return meta, found.arrays


def unreadable(directory: str | os.PathLike[str], error: Exception) -> str:
    """The message about a predictor that this version cannot make sense of."""
    return (f"{directory} holds a predictor that cannot be read: it is damaged, or of another version of nasjax"
            f" ({type(error).__name__}: {error}); do: train it again")  # fmt: skip


def _check_config(meta: dict[str, Any], config: PredictorConfig, where: Any) -> None:
    there, wanted = meta.get("config", {}), json.loads(json.dumps(config.describe()))
    if there == wanted:
        return
    lines = []
    for part in sorted({*there, *wanted}):
        a, b = there.get(part), wanted.get(part)
        if isinstance(a, dict) and isinstance(b, dict):
            differing = [key for key in sorted({*a, *b}) if a.get(key) != b.get(key)]
            lines += [f"{key}: there {a.get(key)!r}, now {b.get(key)!r}" for key in differing]
        elif a != b:
            lines.append(f"{part}: there {a!r}, now {b!r}")
    raise InputError(f"{where} holds a predictor of another configuration ({'; '.join(lines)}); do: use another "
                     "directory, or the same options")  # fmt: skip


def _names(params: PyTree) -> Any:
    """The structure of a tree of dictionaries, as JSON."""
    return {name: _names(tree) for name, tree in params.items()} if isinstance(params, dict) else 0


def _tree(names: Any) -> Any:
    return {name: _tree(tree) for name, tree in names.items()} if isinstance(names, dict) else 0
