"""Losses and measures of the kinds of targets: classes, values, classes of pixels, images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.types import Array, Output

_TOP = 5
_WINDOW, _SIGMA = 11, 1.5  # of SSIM, Wang et al., IEEE TIP 2004
_RANGE = 2.0  # of images that a decoder with tanh makes


class Kind(NamedTuple):
    """What is measured on one kind of targets.

    Attributes:
      measures: names, the loss first.
      chosen: the measure that says which epoch is best.
      rises: whether larger is better.
    """

    measures: tuple[str, ...]
    chosen: str
    rises: bool


KINDS = {
    "class": Kind(("loss", "accuracy", "top5"), "accuracy", True),
    "values": Kind(("loss",), "loss", False),
    "pixel classes": Kind(("loss", "accuracy", "miou"), "miou", True),
    "image": Kind(("loss", "ssim"), "ssim", True),
}


def kind_of(space: Any) -> str:
    """Kind of a space's targets, a name of ``KINDS``; "class" unless the space says otherwise by ``targets``."""
    return getattr(space, "targets", "class")


def soft(labels: Array, num_classes: int, dtype: Any) -> Array:
    """Class numbers int [batch] as probabilities float [batch, classes]; probabilities stay as they are."""
    if jnp.issubdtype(labels.dtype, jnp.floating):
        return labels.astype(dtype)
    return jax.nn.one_hot(labels, num_classes, dtype=dtype)


def train_loss(space: Any, output: Output, targets: Array, *, smoothing: float, auxiliary: float) -> Array:
    """Mean loss that is trained.

    Classes: cross-entropy with ``(1 - s) t + s / classes``; logits of an auxiliary head count ``auxiliary`` times.
    Other targets: the loss of the space.

    Args:
      space: search space.
      output: of its ``apply``.
      targets: probabilities float [batch, classes], or what the space's loss takes.
      smoothing: s.
      auxiliary: weight of the auxiliary head.

    Returns:
      scalar.
    """
    if kind_of(space) != "class":
        return space.loss(output, targets)
    targets = targets * (1 - smoothing) + smoothing / targets.shape[-1]
    total = _cross_entropy(output.logits, targets).mean()
    extra = output.taps.get("auxiliary")
    return total if extra is None else total + auxiliary * _cross_entropy(extra, targets).mean()


def _cross_entropy(logits: Array, targets: Array) -> Array:
    return -(targets * jax.nn.log_softmax(logits)).sum(-1)


def measured(kind: str, logits: Array, targets: Array, weights: Array) -> dict[str, Array]:
    """Sums over a batch from which `summary` computes the measures; those of several batches add up.

    Args:
      kind: of the targets.
      logits: float [batch, ..., outputs].
      targets: of the kind; classes as int [batch] or probabilities [batch, classes].
      weights: float [batch], 1 for images that count and 0 for padding.

    Returns:
      name -> float [] or [outputs]; "count" is that of images.
    """
    sums = {"count": weights.sum()}
    total = lambda values: jnp.where(weights > 0, values, 0).sum()  # noqa: E731
    if kind == "class":
        targets = soft(targets, logits.shape[-1], logits.dtype)
        sums["loss"] = total(_cross_entropy(logits, targets))
        truth = jnp.argmax(targets, -1)
        own = jnp.take_along_axis(logits, truth[:, None], 1)
        # Ties and NaN count as wrong, so that constant logits are not right, nor those of a network that diverged.
        better = (~(logits < own)).sum(-1) - 1
        sums["accuracy"] = total(better < 1)
        if logits.shape[-1] > _TOP:
            sums["top5"] = total(better < _TOP)
    elif kind == "values":
        sums["loss"] = total(jnp.square(logits - targets).mean(-1))
    elif kind == "image":
        sums["loss"] = total(jnp.abs(logits - targets).mean((1, 2, 3)))
        sums["ssim"] = total(similarity(logits, targets))
    else:
        logp = jax.nn.log_softmax(logits)
        sums["loss"] = total(-jnp.take_along_axis(logp, targets[..., None], -1).mean((1, 2, 3)))
        found, classes = jnp.argmax(logits, -1), logits.shape[-1]
        sums["accuracy"] = total((found == targets).mean((1, 2)))
        counted = weights[:, None, None, None]
        there, said = (jax.nn.one_hot(a, classes, dtype=logits.dtype) * counted for a in (targets, found))
        sums["both"] = (there * said).sum((0, 1, 2))
        sums["either"] = jnp.maximum(there, said).sum((0, 1, 2))
    return sums


def summary(kind: str, sums: Mapping[str, Any]) -> dict[str, float]:
    """Measures out of sums.

    Args:
      kind: of the targets.
      sums: of `measured`, added up over batches.

    Returns:
      measure -> number: means over images; "miou" is the mean of intersection over union of the classes that occur.
    """
    count = float(np.asarray(sums["count"]))
    found = {name: float(np.asarray(sums[name])) / count for name in KINDS[kind].measures if name in sums}
    if kind == "pixel classes":
        both, either = np.asarray(sums["both"], float), np.asarray(sums["either"], float)
        occur = either > 0
        found["miou"] = float((both[occur] / either[occur]).mean())
    return found


def similarity(first: Array, second: Array) -> Array:
    """Structural similarity of images in -1..1: float [batch, height, width, channels] twice -> [batch].

    Wang et al., IEEE Transactions on Image Processing 13(4), 2004: a Gaussian window of 11 pixels and deviation 1.5 (a
    smaller odd one for smaller images), K1 = 0.01, K2 = 0.03, means over channels and windows.
    """
    size = min(_WINDOW, *((n - 1) // 2 * 2 + 1 for n in first.shape[1:3]))
    at = jnp.arange(size, dtype=first.dtype) - size // 2
    bell = jnp.exp(-jnp.square(at / _SIGMA) / 2)
    bell = bell / bell.sum()

    def blur(x: Array) -> Array:
        for axis in (1, 2):
            length = x.shape[axis] - size + 1
            x = sum(bell[i] * lax.slice_in_dim(x, i, i + length, axis=axis) for i in range(size))  # type: ignore[assignment]
        return x

    mean_a, mean_b = blur(first), blur(second)
    var_a = blur(first * first) - mean_a * mean_a
    var_b = blur(second * second) - mean_b * mean_b
    shared = blur(first * second) - mean_a * mean_b
    c1, c2 = (0.01 * _RANGE) ** 2, (0.03 * _RANGE) ** 2
    top = (2 * mean_a * mean_b + c1) * (2 * shared + c2)
    return (top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean((1, 2, 3))
