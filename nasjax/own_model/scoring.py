"""Scores of models of one's own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.data import Batches
from nasjax.hashing import fingerprint
from nasjax.own_model import refusals
from nasjax.own_model.blocks import OwnModelWithFeatures, check_blocks
from nasjax.own_model.model import (
    Leaves,
    Model,
    Population,
    flatten,
    params_text,
    program_text,
    same_structure,
    shapes,
    traceable,
)
from nasjax.own_model.space import OwnModel
from nasjax.proxies import population, registry
from nasjax.proxies.base import Proxy
from nasjax.proxies.score import ScoreResult, check_batches, score
from nasjax.records import Store
from nasjax.types import Array, InputError, PyTree

if TYPE_CHECKING:
    import pandas as pd

Proxies = str | Sequence[str | Proxy]


def score_model(
    apply_fn: Callable[[PyTree, Array], Any],
    params: PyTree,
    batches: Batches,
    proxies: Proxies = ("lswag",),
    *,
    init_fn: Callable[[Array], PyTree] | None = None,
    features_fn: Callable[[PyTree, Array], Sequence[Array]] | None = None,
    norm_free_fn: Callable[[PyTree, Array], Any] | None = None,
    loss_fn: Callable[[Array, Array], Array] | None = None,
    name: str = "model",
    key: Array | None = None,
    preset: str = "nbsz",
    precision: str = "highest",
    store: Store | None = None,
) -> ScoreResult:
    """Scores any JAX function: Flax Linen, Flax NNX or plain.

    Weight layers (convolutions and products whose weight is a parameter, cast, moved about or cut) and activations are
    found in the traced program, in forward order; the model stays as it is. docs/own_model.md has examples, and says
    which proxy needs what.

    Args:
      apply_fn: ``apply_fn(params, images) -> logits``, or a tuple that starts with them; see `Model`.
      params: pytree of arrays; the weights that are scored.
      batches: mini-batches, see `nasjax.data.load`.
      proxies: names with options (see `nasjax.proxies.parse`) or finished proxies; "all" for those that the
        model can serve.
      init_fn: ``init_fn(key) -> params``, for proxies that draw weights.
      features_fn: ``features_fn(params, images) -> feature maps``, for proxies that read them.
      norm_free_fn: as ``apply_fn`` without batch norms, for synflow.
      loss_fn: ``loss_fn(logits, targets) -> mean loss``; cross-entropy by default.
      name: what to call the model.
      key: typed key of everything random; that of seed 0 by default.
      preset: "nbsz" or "paper", for proxies that name none.
      precision: "highest", or "fast" for the accelerator's reduced-precision products.
      store: where scores are kept and found again.

    Returns:
      the result for one architecture, ``name``.

    Raises:
      InputError: a function fails or returns something else, no weight layer or activation is found, or a proxy
        needs what is not given; raised before any long work.

    Example:
      >>> import jax, jax.numpy as jnp, nasjax
      >>> def network(params, images):
      ...     return jax.nn.relu(images.mean((1, 2)) @ params["hidden"]) @ params["head"]
      >>> params = {"hidden": jnp.ones((3, 4)), "head": jnp.ones((4, 10))}
      >>> batches = nasjax.data.load("photos", batch_size=4, image_size=8)
      >>> result = nasjax.score_model(network, params, batches, ("params", "flops"))
      >>> result.scores["params"].tolist(), result.scores["flops"].tolist()
      ([52.0], [52.0])
    """
    model = Model(apply_fn, params, init_fn, features_fn, norm_free_fn, loss_fn)
    space, archs = as_space(model, batches, name=name)
    return _score(space, archs, batches, proxies, name, key, preset=preset, precision=precision, store=store)


def score_models(
    models: Mapping[str, Model | tuple[Any, ...]],
    batches: Batches,
    proxies: Proxies = ("lswag",),
    *,
    key: Array | None = None,
    preset: str = "nbsz",
    precision: str = "highest",
    workdir: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ScoreResult:
    """Scores many models into one store and one report.

    Args:
      models: name -> `Model`, or a tuple (apply_fn, params, ...) in its order.
      batches: as in `score_model`; so are ``proxies``, ``key``, ``preset`` and ``precision``. Proxies of a
        population, such as az_nas, rank these models.
      proxies: see above.
      key: see above.
      preset: see above.
      precision: see above.
      workdir: directory of ``scores.sqlite``, from which another call goes on, ``scores.csv`` and ``report.html``;
        None writes nothing.
      progress: called as progress(done, total) after each model.

    Returns:
      one result, models in the order given.

    Raises:
      InputError: as `score_model`, with the name of the model; or there is none.
    """
    from nasjax.own_model import summary

    if not isinstance(models, Mapping) or not models:
        raise InputError("score_models: models is empty or no mapping; give name -> (apply_fn, params).")
    prepared = {}
    for name, given in models.items():
        with _naming(name):
            prepared[name] = as_space(_as_model(given), batches, name=name)
    spaces = [space for space, _ in prepared.values()]
    chosen = _served_by_all(proxies, preset, spaces)
    columns = registry.column_names(chosen)
    single, names = population.expand(chosen, columns)
    for name, (space, _) in prepared.items():  # before the first one is scored
        with _naming(name):
            check_batches(space, batches, single)
    options: dict[str, Any] = {"preset": preset, "precision": precision}
    found: list[ScoreResult] = []
    with contextlib.nullcontext() if workdir is None else Store.open(workdir) as store:
        for done, (name, (space, archs)) in enumerate(prepared.items(), 1):
            with _naming(name):
                result = _score(space, archs, batches, single, name, key, store=store, **options)
            found.append(result._replace(intervals={}))
            if progress is not None:
                progress(done, len(prepared))
    joined = population.ranked_result(_join(found, names), chosen, columns, lambda i: True)
    if workdir is not None:
        asked = {"proxies": ",".join(proxy.label for proxy in chosen), **options, "key": summary.key_text(key)}
        summary.write(workdir, joined, {name: space for name, (space, _) in prepared.items()}, batches, asked)
    return joined


def describe_models(models: Mapping[str, Model | tuple[Any, ...]], batches: Batches) -> pd.DataFrame:
    """What is found in models, before any score is computed.

    Args:
      models: as in `score_models`.
      batches: as in `score_model`; their shape counts.

    Returns:
      A row a model: ``model``, ``layers`` (weight layers), ``activations`` (such as "3 relu, 1 gelu"), ``params`` and
      ``flops`` (multiply-adds for one image).

    Raises:
      InputError: as `score_model`, with the name of the model.
    """
    from nasjax.own_model import contents

    spaces = {}
    for name, given in models.items():
        with _naming(name):
            spaces[name], _ = as_space(_as_model(given), batches, name=name)
    return contents.table(spaces)


def as_space(model: Model, batches: Batches, *, name: str = "model") -> tuple[OwnModel, Population]:
    """A model as a search space with one architecture.

    Args:
      model: functions and parameters.
      batches: give the shape of the images.
      name: what to call it.

    Returns:
      the space, and its population.

    Raises:
      InputError: as `score_model`.
    """
    _check_given(model, batches, name)
    leaves = flatten(model.params)
    images = batches.stacked[0]
    dtype = jax.dtypes.canonicalize_dtype(images.dtype)
    image = jax.ShapeDtypeStruct(images.shape[1:], dtype)
    texts = []
    for which, function in (("apply", model.apply_fn), ("norm_free", model.norm_free_fn)):
        if function is not None:
            texts.append(_text(f"{which}_fn", traceable(model, leaves, which), shapes(leaves.arrays), image))
    if model.features_fn is not None:
        texts.append(_text("features_fn", traceable(model, leaves, "features"), shapes(leaves.arrays), image))
    if model.init_fn is not None:
        made = refusals.attempt("init_fn", model.init_fn, jax.random.key(0))
        if not same_structure(leaves, made):
            raise InputError("own model: init_fn gives a tree of another structure or other shapes than params.")
        texts.append(program_text(jax.make_jaxpr(model.init_fn)(jax.random.key(0))))
    logits = jax.eval_shape(traceable(model, leaves, "apply"), shapes(leaves.arrays), image)[0]
    if model.loss_fn is None and len(logits.shape) != 2:
        raise InputError(f"own model: logits of shape {list(logits.shape)}; [batch, classes], or give loss_fn.")
    if model.loss_fn is not None:
        targets = jax.ShapeDtypeStruct(batches.stacked[1].shape[1:], batches.stacked[1].dtype)
        texts.append(_text("loss_fn", model.loss_fn, logits, targets))
    program = fingerprint([texts, list(image.shape), str(dtype), list(leaves.names), list(leaves.trainable)])
    kind = OwnModel if model.features_fn is None else OwnModelWithFeatures
    kept = Leaves(tuple(shapes(leaves.arrays)), leaves.structure, leaves.names, leaves.trainable)
    space = kind(
        program,
        "highest",
        model._replace(params=None),
        kept,
        tuple(images.shape[2:]),
        images.shape[1],
        dtype,
        logits.shape[-1],
        tuple(logits.shape),
        logits.dtype,
    )
    if not space.analysis().uses:
        raise InputError(
            "own model: no weight layer found: no convolution or product of what depends on the images with a "
            "parameter that is at most cast, moved about or cut. Parameters must come through params, not by closure."
        )
    if model.features_fn is not None:
        check_blocks(space.analysis("features"))
    encoding = f"{name}@{fingerprint([program, params_text(leaves)])[:12]}"
    return space, Population(tuple(_stacked(a) for a in leaves.arrays), (encoding,))


def _score(
    space: OwnModel,
    archs: Population,
    batches: Batches,
    proxies: Proxies,
    name: str,
    key: Array | None,
    **options: Any,
) -> ScoreResult:
    key = jax.random.key(0) if key is None else key
    # One device and no room for more than one: parameters may be large.
    result = score(space, archs, batches, proxies, key=key, engine="jit", chunk=1, **options)
    return result._replace(archs=[name])


def _served_by_all(proxies: Proxies, preset: str, spaces: Sequence[OwnModel]) -> tuple[Proxy, ...]:
    """Proxies asked for; "all" means those that every model can serve."""
    found = [registry.parse(proxies, preset=preset, space=space) for space in spaces]
    every = [{(p.name, p.options) for p in chosen} for chosen in found]
    return tuple(p for p in found[0] if all((p.name, p.options) in names for names in every))


def _join(found: Sequence[ScoreResult], names: Sequence[str]) -> ScoreResult:
    """Results of single models as one, with the columns named anew."""

    def joined(field: str) -> dict[str, Any]:
        columns = zip(*(getattr(result, field).values() for result in found), strict=True)
        return {name: np.concatenate(parts) for name, parts in zip(names, columns, strict=True)}

    return ScoreResult(
        archs=[result.archs[0] for result in found],
        scores=joined("scores"),
        raw=joined("raw"),
        valid=joined("valid"),
        reasons={name: column.tolist() for name, column in joined("reasons").items()},
        seconds=np.concatenate([result.seconds for result in found]),
        intervals={},
    )


def _as_model(given: Model | tuple[Any, ...]) -> Model:
    if isinstance(given, Model):
        return given
    if not isinstance(given, tuple) or not 2 <= len(given) <= len(Model._fields):
        raise InputError(f"a model is {type(given).__name__}; give nasjax.own_model.Model or (apply_fn, params).")
    return Model(*given)


def _check_given(model: Model, batches: Any, name: Any) -> None:
    if not isinstance(batches, Batches):
        raise InputError(
            f"own model: batches is {type(batches).__name__}; make them by nasjax.data.load or "
            "nasjax.data.Batches.from_arrays(images, labels)."
        )
    if not isinstance(name, str) or not name:
        raise InputError(f"own model: name={name!r}; allowed is a text that is not empty.")
    for field in ("apply_fn", "init_fn", "features_fn", "norm_free_fn", "loss_fn"):
        function = getattr(model, field)
        if not callable(function) and (function is not None or field == "apply_fn"):
            raise InputError(f"own model: {field} is {type(function).__name__}; allowed is a function.")


def _text(name: str, function: Any, *args: Any) -> str:
    refusals.attempt(name, function, *args)
    return program_text(jax.make_jaxpr(function)(*args))


def _stacked(array: Any) -> Any:
    is_key = jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
    return array[None] if is_key or isinstance(array, np.ndarray) else np.asarray(array)[None]


@contextlib.contextmanager
def _naming(name: str) -> Any:
    """Says which model an error is about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
