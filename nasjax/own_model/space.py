"""A model of one's own as a search space of one architecture: its parameters."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nasjax import nn
from nasjax.own_model import refusals
from nasjax.own_model.analysis import Analysis, analyse
from nasjax.own_model.execute import Watch, execute, fisher_watch
from nasjax.own_model.layers import fans, find_scales, layer_views
from nasjax.own_model.model import Architecture, Leaves, Model, Population, shapes, traceable
from nasjax.own_model.samples import reads_samples, run_by_sample
from nasjax.spaces import initial
from nasjax.spaces.base import depth_bin
from nasjax.spaces.slots import layer_table
from nasjax.types import Array, InputError, LayerTable, Output, PyTree, Site, Tap, Variables

_NORMS = ("batch", "running", "sample", "none")


class Shown(NamedTuple):
    """A pass through the model.

    Attributes:
      outputs: of the program.
      inputs: of the activations, samples leading.
    """

    outputs: list[Array]
    inputs: list[Array]


@dataclasses.dataclass(frozen=True)
class OwnModel:
    """A model as a search space; see `nasjax.spaces.base.SearchSpace` for the functions.

    An architecture is the tuple of its parameters. Two spaces are equal if their programs are.

    Attributes:
      program: fingerprint of the traced functions and shapes.
      precision: matrix precision, "highest" or "default".
      model: functions; its params are not kept.
      leaves: structure of the parameters; arrays are shapes.
      image_shape: (height, width, channels).
      batch: number of images of a mini-batch.
      dtype: of the images.
      num_classes: number of outputs.
      logits_shape: of a mini-batch.
      logits_dtype: of the logits.
    """

    program: str
    precision: str
    model: Model = dataclasses.field(compare=False)
    leaves: Leaves = dataclasses.field(compare=False)
    image_shape: tuple[int, ...] = dataclasses.field(compare=False)
    batch: int = dataclasses.field(compare=False)
    dtype: Any = dataclasses.field(compare=False)
    num_classes: int = dataclasses.field(compare=False)
    logits_shape: tuple[int, ...] = dataclasses.field(compare=False)
    logits_dtype: Any = dataclasses.field(compare=False)

    name = "own_model"

    @property
    def options(self) -> dict[str, Any]:
        """Nothing: what distinguishes models is in their encoding."""
        return {}

    # The population of given models.

    def decode(self, archs: Population) -> Population:
        """The population itself."""
        return archs

    def encode(self, archs: Population) -> list[str]:
        """Names with fingerprints."""
        return list(archs.encodings)

    def sample(self, key: Array, num: int) -> Any:
        """Refused: there is one model.

        Raises:
          InputError: always.
        """
        del key, num
        raise InputError(
            "own model: interval=auto draws random architectures of a search space, and a model has none; give bins, "
            "as in lswag:interval=2-6, or interval=none."
        )

    def signature(self, archs: Population) -> list[str]:
        """One program."""
        return [self.name] * len(archs)

    def bind(self, signature: str) -> OwnModel:
        """The space itself."""
        del signature
        return self

    def is_valid(self, arch: Architecture) -> tuple[bool, str]:
        """Every model counts as alive."""
        del arch
        return True, ""

    def num_params(self, archs: Any) -> int:
        """Trainable parameters."""
        del archs
        sizes = (math.prod(leaf.shape) for leaf in self.leaves.arrays)
        return sum(size for size, own in zip(sizes, self.leaves.trainable, strict=True) if own)

    def flops(self, archs: Any) -> int:
        """Multiply-adds of the weight layers for one image, every use counted."""
        del archs
        return sum(use.multiplies for use in self.analysis().uses.values()) // self.batch

    # What passes and data have to fit.

    def check_pass(self, p: Any) -> None:
        """Refuses a pass that the model cannot serve; see `nasjax.own_model.refusals`."""
        refusals.check_pass(p, self)

    def check_images(self, images: np.ndarray) -> None:
        """Refuses images other than those the model was traced with."""
        if images.shape[2:] != self.image_shape:
            raise InputError(f"own model: images {images.shape[2:]}, traced with {self.image_shape}.")

    def check_targets(self, targets: np.ndarray, images: np.ndarray) -> None:
        """Refuses targets that do not fit the loss."""
        del images
        refusals.check_targets(self, targets)

    # The network.

    def analysis(self, which: str = "apply", images: Any = None) -> Analysis:
        """What the model is made of, for images of a shape; by default one mini-batch."""
        shape = (self.batch, *self.image_shape) if images is None else images.shape
        dtype = self.dtype if images is None else images.dtype
        return _analysis(self, which, shape, jnp.dtype(dtype))

    def init(self, key: Array, arch: Architecture, *, law: str = "torch", dtype: Any = None) -> Variables:
        """The given parameters for the law "torch"; for another one ``init_fn``'s, with weights drawn by the law.

        They are widened to the dtype of the images, so that statistics of gradients are not rounded to half precision;
        the model gets its own dtypes.
        """
        del dtype
        if law == "torch":
            given = zip(arch, self.leaves.trainable, strict=True)
            return Variables(tuple(widened(a, self.dtype) for a, own in given if own), {})
        return self.fresh(key, arch, law=law)

    def fresh(self, key: Array, arch: Architecture, *, law: str = "torch", dtype: Any = None) -> Variables:
        """Random parameters: ``init_fn``'s, with weights drawn by the law unless it is "torch"."""
        del arch, dtype
        law = initial.check_law(law)
        assert self.model.init_fn is not None
        own = jax.tree.leaves(self.model.init_fn(jax.random.fold_in(key, 0)))
        params = [widened(jnp.asarray(a, s.dtype), self.dtype) for a, s, t in self._with_shapes(own) if t]
        if law != "torch":
            analysis = self.analysis()
            for number, use in analysis.uses.items():
                place, step = self._place(use.view.leaf), analysis.program.steps[number]
                if use.first:
                    draw = initial.weight(params[place].shape, law, fan=fans(analysis.program, step, use))
                    own_key = jax.random.fold_in(jax.random.fold_in(key, 1), place)
                    params[place] = initial.draw(own_key, draw, params[place].dtype)
        return Variables(tuple(params), {})

    def apply(
        self,
        variables: Variables,
        arch: Architecture,
        images: Array,
        *,
        norm: str = "batch",
        tap: Tap | None = None,
        moments: PyTree | None = None,
        rescale: bool = False,
    ) -> Output:
        """Forward pass.

        Args:
          variables: of ``init``.
          arch: all leaves, for those that are not trained.
          images: float [batch, height, width, channels].
          norm: "batch": the model as it is; "sample": every image alone; "none": without batch norms;
            "running" is the model as it is, where images do not act on each other.
          tap: called on the input of every activation.
          moments: readers shaped like ``weights``.
          rescale: adds ``taps["log_scale"]`` = 0: activations are left as they are.

        Returns:
          Output(logits [batch, classes], {}, taps).

        Raises:
          InputError: unknown norm mode.
        """
        if norm not in _NORMS:
            raise InputError(f"own model: norm={norm!r}; allowed are {', '.join(_NORMS)}.")
        which = "norm_free" if norm == "none" and self.model.norm_free_fn is not None else "apply"
        leaves = self._merge(variables.params, arch)
        alone = norm == "sample" and self.analysis(which).coupled
        taps: dict[str, PyTree] = {"log_scale": jnp.zeros((), images.dtype)} if rescale else {}
        if reads_samples(moments):
            logits = self._by_sample(which, leaves, moments, images)
            seen = self._show(which, leaves, images, alone=alone).inputs if tap is not None else []
        else:
            shown = self._show(which, leaves, images, alone=alone, dummies=moments, inputs=tap is not None)
            logits, seen = shown.outputs[0], shown.inputs
        if tap is not None:
            calls = self.site_calls(arch)
            taps |= {f"act{i}": tap(Site(f"act{i}", calls[f"act{i}"]), x) for i, x in enumerate(seen)}
        return Output(logits, {}, taps)

    def _show(
        self,
        which: str,
        leaves: Sequence[Any],
        images: Array,
        *,
        alone: bool = False,
        dummies: Sequence[nn.Fisher] | None = None,
        inputs: bool = True,
    ) -> Shown:
        """Runs the model on a batch, or on every image alone."""
        if alone:

            def one(x: Array) -> Shown:
                shown = self._show(which, leaves, x[None], inputs=inputs)
                return Shown([y[0] for y in shown.outputs], [y[0] for y in shown.inputs])

            return jax.vmap(one)(images)
        if images.shape[0] == 1 and not self._takes_one(which, images):
            # Two copies of an image are to each other what it is to itself.
            twice = self._show(which, leaves, jnp.concatenate([images, images]), inputs=inputs)
            return Shown([y[:1] for y in twice.outputs], [y[:1] for y in twice.inputs])
        analysis = self.analysis(which, images)
        seen: dict[int, Array] = {}

        def keep(register: int, value: Array) -> Array:
            seen[register] = analysis.samples(register, value)
            return value

        watch: dict[int, Watch] = {}
        if inputs:
            watch = {a.source: functools.partial(keep, a.source) for a in analysis.activations}
        if dummies is not None:
            probes = fisher_watch(analysis, dict(zip(self.weight_leaves, dummies, strict=True)))
            watch |= {r: _both(watch[r], probe) if r in watch else probe for r, probe in probes.items()}
        given = {analysis.program.images: images}
        outputs = execute(analysis, leaves, given, precision=self.precision, watch=watch)
        return Shown(outputs, [seen[a.source] for a in analysis.activations] if inputs else [])

    def _takes_one(self, which: str, images: Array) -> bool:
        """Whether the program with one image is that with more; some operations vanish when nothing is repeated."""
        try:
            self.analysis(which, images)
        except InputError:
            return False
        return True

    def _by_sample(self, which: str, leaves: Sequence[Any], dummies: Any, images: Array) -> Array:
        """Logits of every image alone, whose backward fills readers."""
        weights = self.weight_leaves

        def single(own: Sequence[Array], rest: Sequence[Any], image: Array) -> Array:
            merged = list(rest)
            for leaf, value in zip(weights, own, strict=True):
                merged[leaf] = value
            return self._show(which, merged, image[None], inputs=False).outputs[0][0]

        rest = [jnp.zeros(()) if i in weights else leaf for i, leaf in enumerate(leaves)]
        return run_by_sample(single, [leaves[i] for i in weights], rest, dummies, images)

    def loss(self, output: Output, targets: Array) -> Array:
        """Mean cross-entropy, or the model's own loss."""
        if self.model.loss_fn is not None:
            return self.model.loss_fn(output.logits, targets)
        logp = jax.nn.log_softmax(widened(output.logits))
        return -jnp.take_along_axis(logp, targets[:, None], 1).mean()

    # Weight layers and activations.

    @property
    def weight_leaves(self) -> list[int]:
        """Parameters that hold weights of layers, increasing."""
        return sorted({use.view.leaf for use in self.analysis().uses.values()})

    def weights(self, params: PyTree) -> list[Array]:
        """The parameters that hold weights of layers."""
        return [params[self._place(leaf)] for leaf in self.weight_leaves]

    def with_weights(self, params: PyTree, weights: PyTree) -> PyTree:
        """``params`` with other weights."""
        changed = list(params)
        for leaf, value in zip(self.weight_leaves, weights, strict=True):
            changed[self._place(leaf)] = value
        return tuple(changed)

    def weight_mask(self, arch: Architecture) -> list[Array]:
        """All weights; what of a parameter belongs to no layer is left out by ``layer_sums``."""
        del arch
        return [jnp.ones((1,) * self.leaves.arrays[leaf].ndim, bool) for leaf in self.weight_leaves]

    def named_weights(self, params: PyTree) -> list[Array]:
        """Weights of layers, and scales of norms."""
        leaves = sorted({*self.weight_leaves, *find_scales(self.analysis().program)})
        return [params[self._place(leaf)] for leaf in leaves]

    def layer_sums(self, terms: PyTree) -> Array:
        """Sums a list shaped like ``weights`` over each layer, in forward order: float [L]."""
        leaf_terms = dict(zip(self.weight_leaves, terms, strict=True))
        return jnp.stack([view.of(leaf_terms[view.leaf]).sum() for view in layer_views(self.analysis().uses)])

    def layer_names(self) -> tuple[str, ...]:
        """Paths of the layers' parameters; with a number where a parameter holds several."""
        views = layer_views(self.analysis().uses)
        names, count = [], dict.fromkeys((view.leaf for view in views), 0)
        several = {leaf for leaf in count if sum(view.leaf == leaf for view in views) > 1}
        for view in views:
            suffix = f"[{count[view.leaf]}]" if view.leaf in several else ""
            names.append(self.leaves.names[view.leaf] + suffix)
            count[view.leaf] += 1
        return tuple(names)

    def layers(self, arch: Architecture) -> LayerTable:
        """The weight layers, all active."""
        del arch
        names = self.layer_names()
        return layer_table(names, jnp.ones(len(names), bool))

    def site_calls(self, arch: Architecture) -> dict[str, Array]:
        """One call of every activation, in the bin of the number of layers in front of it."""
        del arch
        depth, calls = len(self.layer_names()), {}
        for i, activation in enumerate(self.analysis().activations):
            before: Any = np.int32(activation.before)
            place = depth_bin(before, np.int32(depth))  # type: ignore[arg-type]
            calls[f"act{i}"] = (jnp.arange(10) == place).astype(jnp.int32)
        return calls

    # Parameters in the program.

    def _merge(self, params: Sequence[Array], arch: Architecture) -> list[Any]:
        given = iter(params)
        return [next(given).astype(s.dtype) if own else leaf for leaf, s, own in self._with_shapes(arch)]

    def _place(self, leaf: int) -> int:
        """Number of a leaf among those that are trained."""
        return sum(self.leaves.trainable[:leaf])

    def _with_shapes(self, arrays: Sequence[Any]) -> Any:
        return zip(arrays, self.leaves.arrays, self.leaves.trainable, strict=True)


@functools.lru_cache(maxsize=64)
def _analysis(space: OwnModel, which: str, shape: tuple[int, ...], dtype: Any) -> Analysis:
    leaves = shapes(space.leaves.arrays)
    return analyse(
        traceable(space.model, space.leaves, which), leaves, jax.ShapeDtypeStruct(shape, dtype), space.leaves.trainable
    )


def widened(array: Any, dtype: Any = jnp.float32) -> Any:
    """An array in a precision, or in its own if that is higher."""
    wide = jnp.promote_types(array.dtype, dtype)
    return array if array.dtype == wide else jnp.asarray(array, wide)


def _both(first: Watch, second: Watch) -> Watch:
    return lambda value: second(first(value))
