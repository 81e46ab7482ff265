"""How much a function computes: multiply-adds of its matrix products and convolutions, counted in its jaxpr.

Counting needs no device and no compilation, and unlike XLA's own analysis it knows how often a loop runs. What no
output depends on is left out, as the compiler does. Additions, norms and the like are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend import core

from nasjax.own_model.scans import operand_counts


def multiply_adds(function: Callable[..., Any], *args: Any) -> int:
    """Multiply-adds of one call.

    Args:
      function: traceable.
      *args: arrays, or their `jax.ShapeDtypeStruct`.

    Returns:
      the number; a branch counts as the costliest one of its switch, and a loop of unknown length as one turn.
    """
    jaxpr = jax.make_jaxpr(function)(*args).jaxpr
    return _count(jaxpr, [True] * len(jaxpr.outvars))[0]


def _count(jaxpr: Any, wanted: Sequence[bool]) -> tuple[int, list[bool]]:
    """Multiply-adds behind the outputs that are wanted, and which inputs they need."""
    live = {v for v, want in zip(jaxpr.outvars, wanted, strict=True) if want and isinstance(v, core.Var)}
    total = 0
    for equation in reversed(jaxpr.eqns):
        outputs = [v in live for v in equation.outvars]
        if any(outputs):
            count, needed = _equation(equation, outputs)
            total += count
            operands = zip(equation.invars, needed, strict=True)
            live |= {v for v, need in operands if need and isinstance(v, core.Var)}
    return total, [v in live for v in jaxpr.invars]


def _equation(equation: Any, wanted: list[bool]) -> tuple[int, list[bool]]:
    params, name = equation.params, equation.primitive.name
    everything = [True] * len(equation.invars)
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        left, out = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
        return math.prod(out) * math.prod(left[i] for i in contracted), everything
    if name == "conv_general_dilated":
        kernel, out = equation.invars[1].aval.shape, equation.outvars[0].aval.shape
        return math.prod(out) * math.prod(kernel) // kernel[params["dimension_numbers"].rhs_spec[0]], everything
    if name == "scan":
        return _scan(params, wanted)
    if name == "while":
        body = params["body_jaxpr"].jaxpr
        return _count(body, [True] * len(body.outvars))[0], everything
    if name == "cond":
        found = [_count(branch.jaxpr, wanted) for branch in params["branches"]]
        needed = [any(column) for column in zip(*(inputs for _, inputs in found), strict=True)]
        return max(count for count, _ in found), [True, *needed]
    for value in params.values():
        inner = value.jaxpr if isinstance(value, core.ClosedJaxpr) else value
        if isinstance(inner, core.Jaxpr) and len(inner.invars) == len(equation.invars):
            return _count(inner, wanted)
    return 0, everything


def _scan(params: dict[str, Any], wanted: list[bool]) -> tuple[int, list[bool]]:
    """A carry is wanted when it is an output that is, or when the next turn needs it."""
    body, (consts, carries) = params["jaxpr"].jaxpr, operand_counts(params)
    carried = wanted[:carries]
    while True:
        count, needed = _count(body, [*carried, *wanted[carries:]])
        more = [a or b for a, b in zip(carried, needed[consts : consts + carries], strict=True)]
        if more == carried:
            return count * params["length"], needed
        carried = more
