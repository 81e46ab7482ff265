"""Weight layers of a program: products of what depends on the images with a part of one parameter."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from nasjax.own_model.program import PRODUCTS, Program, Step
from nasjax.types import Array

# What moves elements of a parameter about, and what picks some of them.
_MOVES = {"reshape", "transpose", "squeeze", "expand_dims", "copy", "copy_p", "rev", "name", "sharding_constraint"}
_PICKS = {"index", "slice", "split", "dynamic_slice"}


class View(NamedTuple):
    """A part of a parameter.

    Attributes:
      leaf: number of the parameter.
      moves: functions from an array to an array, one after the other.
      key: what has been picked; two views of a parameter with equal keys are the same weights.
    """

    leaf: int
    moves: tuple[Callable[[Array], Array], ...]
    key: tuple[Any, ...]

    def of(self, array: Array) -> Array:
        """The part of an array shaped like the parameter."""
        for move in self.moves:
            array = move(array)
        return array


class Use(NamedTuple):
    """A product with a weight.

    Attributes:
      layer: number of the weight layer.
      first: whether it is the first use of the layer's weights.
      weight: which operand of the step is the weight.
      view: where the weight comes from.
      weight_channels: axes of the weight that number the outputs.
      channels: axes of the result that do.
      multiplies: number of multiply-adds, for all images.
      observed: register of the result, with its bias if one is added.
    """

    layer: int
    first: bool
    weight: int
    view: View
    weight_channels: tuple[int, ...]
    channels: tuple[int, ...]
    multiplies: int
    observed: int


def find_layers(program: Program) -> dict[int, Use]:
    """Finds the weight layers.

    Args:
      program: of the model.

    Returns:
      number of a step -> its use of a weight, in forward order; layers are numbered by their first use.
    """
    views = {register: View(leaf, (), ()) for leaf, register in enumerate(program.leaves) if program.param[register]}
    consumers = program.consumers()
    known: dict[tuple[int, Any], int] = {}
    uses: dict[int, Use] = {}
    for number, step in enumerate(program.steps):
        views |= _next_views(program, step, views)
        if step.name not in PRODUCTS:
            continue
        for side in (0, 1):
            view = views.get(step.inputs[side])
            if view is None or program.data[step.inputs[side]] or not program.data[step.inputs[1 - side]]:
                continue
            if step.name == "conv_general_dilated" and side == 0:
                continue
            name = (view.leaf, view.key)
            first = name not in known
            layer = known.setdefault(name, len(known))
            observed = _with_bias(program, consumers, step.outputs[0])
            uses[number] = Use(layer, first, side, view, *_channels(program, step, side), observed)
    return uses


def layer_views(uses: Mapping[int, Use]) -> list[View]:
    """The weights of every layer, in forward order."""
    return [use.view for use in uses.values() if use.first]


def fans(program: Program, step: Step, use: Use) -> tuple[int, int]:
    """Fan in and fan out of a weight, as `nasjax.spaces.initial` counts them."""
    shape = program.shapes[step.inputs[use.weight]]
    outs = math.prod(shape[axis] for axis in use.weight_channels)
    ins = math.prod(shape) // outs
    if step.name == "dot_general":
        return ins, outs
    spec = step.params["dimension_numbers"].rhs_spec
    return ins, outs * math.prod(shape[axis] for axis in spec[2:])


def find_scales(program: Program) -> list[int]:
    """Parameters that multiply what depends on the images, element by element: the scales of norms.

    Returns:
      numbers of the leaves, increasing.
    """
    spread = {register: leaf for leaf, register in enumerate(program.leaves) if program.param[register]}
    found: set[int] = set()
    for step in program.steps:
        sources = [spread[register] for register in step.inputs if register in spread]
        if step.name in _MOVES | _PICKS | {"broadcast_in_dim", "convert_element_type"} and sources:
            spread |= dict.fromkeys(step.outputs, sources[0])
        if step.name == "mul" and len(sources) == 1 and any(program.data[register] for register in step.inputs):
            found.add(sources[0])
    return sorted(found)


def _next_views(program: Program, step: Step, views: Mapping[int, View]) -> dict[int, View]:
    """Views that a step makes out of one."""
    view = views.get(step.inputs[0]) if step.inputs else None
    if view is None:
        return {}
    shapes = [program.shapes[register] for register in (step.inputs[0], *step.outputs)]
    if step.name == "convert_element_type":
        floating = jnp.issubdtype(program.dtypes[step.outputs[0]], jnp.floating)
        return {step.outputs[0]: view} if floating else {}
    same = step.name == "broadcast_in_dim" and math.prod(shapes[0]) == math.prod(shapes[1])
    rest = step.inputs[1:]
    if not (step.name in _MOVES | _PICKS or same) or any(register not in program.known for register in rest):
        return {}
    constants = [program.known[register] for register in rest]
    found = {}
    for k, output in enumerate(step.outputs):

        def move(x: Array, k: int = k) -> Array:
            return x.reshape(shapes[1]) if same else step.run(x, *constants)[k]

        key = view.key
        if step.name in _PICKS and (shapes[0] != shapes[1 + k] or len(step.outputs) > 1):
            key = (*key, (step.name, k, str(sorted(step.params.items())), str(constants)))
        found[output] = View(view.leaf, (*view.moves, move), key)
    return found


def _channels(program: Program, step: Step, side: int) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Channel axes of the weight, of the result, and multiply-adds."""
    weight, result = (program.shapes[register] for register in (step.inputs[side], step.outputs[0]))
    if step.name == "conv_general_dilated":
        numbers = step.params["dimension_numbers"]
        taps = math.prod(weight) // weight[numbers.rhs_spec[0]]
        return (numbers.rhs_spec[0],), (numbers.out_spec[1],), math.prod(result) * taps
    contracted, batch = (axes[side] for axes in step.params["dimension_numbers"])
    free = [axis for axis in range(len(weight)) if axis not in (*contracted, *batch)]
    start = len(batch) if side == 0 else len(result) - len(free)
    channels = (*range(len(batch)), *range(start, start + len(free)))
    terms = math.prod(weight[axis] for axis in contracted)
    return (*batch, *free), channels, math.prod(result) * terms


def _with_bias(program: Program, consumers: Mapping[int, Sequence[int]], register: int) -> int:
    """The register behind the addition of a parameter, if that is all that happens to a result."""
    readers = consumers.get(register, ())
    if len(readers) == 1 and program.steps[readers[0]].name == "add":
        step = program.steps[readers[0]]
        other = step.inputs[1 - step.inputs.index(register)]
        if program.param[other] and not program.data[other]:
            return step.outputs[0]
    return register
