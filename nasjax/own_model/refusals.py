"""Clear answers to what a model of one's own cannot serve."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.proxies.derivative_passes import LabelPass
from nasjax.proxies.pass_base import CustomPass
from nasjax.proxies.passes import ActivationPass, FisherPass, GradientPass, SynflowPass
from nasjax.proxies.zen import ZenPass
from nasjax.types import Array, InputError

_OFFERED = ("weight_mask", "named_weights", "blocks")  # optional methods of `nasjax.spaces.optional`
_COUPLED = (
    "images act on each other in this model, as in batch norm; give norm_free_fn, the model without these norms and "
    "with the same parameters"
)


def check_pass(p: Any, space: Any) -> None:
    """Refuses a pass.

    Args:
      p: pass of `nasjax.proxies.passes`.
      space: `nasjax.own_model.space.OwnModel`.

    Raises:
      InputError: the model lacks what the pass reads; the message says what to give.
    """
    name, model = type(p).__name__, space.model
    if isinstance(p, ZenPass):
        raise InputError("own model: zen reads the running variances of batch norms, which a function does not show.")
    if isinstance(p, CustomPass):
        missing = [method for method in p.requires if method not in _OFFERED]
        if missing:
            raise InputError(
                f"own model: {name} reads {', '.join(missing)} of a search space, which a function does not show; "
                "leave out the proxies that read it."
            )
    redraws = getattr(p, "init", "torch") != "torch" or getattr(p, "repeats", 1) > 1
    if redraws and model.init_fn is None:
        raise InputError(
            f"own model: {name} draws random weights ({p.init}, {getattr(p, 'repeats', 1)} times); give init_fn, a "
            "function key -> params."
        )
    if isinstance(p, CustomPass):
        if "blocks" in p.requires and model.features_fn is None:
            raise InputError(f"own model: {name} reads feature maps; give features_fn, (params, images) -> maps.")
        if isinstance(p, LabelPass) and model.loss_fn is not None:
            raise InputError("own model: epe_nas compares images of a class; it does not go with loss_fn.")
    reads_patterns = isinstance(p, ActivationPass) or isinstance(p, GradientPass) and p.activations is not None
    if reads_patterns and not space.analysis().activations:
        raise InputError(
            "own model: no activation found, so there are no patterns. Known are relu, gelu, silu, leaky_relu, elu, "
            "selu, mish and hard_swish, by name or written out, behind a layer with parameters."
        )
    _check_norm(p, space)


def _check_norm(p: Any, space: Any) -> None:
    if not space.analysis().coupled:
        return
    if isinstance(p, SynflowPass) and space.model.norm_free_fn is None:
        raise InputError(f"own model: synflow scores the network without norms, but {_COUPLED}.")
    norm = getattr(p, "norm", "batch")
    if norm == "running":
        raise InputError(f"own model: norm={norm!r}, but a function shows no running statistics; use batch or sample.")
    if isinstance(p, GradientPass) and p.granularity == "sample" and norm == "batch":
        raise InputError(
            "own model: gradients of single images are not defined where images act on each other, as in batch norm; "
            "use norm=sample, which gives every image to the model alone."
        )
    if isinstance(p, FisherPass) and norm != "batch":
        raise InputError(f"own model: fisher with norm={norm!r}; allowed is batch.")


def check_targets(space: Any, targets: np.ndarray) -> None:
    """Refuses targets that the loss cannot read.

    Args:
      space: `nasjax.own_model.space.OwnModel`.
      targets: [num_batches, batch, ...].

    Raises:
      InputError: without loss_fn they are no class numbers of the model; with it the loss fails or is no number.
    """
    if space.model.loss_fn is None:
        if targets.ndim != 2 or not np.issubdtype(targets.dtype, np.integer):
            raise InputError(
                f"own model: targets of shape {list(targets.shape[1:])} and type {targets.dtype}; allowed are class "
                "numbers [batch], or any with loss_fn."
            )
        top, low = int(np.max(targets)), int(np.min(targets))
        if top >= space.num_classes or low < 0:
            raise InputError(
                f"own model: label {top if low >= 0 else low} with {space.num_classes} outputs; allowed are 0 to "
                f"{space.num_classes - 1}. Give the model more outputs, or load other data."
            )
        return
    logits = jax.ShapeDtypeStruct(space.logits_shape, space.logits_dtype)
    loss = attempt("loss_fn", space.model.loss_fn, logits, jax.ShapeDtypeStruct(targets.shape[1:], targets.dtype))
    if getattr(loss, "shape", None) != ():
        raise InputError(f"own model: loss_fn gives {_shape(loss)}; allowed is one number, the mean over the batch.")


def check_output(which: str, found: Any, batch: int) -> list[Array]:
    """The results of a function of the model as a list.

    Args:
      which: "apply", "norm_free" or "features".
      found: what the function returned.
      batch: number of images.

    Returns:
      the logits alone, or the feature maps.

    Raises:
      InputError: there are no logits [batch, ...], or no feature maps [batch, ..., channels].
    """
    name = "features_fn" if which == "features" else f"{which}_fn"
    if which == "features":
        maps = list(found) if isinstance(found, (tuple, list)) else []
        if not maps or not all(_is_array(m) and m.ndim >= 3 and m.shape[0] == batch for m in maps):
            shown = ", ".join(map(_shape, maps)) or type(found).__name__
            raise InputError(
                f"own model: {name} gives {shown}; needed is a list of feature maps [batch, ..., channels] of three or "
                f"more axes, batch {batch}."
            )
        return maps
    logits = found[0] if isinstance(found, (tuple, list)) and found else found
    if not _is_array(logits) or logits.ndim < 2 or logits.shape[0] != batch:
        raise InputError(
            f"own model: {name} gives {_shape(logits)}; needed are logits [batch, classes], batch {batch}, or a tuple "
            "that starts with them."
        )
    return [logits]


def attempt(name: str, function: Any, *args: Any) -> Any:
    """Shapes of what a function of the user returns.

    Args:
      name: of the function.
      function: what to call.
      *args: trees of shapes.

    Returns:
      the tree of shapes.

    Raises:
      InputError: the function fails; the message names what it was given.
    """
    try:
        return jax.eval_shape(function, *args)
    except InputError:
        raise
    except Exception as error:
        given = ", ".join(_shape(a) for a in args if hasattr(a, "shape")) or "its arguments"
        first = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise InputError(f"own model: {name} fails for {given}: {type(error).__name__}: {first}") from error


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jnp.floating)


def _shape(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype} {list(value.shape)}"
    return type(value).__name__
