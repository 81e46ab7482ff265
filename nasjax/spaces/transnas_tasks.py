"""The seven tasks of TransNAS-Bench-101: outputs, targets and losses (Duan et al., CVPR 2021)."""

from __future__ import annotations

import difflib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.types import Array, InputError, Output

JIGSAW_GRID = 3  # tiles a side


class Task(NamedTuple):
    """One task.

    Attributes:
      outputs: number of outputs in the benchmark.
      head: "linear" (mean over positions, matrix), "jigsaw" (the same on the tiles of the image side by
        side), "segmentation" or "generative" (decoders to the size of the image).
      targets: what a target is: "class", "values", "pixel classes" or "image".
    """

    outputs: int
    head: str
    targets: str


TASKS = {
    "class_object": Task(100, "linear", "class"),
    "class_scene": Task(63, "linear", "class"),
    "room_layout": Task(9, "linear", "values"),
    "jigsaw": Task(1000, "jigsaw", "class"),
    "autoencoder": Task(3, "generative", "image"),
    "normal": Task(3, "generative", "image"),
    "segmentsemantic": Task(17, "segmentation", "pixel classes"),
}


def get(name: Any) -> Task:
    """A task by name.

    Raises:
      InputError: unknown name, with the nearest known one.
    """
    if not isinstance(name, str) or name not in TASKS:
        near = difflib.get_close_matches(str(name).lower(), TASKS, n=1)
        advice = f"did you mean {near[0]!r}?" if near else "take one of them"
        raise InputError(f"task={name!r}; allowed are {', '.join(TASKS)}; do: {advice}")
    return TASKS[name]


def check_linear(name: str) -> None:
    """Refuses tasks with a decoder where official weights are read.

    Raises:
      InputError: the task has a decoder.
    """
    if TASKS[name].head not in ("linear", "jigsaw"):
        allowed = ", ".join(n for n, task in TASKS.items() if task.head in ("linear", "jigsaw"))
        raise InputError(f"PyTorch weights of task {name!r} cannot be read; allowed are {allowed}.")


def loss(task: Task, output: Output, targets: Array) -> Array:
    """Mean loss over the batch.

    Classes: cross-entropy of int [batch]; of soft targets float [batch, classes] as the benchmark writes it,
    ``-mean sum_c t_c log(softmax_c + 1e-5)``. Values: mean squared error of float [batch, outputs]. Pixel
    classes: cross-entropy over all pixels of int [batch, height, width]. Images: mean absolute error of float
    [batch, height, width, channels]; the benchmark trains with 0.99 of it and 0.01 of the loss of a
    discriminator, which is left out here: a proxy sees no trained discriminator.

    Args:
      task: task.
      output: of the space's ``apply``.
      targets: see above.

    Returns:
      scalar.
    """
    logits = output.logits
    if task.targets == "values":
        return jnp.square(logits - targets).mean()
    if task.targets == "image":
        return jnp.abs(logits - targets).mean()
    if jnp.issubdtype(targets.dtype, jnp.floating):
        return -(targets * jnp.log(jax.nn.softmax(logits) + 1e-5)).sum(-1).mean()
    logp = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(logp, targets[..., None], -1).mean()


def check_targets(task: Task, name: str, targets: np.ndarray, images: np.ndarray, num_classes: int) -> None:
    """Refuses targets that do not fit a task.

    Args:
      task: task.
      name: its name, for the message.
      targets: [num_batches, batch, ...].
      images: float [num_batches, batch, height, width, channels].
      num_classes: outputs of the network.

    Raises:
      InputError: shape, kind or range does not fit.
    """
    lead, size = images.shape[:2], images.shape[2:4]
    forms = {
        "class": ((*lead,), f"class numbers [batch], or probabilities [batch, {num_classes}]"),
        "values": ((*lead, num_classes), f"floats [batch, {num_classes}]"),
        "pixel classes": ((*lead, *size), f"class numbers [batch, {size[0]}, {size[1]}]"),
        "image": ((*lead, *size, num_classes), f"floats [batch, {size[0]}, {size[1]}, {num_classes}]"),
    }
    shape, form = forms[task.targets]
    floating = np.issubdtype(targets.dtype, np.floating)
    soft = task.targets == "class" and floating and targets.shape == (*lead, num_classes)
    if not soft and (targets.shape != shape or floating != (task.targets in ("values", "image"))):
        raise InputError(
            f"Targets of shape {list(targets.shape[1:])} and type {targets.dtype} do not fit task {name!r}, which "
            f"needs {form}; give them by batches.with_targets(...), or score with another task."
        )
    if not floating and (targets.min() < 0 or targets.max() >= num_classes):
        bad = targets.max() if targets.max() >= num_classes else targets.min()
        raise InputError(
            f"Label {bad} does not fit num_classes={num_classes} of task {name!r}; "
            f"allowed are 0..{num_classes - 1}: set the space's num_classes, or drop the images."
        )


def tiles(images: Array) -> Array:
    """The tiles of the jigsaw, row by row: [batch, h, w, c] -> [9, batch, h / 3, w / 3, c]."""
    batch, height, width, channels = images.shape
    grid = images.reshape(batch, JIGSAW_GRID, height // JIGSAW_GRID, JIGSAW_GRID, width // JIGSAW_GRID, channels)
    return grid.transpose(1, 3, 0, 2, 4, 5).reshape(-1, batch, *grid.shape[2:3], *grid.shape[4:])
