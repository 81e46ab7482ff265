"""Runs a flat program, looking at registers on the way."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from nasjax import nn
from nasjax.own_model.analysis import Analysis
from nasjax.own_model.layers import Use
from nasjax.own_model.program import PRODUCTS, Program, Step
from nasjax.types import Array

Watch = Callable[[Array], Array]
_IMAGES_LAST = lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))  # NHWC, HWIO, NHWC


def execute(
    analysis: Analysis,
    leaves: Sequence[Array],
    given: Mapping[int, Array],
    *,
    precision: str,
    watch: Mapping[int, Watch] | None = None,
    steps: Sequence[int] | None = None,
    outputs: Sequence[int] | None = None,
) -> list[Array]:
    """Runs a program.

    Args:
      analysis: of the model.
      leaves: parameters.
      given: register -> value; that of the images at least.
      precision: "highest" for products whose precision the model leaves open; "default" leaves it.
      watch: register -> function that gets its value and returns what takes its place.
      steps: numbers of the steps to run; all by default.
      outputs: registers wanted; the program's own by default.

    Returns:
      their values.
    """
    program, watch = analysis.program, watch or {}
    values: dict[int, Any] = {**program.constants, **dict(zip(program.leaves, leaves, strict=True)), **given}
    for register in given:
        if register in watch:
            values[register] = watch[register](values[register])
    for number in range(len(program.steps)) if steps is None else steps:
        step = program.steps[number]
        operands = [values[register] for register in step.inputs]
        results = _product(program, step, analysis.uses.get(number), operands, precision)
        for register, value in zip(step.outputs, results, strict=True):
            if register not in given:
                values[register] = watch[register](value) if register in watch else value
    return [values[register] for register in (program.outputs if outputs is None else outputs)]


def _product(program: Program, step: Step, use: Use | None, operands: list[Any], precision: str) -> Sequence[Any]:
    """A step; products at the precision asked for, convolutions by a layer whose backward is fast in loops."""
    if step.name not in PRODUCTS:
        return step.run(*operands)
    own = step.params["precision"]
    chosen = lax.Precision.HIGHEST if own is None and precision == "highest" else own
    if use is not None and step.name == "conv_general_dilated" and nn.use_fast_backward():
        fast = _fast_convolution(step.params, *operands)
        if fast is not None:
            kind = {} if fast is nn.depthwise_conv else {"precision": chosen}
            p = step.params
            geometry = {"stride": p["window_strides"], "padding": p["padding"], "dilation": p["rhs_dilation"]}
            return [fast(*operands, **geometry, **kind)]
    if chosen is own:
        return step.run(*operands)
    both = (chosen, chosen)
    primitive = lax.dot_general_p if step.name == "dot_general" else lax.conv_general_dilated_p
    return [primitive.bind(*operands, **{**step.params, "precision": both})]


def _fast_convolution(params: Mapping[str, Any], x: Array, w: Array) -> Any:
    """The layer of `nasjax.nn` that does a convolution, if one does."""
    plain = (
        params["dimension_numbers"] == _IMAGES_LAST
        and params["batch_group_count"] == 1
        and tuple(params["lhs_dilation"]) == (1, 1)
        and x.dtype == w.dtype
        and params["preferred_element_type"] in (None, x.dtype)
        and min(min(pair) for pair in params["padding"]) >= 0
    )
    groups = params["feature_group_count"]
    if plain and groups == 1:
        return nn.conv
    return nn.depthwise_conv if plain and w.shape[2] == 1 and groups == x.shape[-1] == w.shape[3] else None


def fisher_watch(analysis: Analysis, dummies: Mapping[int, nn.Fisher]) -> dict[int, Watch]:
    """Watches that fill readers of the layers' outputs.

    Args:
      analysis: of the model.
      dummies: number of a leaf -> zeros of a reader shaped like it.

    Returns:
      register -> identity whose backward emits the statistic.
    """
    watches: dict[int, Watch] = {}
    for number, use in analysis.uses.items():
        if use.first:
            weight = analysis.program.steps[number].inputs[use.weight]
            dummy = use.view.of(dummies[use.view.leaf].fisher).reshape(analysis.program.shapes[weight])
            watches[use.observed] = functools.partial(_observe, analysis, use, dummy)
    return watches


def _observe(analysis: Analysis, use: Use, dummy: Array, y: Array) -> Array:
    """Shows a result as [samples, positions, channels] to a reader."""
    # Channels move last, in the order in which they number the weight's outputs; samples move first.
    rest = [axis for axis in range(y.ndim) if axis not in use.channels]
    axis = analysis.axes[use.observed]
    if axis is None or not analysis.samples_first[use.observed]:
        analysis.samples(use.observed, y)  # says what is wrong
    assert axis is not None
    order = [axis, *(a for a in rest if a != axis), *use.channels]
    moved = jnp.transpose(y, order)
    flat = moved.reshape(analysis.batch, -1, _size(y.shape, use.channels))
    other = [a for a in range(dummy.ndim) if a not in use.weight_channels]
    matrix = jnp.transpose(dummy, [*other, *use.weight_channels]).reshape(-1, flat.shape[-1])
    seen = nn.observe(flat, nn.Fisher(matrix)).reshape(moved.shape)
    return jnp.transpose(seen, [order.index(a) for a in range(y.ndim)])


def _size(shape: Sequence[int], axes: Sequence[int]) -> int:
    size = 1
    for axis in axes:
        size *= shape[axis]
    return size
