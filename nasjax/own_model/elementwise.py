"""Primitives on NumPy values, and which functions of one variable are activations."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.extend import core

POINTS = np.array([-5.5, -3.3, -1.9, -1.1, -0.4, 0.3, 0.9, 1.7, 2.8, 5.2])
_TOLERANCE = 2e-3  # hand-written constants are rounded
_LARGEST = 4096  # elements of a constant that is folded

_erf = np.vectorize(math.erf, otypes=[float])


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


# Name of a primitive -> the function of its operands and parameters.
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": lambda x: np.abs(x),
    "add": lambda x, y: x + y,
    "add_any": lambda x, y: x + y,
    "and": lambda x, y: x & y,
    "clamp": lambda low, x, high: np.minimum(np.maximum(x, low), high),
    "copy": lambda x: x,
    "copy_p": lambda x: x,
    "div": lambda x, y: x / y if np.result_type(x, y).kind == "f" else np.trunc(x / y).astype(np.result_type(x, y)),
    "eq": lambda x, y: x == y,
    "erf": _erf,
    "erfc": lambda x: 1 - _erf(x),
    "exp": lambda x: np.exp(x),
    "expm1": lambda x: np.expm1(x),
    "ge": lambda x, y: x >= y,
    "gt": lambda x, y: x > y,
    "integer_pow": lambda x, y: x**y,
    "le": lambda x, y: x <= y,
    "log": lambda x: np.log(x),
    "log1p": lambda x: np.log1p(x),
    "logistic": _sigmoid,
    "lt": lambda x, y: x < y,
    "max": lambda x, y: np.maximum(x, y),
    "min": lambda x, y: np.minimum(x, y),
    "mul": lambda x, y: x * y,
    "name": lambda x: x,  # of jax.ad_checkpoint.checkpoint_name
    "ne": lambda x, y: x != y,
    "neg": lambda x: -x,
    "not": lambda x: ~x,
    "or": lambda x, y: x | y,
    "pow": lambda x, y: np.power(x, y),
    "reduce_precision": lambda x: x,
    "rem": lambda x, y: np.fmod(x, y),
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "select_n": lambda which, *cases: np.choose(np.asarray(which).astype(int), cases),
    "sharding_constraint": lambda x: x,
    "sign": lambda x: np.sign(x),
    "sqrt": lambda x: np.sqrt(x),
    "square": lambda x: x * x,
    "stop_gradient": lambda x: x,
    "sub": lambda x, y: x - y,
    "tanh": lambda x: np.tanh(x),
}
_CALLS = {"jit": "jaxpr", "pjit": "jaxpr", "custom_jvp_call": "call_jaxpr"}


def evaluate(name: str, params: Mapping[str, Any], values: Sequence[Any]) -> Any:
    """One elementwise primitive on NumPy values.

    Args:
      name: of the primitive.
      params: of the equation.
      values: operands, scalars or arrays of one shape.

    Returns:
      the result, or None if the primitive is not elementwise or not known.
    """
    with np.errstate(all="ignore"):
        if name in _CALLS:
            return _call(params[_CALLS[name]], values)
        if name == "convert_element_type":
            # Half precision would blur the points.
            floating = jnp.issubdtype(params["new_dtype"], jnp.floating)
            return np.asarray(values[0]).astype(np.float64 if floating else params["new_dtype"])
        function = _FUNCTIONS.get(name)
        if function is None:
            return None
        return function(*values, params["y"]) if name == "integer_pow" else function(*values)


def _call(closed: Any, values: Sequence[Any]) -> Any:
    """A called program of one result whose every equation is elementwise."""
    jaxpr = closed.jaxpr
    env = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*map(np.asarray, closed.consts), *values), strict=True))
    read = lambda v: np.asarray(v.val) if isinstance(v, core.Literal) else env.get(v)  # noqa: E731
    for eqn in jaxpr.eqns:
        operands = [read(v) for v in eqn.invars]
        scalar = all(operand is not None and np.ndim(operand) == 0 for operand in operands)
        if eqn.primitive.name == "broadcast_in_dim" and scalar:
            env[eqn.outvars[0]] = operands[0]  # a constant stays one number
            continue
        if len(eqn.outvars) != 1 or any(operand is None for operand in operands):
            return None
        result = evaluate(eqn.primitive.name, eqn.params, operands)
        if result is None:
            return None
        env[eqn.outvars[0]] = result
    return read(jaxpr.outvars[0]) if len(jaxpr.outvars) == 1 else None


def fold(name: str, params: Mapping[str, Any], values: Sequence[Any], shape: Sequence[int], dtype: Any) -> Any:
    """The value of an equation of constants, such as the index of an unrolled loop.

    Args:
      name: of the primitive.
      params: of the equation.
      values: operands, NumPy arrays.
      shape: of the result.
      dtype: of the result.

    Returns:
      the NumPy array, or None where it is large or the primitive is not known.
    """
    if not (jnp.issubdtype(dtype, jnp.number) or np.dtype(dtype) == np.bool_):
        return None
    if name == "broadcast_in_dim" and np.ndim(values[0]) == 0:
        return np.broadcast_to(values[0], shape)  # of any size: it takes no memory
    if math.prod(shape) > _LARGEST:
        return None
    if name == "index":
        return values[0][params["index"]]
    if name == "iota":
        axis = params["dimension"]
        line = np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(len(shape))])
        return np.broadcast_to(line, shape).astype(dtype)
    if not values:
        return None
    if name in ("reshape", "squeeze", "expand_dims"):
        return values[0].reshape(shape)
    if name == "broadcast_in_dim":
        inner = [1] * len(shape)
        for axis, size in zip(params["broadcast_dimensions"], values[0].shape, strict=True):
            inner[axis] = size
        return np.broadcast_to(values[0].reshape(inner), shape)
    result = evaluate(name, params, values)
    return None if result is None or np.shape(result) != tuple(shape) else np.asarray(result).astype(dtype)


@functools.cache
def _known() -> dict[str, np.ndarray]:
    x, cube = POINTS, 0.044715 * POINTS**3
    relu6 = np.clip(x + 3, 0, 6)
    return {
        "relu": np.maximum(x, 0),
        "gelu": x * (1 + _erf(x / 2**0.5)) / 2,
        "gelu_tanh": x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + cube))) / 2,
        "gelu_sigmoid": x * _sigmoid(1.702 * x),
        "silu": x * _sigmoid(x),
        "mish": x * np.tanh(np.log1p(np.exp(x))),
        "hard_swish": x * relu6 / 6,
        "selu": 1.0507010 * np.where(x > 0, x, 1.6732632 * np.expm1(x)),
    }


def activation(values: Any) -> str | None:
    """The activation that a function of one variable is.

    Args:
      values: float [10], of the function at ``POINTS``.

    Returns:
      "relu", "gelu", "gelu_tanh", "gelu_sigmoid", "silu", "mish", "hard_swish", "selu", "leaky_relu" or "elu"; None
      for any other function.
    """
    values = np.asarray(values)
    if values.shape != POINTS.shape or values.dtype.kind != "f" or not np.isfinite(values).all():
        return None
    distance, nearest = min((float(np.abs(values - expected).max()), name) for name, expected in _known().items())
    if distance < _TOLERANCE:
        return nearest
    above = POINTS > 0
    if np.abs(values - POINTS)[above].max() > _TOLERANCE:
        return None
    for name, shape in (("leaky_relu", POINTS[~above]), ("elu", np.expm1(POINTS[~above]))):
        slope = values[~above][0] / shape[0]
        steepest = 0.99 if name == "leaky_relu" else np.inf
        if 0 < slope < steepest and np.abs(values[~above] - slope * shape).max() < _TOLERANCE:
            return name
    return None
