"""One step of training and of evaluation, as pure functions of arrays."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nasjax.data.augment import as_unit, augment, prepare
from nasjax.training.config import TrainConfig
from nasjax.training.objectives import kind_of, measured, soft, train_loss
from nasjax.training.optimizers import transformation
from nasjax.training.schedules import drop_path_rate, learning_rate
from nasjax.training.state import TrainState
from nasjax.types import Array, InputError, PyTree, Variables


def train_step(
    state: TrainState,
    arch: PyTree,
    images: Array,
    labels: Array,
    key: Array,
    *,
    space: Any,
    config: TrainConfig,
    axis: str | None = None,
) -> tuple[TrainState, dict[str, Array]]:
    """One step of gradient descent.

    Traceable in all arrays, so it may be jitted, scanned over steps and mapped over networks of one signature.

    Args:
      state: before the step.
      arch: one architecture.
      images: uint8 or float, as `nasjax.data.augment.augment` takes them, [batch, height, width, channels]; with
        ``axis`` this device's share.
      labels: int32 [batch], class numbers, or probabilities float [batch, classes], or targets of the space's kind.
      key: typed key of the whole training; that of the step is folded from it and the number of the step.
      space: search space, bound to the signature of the architecture; static.
      config: options; static.
      axis: name of the axis of devices that share the batch in equal parts; static.

    Returns:
      the state after the step, the same on all devices; and measures of the step, float []: "loss", the mean that is
      descended, and the sums of `nasjax.training.objectives.measured` over the global batch before the step as
      "sums" (loss without smoothing and auxiliary head).
    """
    augment_key, drop_key = jax.random.split(jax.random.fold_in(key, state.step))
    dtype = _dtype(state.params)
    # An image is known by its place in the global batch, so that no number depends on the number of devices.
    places = jnp.arange(len(images)) + (0 if axis is None else lax.axis_index(axis) * len(images))
    targets = soft(labels, space.num_classes, dtype) if kind_of(space) == "class" else labels
    images = as_unit(images, dtype=dtype).astype(dtype)
    images, targets = augment(augment_key, images, targets, config.augment, indices=places)
    options: dict[str, Any] = {"norm": _norm_mode(config, axis), "train": True}
    if config.drop_path:
        check_drop_path(space, config)
        rate = drop_path_rate(config, state.step, state.steps_per_epoch)
        keys = jax.vmap(lambda place: jax.random.fold_in(drop_key, place))(places)
        options |= {"key": keys, "drop_path": rate.astype(dtype)}

    def loss(params: PyTree) -> tuple[Array, Any]:
        output = space.apply(Variables(params, state.stats), arch, images, **options)
        own = train_loss(space, output, targets, smoothing=config.label_smoothing, auxiliary=config.auxiliary)
        return own, output

    (value, output), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
    sums = measured(kind_of(space), output.logits, targets, jnp.ones(len(images), dtype))
    stats = output.stats
    if axis is not None:
        value, gradient, stats = lax.pmean((value, gradient, stats), axis)
        sums = lax.psum(sums, axis)
    direction, optimizer = transformation(config, space).update(gradient, state.optimizer, state.params)
    rate = learning_rate(config, state.step, state.steps_per_epoch).astype(dtype)
    params = jax.tree.map(lambda p, d: p - rate * d, state.params, direction)
    average = state.average
    if config.average is not None:
        keep = config.average
        average = jax.tree.map(lambda a, new: keep * a + (1 - keep) * new, average, Variables(params, stats))
    after = TrainState(state.step + 1, state.steps_per_epoch, params, stats, optimizer, average)
    return after, {"loss": value, "learning_rate": rate, "sums": sums}


def eval_step(
    variables: Variables,
    arch: PyTree,
    images: Array,
    labels: Array,
    *,
    space: Any,
    config: TrainConfig,
    weights: Array | None = None,
    axis: str | None = None,
) -> dict[str, Array]:
    """Measures of a batch, with running statistics and without augmentation.

    Args:
      variables: such as ``state.evaluated``.
      arch: one architecture.
      images: as of `train_step`.
      labels: as of `train_step`.
      space: search space, bound; static.
      config: options; static.
      weights: float [batch], 1 for images that count and 0 for padding; all count by default.
      axis: name of the axis of devices that share the batch; static.

    Returns:
      sums over the batch, on all devices: "count", "loss", for classes "accuracy" (the number of images that are right)
      and with more than five classes "top5"; see `nasjax.training.objectives.measured`.
    """
    dtype = _dtype(variables.params)
    images = prepare(as_unit(images, dtype=dtype).astype(dtype), config.augment)
    output = space.apply(variables, arch, images, norm="running")
    given = jnp.ones(len(images), dtype) if weights is None else weights.astype(dtype)
    sums = measured(kind_of(space), output.logits, labels, given)
    return sums if axis is None else lax.psum(sums, axis)


def check_drop_path(space: Any, config: TrainConfig) -> None:
    """Refuses drop path where the space has no paths to drop.

    Args:
      space: search space.
      config: options.

    Raises:
      InputError: it has none.
    """
    if config.drop_path and not getattr(space, "drops_paths", False):
        raise InputError(
            f"drop_path={config.drop_path}: {space.name} has no paths that may be left out; allowed: 0; do: set "
            "drop_path=0"
        )


def _norm_mode(config: TrainConfig, axis: str | None) -> str:
    return f"batch@{axis}" if axis is not None and config.norm_over == "all" else "batch"


def _dtype(params: PyTree) -> Any:
    return jax.tree.leaves(params)[0].dtype
