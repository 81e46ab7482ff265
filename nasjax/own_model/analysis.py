"""What a traced model is made of: layers, activations, where the samples lie, whether they act on each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nasjax.own_model.activations import Activation, find_activations
from nasjax.own_model.layers import Use, find_layers
from nasjax.own_model.program import Program, trace
from nasjax.types import Array, InputError


class Analysis(NamedTuple):
    """A model at one number of images.

    Attributes:
      program: flat steps.
      uses: step -> use of a weight.
      activations: in forward order.
      axes: for every register the axis that numbers the samples, or None.
      samples_first: for every register whether samples lead where they share an axis with something else.
      batch: number of images.
      coupled: whether images act on each other, as in batch norm.
    """

    program: Program
    uses: dict[int, Use]
    activations: tuple[Activation, ...]
    axes: tuple[int | None, ...]
    samples_first: tuple[bool, ...]
    batch: int
    coupled: bool

    def samples(self, register: int, value: Array) -> Array:
        """A value with its samples as leading axis: [batch, ...].

        Raises:
          InputError: they cannot be told apart.
        """
        axis = self.axes[register]
        if axis is None or not self.samples_first[register]:
            raise InputError(
                "own model: an axis that merges images with something else has the images behind; merge them as "
                "[images, ...], images first."
            )
        shape = value.shape
        value = value.reshape(*shape[:axis], self.batch, shape[axis] // self.batch, *shape[axis + 1 :])
        return jnp.moveaxis(value, axis, 0)


def analyse(
    function: Callable[..., Any], leaves: Sequence[Any], images: jax.ShapeDtypeStruct, trainable: Sequence[bool]
) -> Analysis:
    """Traces a model and finds what it is made of.

    Where samples lie is found by tracing with twice as many: their axis is the one that grows. A value that has none,
    or two, mixes the images.

    Args:
      function: (list of leaves, images) -> list of arrays.
      leaves: shapes and dtypes of the parameters.
      images: shape and dtype of the images.
      trainable: which of the leaves are trainable.

    Returns:
      the analysis.

    Raises:
      InputError: the program is another one for another number of images, or hides layers.
    """
    program = trace(function, leaves, images, trainable)
    batch = images.shape[0]
    more = jax.ShapeDtypeStruct((2 * batch, *images.shape[1:]), images.dtype)
    twice = trace(function, leaves, more, trainable)
    if [step.name for step in program.steps] != [step.name for step in twice.steps]:
        raise InputError(
            f"own model: the program with {batch} images differs from that with {2 * batch}; write it so that the "
            "number of images changes shapes alone."
        )
    grown = [
        _grown(small, large) if data else []
        for small, large, data in zip(program.shapes, twice.shapes, program.data, strict=True)
    ]
    axes = tuple(found[0] if found else None for found in grown)
    uses = find_layers(program)
    _, alive = program.needed(program.outputs)
    return Analysis(
        program,
        uses,
        tuple(a for a in find_activations(program, uses) if axes[a.source] is not None),
        axes,
        _samples_first(program, axes),
        batch,
        any(program.data[register] and len(grown[register]) != 1 for register in alive),
    )


def _grown(small: Sequence[int], large: Sequence[int]) -> list[int]:
    """The axes that are twice as long."""
    return [axis for axis, (n, m) in enumerate(zip(small, large, strict=True)) if m == 2 * n and n]


def _samples_first(program: Program, axes: Sequence[int | None]) -> tuple[bool, ...]:
    """Whether no reshape put the samples behind another part of their axis."""
    first = [True] * len(axes)

    def stride(register: int) -> int | None:
        """Elements from one sample to the next."""
        axis = axes[register]
        if axis is None:
            return None
        shape = program.shapes[register]
        return math.prod(shape[axis:]) // program.shapes[program.images][0]

    for step in program.steps:
        good = all(first[register] for register in step.inputs if axes[register] is not None)
        if step.name == "reshape" and axes[step.inputs[0]] is not None:
            good = good and stride(step.inputs[0]) == stride(step.outputs[0])
        for register in step.outputs:
            first[register] = good
    return tuple(first)
