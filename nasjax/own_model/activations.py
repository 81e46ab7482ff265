"""Activations of a program, known by what they do to ten numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from nasjax.own_model import elementwise
from nasjax.own_model.layers import Use
from nasjax.own_model.program import Program, Step, scalar

_LONGEST = 24  # steps of one activation
_PASSING = {"add", "mul", "max", "broadcast_in_dim", "reshape", "squeeze", "expand_dims", "convert_element_type"}
_GUARDED = {"sqrt", "rsqrt", "log"}


class Activation(NamedTuple):
    """An activation of the model.

    Attributes:
      kind: see `nasjax.own_model.elementwise.activation`.
      source: register of its input.
      before: number of weight layers in front of it.
    """

    kind: str
    source: int
    before: int


class _Form(NamedTuple):
    """A register as a function of another one."""

    values: np.ndarray  # at the ten points
    steps: frozenset[int]


class _Match(NamedTuple):
    kind: str
    source: int
    step: int
    steps: frozenset[int]


def find_activations(program: Program, uses: Mapping[int, Use]) -> list[Activation]:
    """Finds the activations, in forward order.

    A function of one register that goes through elementwise steps and constants alone is evaluated at ten points.
    The largest one counts: a hard swish is no rectifier, though it holds one. A rectifier that keeps a variance from
    becoming negative, in front of a root, is none.

    Args:
      program: of the model.
      uses: its weight layers.

    Returns:
      the activations.
    """
    matches = _matches(program)
    consumers = program.consumers()
    inner = {
        match.step
        for match in matches
        for other in matches
        if match.step != other.step
        and match.step in other.steps
        and all(reader in other.steps for reader in consumers.get(program.steps[match.step].outputs[0], ()))
    }
    first = [number for number, use in uses.items() if use.first]
    return [
        Activation(match.kind, match.source, sum(number < match.step for number in first))
        for match in matches
        if match.step not in inner and not (match.kind == "relu" and _guards(program, consumers, match.step))
    ]


def _matches(program: Program) -> list[_Match]:
    """Every step whose result is an activation of some register; the nearest one is its input."""
    forms: dict[int, dict[int, _Form]] = {}
    matches: list[_Match] = []
    for number, step in enumerate(program.steps):
        found = _forms(program, step, number, forms)
        if not found:
            continue
        forms[step.outputs[0]] = found
        if not jnp.issubdtype(program.dtypes[step.outputs[0]], jnp.floating):
            continue
        known = [(len(form.steps), root, elementwise.activation(form.values)) for root, form in found.items()]
        best = min(((size, root, kind) for size, root, kind in known if kind is not None), default=None)
        if best is not None and best[2] is not None:
            matches.append(_Match(best[2], best[1], number, found[best[1]].steps))
    return matches


def _forms(program: Program, step: Step, number: int, forms: Mapping[int, dict[int, _Form]]) -> dict[int, _Form]:
    """The result of a step as functions of registers: root -> form."""
    if len(step.outputs) != 1 or not (program.data[step.outputs[0]] and program.param[step.outputs[0]]):
        return {}
    operands: list[Any] = []
    shape = program.shapes[step.outputs[0]]
    for register in step.inputs:
        constant = scalar(program, register)
        if constant is not None:
            operands.append(_number(constant))
        elif program.shapes[register] != shape or not program.data[register]:
            return {}
        else:
            operands.append(forms.get(register, {}) | _itself(program, register))
    varying = [operand for operand in operands if isinstance(operand, dict)]
    roots = set(varying[0]).intersection(*varying[1:]) if varying else set()
    found = {}
    for root in roots:
        steps = frozenset({number}).union(*(operand[root].steps for operand in varying))
        if len(steps) > _LONGEST:
            continue
        values = [operand[root].values if isinstance(operand, dict) else operand for operand in operands]
        result = elementwise.evaluate(step.name, step.params, values)
        if result is None:
            return {}
        found[root] = _Form(np.asarray(result), steps)
    return found


def _number(constant: Any) -> Any:
    value = np.asarray(constant)
    return value if value.dtype.kind in "biu" else value.astype(np.float64)


def _itself(program: Program, register: int) -> dict[int, _Form]:
    floating = jnp.issubdtype(program.dtypes[register], jnp.floating)
    return {register: _Form(elementwise.POINTS, frozenset())} if floating and program.param[register] else {}


def _guards(program: Program, consumers: Mapping[int, Sequence[int]], number: int) -> bool:
    """Whether what a step makes goes into a root or a logarithm, moved, shifted and scaled at most."""
    waiting, seen = list(program.steps[number].outputs), set()
    while waiting:
        register = waiting.pop()
        for reader in consumers.get(register, ()):
            step = program.steps[reader]
            if step.name in _GUARDED:
                return True
            others = [other for other in step.inputs if other != register]
            constant = all(other in program.known for other in others)
            if reader not in seen and step.name in _PASSING and constant:
                seen.add(reader)
                waiting += step.outputs
    return False
