"""A traced function as one flat list of steps: calls inlined, loops unrolled, parameters told from images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core

from nasjax.own_model import elementwise
from nasjax.own_model.scans import operand_counts
from nasjax.types import InputError

PRODUCTS = ("dot_general", "conv_general_dilated")
_INLINED = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "call": "call_jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
}
_HIDING = {"custom_jvp_call", "custom_vjp_call", "while", "cond", "custom_linear_solve", "shard_map", "pallas_call"}


class Step(NamedTuple):
    """One operation on registers.

    Attributes:
      name: of the primitive; "index" and "stack" belong to unrolled loops.
      inputs: registers.
      outputs: registers.
      run: operands -> list of results; traceable.
      params: of the equation.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    run: Callable[..., Sequence[Any]]
    params: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """A function of parameters and images.

    Attributes:
      steps: in the order of execution.
      shapes: shape of every register.
      dtypes: dtype of every register.
      constants: register -> its value, for the run.
      known: register -> its value, for the search; what is computed from constants is here too.
      leaves: registers of the parameters.
      images: register of the images.
      outputs: registers of the results.
      data: whether a register depends on the images.
      param: whether a register depends on a trainable parameter.
    """

    steps: tuple[Step, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[Any, ...]
    constants: dict[int, Any]
    known: dict[int, Any]
    leaves: tuple[int, ...]
    images: int
    outputs: tuple[int, ...]
    data: tuple[bool, ...]
    param: tuple[bool, ...]

    def producers(self) -> dict[int, int]:
        """Register -> number of the step that makes it."""
        return {register: i for i, step in enumerate(self.steps) for register in step.outputs}

    def consumers(self) -> dict[int, list[int]]:
        """Register -> numbers of the steps that read it."""
        found: dict[int, list[int]] = {}
        for i, step in enumerate(self.steps):
            for register in step.inputs:
                found.setdefault(register, []).append(i)
        return found

    def needed(self, targets: Sequence[int], *, known: Sequence[int] = ()) -> tuple[list[int], set[int]]:
        """What computing registers takes.

        Args:
          targets: registers wanted.
          known: registers whose values are given.

        Returns:
          numbers of steps in order, and all registers on the way, those of ``known`` that are read included.
        """
        made, wanted, steps = self.producers(), list(targets), set()
        seen: set[int] = set()
        while wanted:
            register = wanted.pop()
            if register in seen:
                continue
            seen.add(register)
            if register in made and register not in known:
                steps.add(made[register])
                wanted += self.steps[made[register]].inputs
        return sorted(steps), seen


def trace(function: Callable[..., Any], leaves: Sequence[Any], images: Any, trainable: Sequence[bool]) -> Program:
    """Traces a function and flattens it.

    Args:
      function: (list of leaves, images) -> list of arrays.
      leaves: shapes and dtypes of the parameters.
      images: shape and dtype of the images.
      trainable: which of the leaves are trainable.

    Returns:
      the program.

    Raises:
      InputError: the function fails, or layers lie where they cannot be seen, such as in a while loop.
    """
    try:
        closed = jax.make_jaxpr(function)(list(leaves), images)
    except InputError:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise InputError(
            f"own model: the model fails for {images.shape[0]} images: {type(error).__name__}: {first} Write it so "
            "that it takes any number of images, with sizes from images.shape."
        ) from error
    flat = _Flattener()
    args = [flat.register(leaf.shape, leaf.dtype, param=own) for leaf, own in zip(leaves, trainable, strict=True)]
    image = flat.register(images.shape, images.dtype, data=True)
    outputs = flat.walk(closed.jaxpr, [flat.constant(value) for value in closed.consts], [*args, image])
    return Program(
        tuple(flat.steps),
        tuple(flat.shapes),
        tuple(flat.dtypes),
        flat.constants,
        flat.known,
        tuple(args),
        image,
        tuple(outputs),
        tuple(flat.data),
        tuple(flat.param),
    )


def scalar(program: Program, register: int) -> Any:
    """The number that a register of known value holds everywhere, or None."""
    value = program.known.get(register)
    if value is None or not hasattr(value, "dtype") or not jnp.issubdtype(value.dtype, jnp.number):
        return value if isinstance(value, (bool, int, float)) else None
    if np.ndim(value) == 0:
        return np.asarray(value)
    array = np.asarray(value) if np.size(value) <= 1 << 20 else None
    return array.flat[0] if array is not None and array.size and (array == array.flat[0]).all() else None


class _Flattener:
    """Collects steps while it walks a jaxpr."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.shapes: list[tuple[int, ...]] = []
        self.dtypes: list[Any] = []
        self.data: list[bool] = []
        self.param: list[bool] = []
        self.constants: dict[int, Any] = {}
        self.known: dict[int, Any] = {}

    def register(self, shape: Sequence[int], dtype: Any, *, data: bool = False, param: bool = False) -> int:
        self.shapes.append(tuple(shape))
        self.dtypes.append(dtype)
        self.data.append(data)
        self.param.append(param)
        return len(self.shapes) - 1

    def constant(self, value: Any) -> int:
        dtype = value.dtype if hasattr(value, "dtype") else jnp.result_type(value)
        register = self.register(np.shape(value), dtype)
        self.constants[register] = value
        if not _is_key(dtype):
            self.known[register] = value
        return register

    def walk(self, jaxpr: Any, consts: Sequence[int], args: Sequence[int]) -> list[int]:
        env = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))

        def read(atom: Any) -> int:
            return self.constant(atom.val) if isinstance(atom, core.Literal) else env[atom]

        for eqn in jaxpr.eqns:
            outputs = self.equation(eqn, [read(v) for v in eqn.invars])
            env.update(zip(eqn.outvars, outputs, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def inner(self, jaxpr: Any, args: Sequence[int]) -> list[int]:
        """Walks an open or closed inner program."""
        if isinstance(jaxpr, core.ClosedJaxpr):
            return self.walk(jaxpr.jaxpr, [self.constant(value) for value in jaxpr.consts], args)
        return self.walk(jaxpr, (), args)

    def equation(self, eqn: Any, inputs: list[int]) -> list[int]:
        name, params = eqn.primitive.name, eqn.params
        if name in _INLINED:
            return self.inner(params[_INLINED[name]], inputs)
        if name == "cond" and inputs[0] in self.known:
            branches = params["branches"]
            return self.inner(branches[int(np.clip(int(self.known[inputs[0]]), 0, len(branches) - 1))], inputs[1:])
        if name == "scan" and params["length"] and any(self.data[register] for register in inputs):
            return self.unroll(params, inputs)
        if name in _HIDING:
            self.check_hidden(name, eqn, inputs)

        def run(*values: Any) -> Sequence[Any]:
            found = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(params))
            return found if eqn.primitive.multiple_results else [found]

        return self.emit(name, run, inputs, [(v.aval.shape, v.aval.dtype) for v in eqn.outvars], params)

    def emit(self, name: str, run: Any, inputs: Sequence[int], results: Sequence[Any], params: Any) -> list[int]:
        """Adds a step, and remembers its result if it is a small constant."""
        data, param = (any(flags[register] for register in inputs) for flags in (self.data, self.param))
        outputs = [self.register(shape, dtype, data=data, param=param) for shape, dtype in results]
        self.steps.append(Step(name, tuple(inputs), tuple(outputs), run, params))
        if len(results) == 1 and all(register in self.known for register in inputs):
            # The step stays: a constant of the size of the images would slow down the compiler.
            values = [np.asarray(self.known[register]) for register in inputs]
            folded = elementwise.fold(name, params, values, *results[0])
            if folded is not None:
                self.known[outputs[0]] = folded
        return outputs

    def unroll(self, params: Any, inputs: list[int]) -> list[int]:
        """The iterations of a scan, one after the other."""
        (first, carried), length = operand_counts(params), params["length"]
        consts, carry, xs = inputs[:first], inputs[first : first + carried], inputs[first + carried :]
        rows: dict[int, list[int]] = {}
        for i in reversed(range(length)) if params["reverse"] else range(length):
            outputs = self.inner(params["jaxpr"], [*consts, *carry, *(self.index(x, i) for x in xs)])
            carry, rows[i] = outputs[:carried], outputs[carried:]
        stacked = [self.stack([rows[i][k] for i in range(length)]) for k in range(len(rows[0]))]
        return [*carry, *stacked]

    def index(self, register: int, i: int) -> int:
        result = (self.shapes[register][1:], self.dtypes[register])
        run = lambda x: [lax.index_in_dim(x, i, keepdims=False)]  # noqa: E731
        return self.emit("index", run, [register], [result], {"index": i})[0]

    def stack(self, registers: Sequence[int]) -> int:
        result = ((len(registers), *self.shapes[registers[0]]), self.dtypes[registers[0]])
        return self.emit("stack", lambda *values: [jnp.stack(values)], registers, [result], {})[0]

    def check_hidden(self, name: str, eqn: Any, inputs: Sequence[int]) -> None:
        """Refuses layers and activations inside what is run as one step."""
        if not any(self.data[register] for register in inputs):
            return
        inside = _primitives(eqn.params)
        layers = inside & set(PRODUCTS) and any(self.param[register] for register in inputs)
        loop = name in ("while", "cond")
        if layers or loop and inside & {"custom_jvp_call", "erf", "erfc", "logistic", "tanh"}:
            what = "layers" if layers else "activations"
            advice = {
                "while": "write the loop as jax.lax.scan or as a Python loop",
                "cond": "choose the branch in Python, before the model is traced",
            }.get(name, "give the model without this wrapper")
            raise InputError(f"own model: {what} inside {name} cannot be seen; {advice}.")


def _is_key(dtype: Any) -> bool:
    return bool(jnp.issubdtype(dtype, jax.dtypes.prng_key))


def _primitives(params: Mapping[str, Any]) -> set[str]:
    """Names of all primitives in the inner programs of an equation."""
    found: set[str] = set()
    for value in params.values():
        for item in value if isinstance(value, (tuple, list)) else (value,):
            jaxpr = item.jaxpr if isinstance(item, core.ClosedJaxpr) else item
            if isinstance(jaxpr, core.Jaxpr):
                for eqn in jaxpr.eqns:
                    found |= {eqn.primitive.name} | _primitives(eqn.params)
    return found
