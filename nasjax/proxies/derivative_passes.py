"""Passes on the weights themselves, on input gradients, on curvature and on the neural tangent kernel."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from nasjax.proxies.activations import first_images
from nasjax.proxies.pass_base import CustomPass
from nasjax.types import Array, InputError, PyTree, Variables


@dataclasses.dataclass(frozen=True)
class _FixedPass(CustomPass):
    """A pass in which nothing but the weights is random."""

    def measure(
        self,
        space: Any,
        variables: Variables,
        arch: PyTree,
        images: Array,
        labels: Array,
        *,
        key: Array | None = None,
        fixed: PyTree = None,
    ) -> PyTree:
        """See `CustomPass`."""
        del key, fixed
        return self.statistics(space, variables, arch, images, labels)

    @abc.abstractmethod
    def statistics(self, space: Any, variables: Variables, arch: PyTree, images: Array, labels: Array) -> PyTree:
        """See `CustomPass.measure`."""


@dataclasses.dataclass(frozen=True)
class WeightPass(_FixedPass):
    """Reads the weights; no data.

    Statistics: "norm" [L], 2-norm of the weights of every layer; "count" [L], their number.
    """

    requires: ClassVar[tuple[str, ...]] = ("weight_mask",)

    def images_needed(self, batch_size: int) -> int:
        """None."""
        return 0

    def statistics(self, space: Any, variables: Variables, arch: PyTree, images: Array, labels: Array) -> PyTree:
        """See `CustomPass.measure`."""
        del images, labels
        weights, mask = space.weights(variables.params), space.weight_mask(arch)
        squares = jax.tree.map(lambda w, m: jnp.where(m, jnp.square(w), 0), weights, mask)
        ones = jax.tree.map(lambda w, m: jnp.where(m, jnp.ones_like(w), 0), weights, mask)
        return {"norm": jnp.sqrt(space.layer_sums(squares)), "count": space.layer_sums(ones)}


@dataclasses.dataclass(frozen=True)
class LabelPass(_FixedPass):
    """Hands on the class labels of the first batch, and refuses others.

    Statistics: "labels" int32 [batch]; "num_classes" int32 [].
    """

    def statistics(self, space: Any, variables: Variables, arch: PyTree, images: Array, labels: Array) -> PyTree:
        """See `CustomPass.measure`.

        Raises:
          InputError: labels are not class numbers.
        """
        del variables, arch, images
        if labels.ndim != 2 or not jnp.issubdtype(labels.dtype, jnp.integer):
            raise InputError(
                f"Targets of shape {labels.shape[1:]} and type {labels.dtype} are not class numbers; "
                "leave out the proxies that compare images of a class (epe_nas)."
            )
        return {"labels": labels[0], "num_classes": jnp.asarray(space.num_classes, jnp.int32)}


@dataclasses.dataclass(frozen=True)
class JacobianPass(_FixedPass):
    """Correlation of the gradients of the summed outputs with respect to the images of one batch.

    With norm "batch" the gradient of an image has a part that flows through the statistics of the batch.
    Statistics: "correlation" [batch, batch] of the flattened gradients; NaN for a constant one.

    Attributes:
      norm: batch-norm mode.
    """

    norm: str = "batch"

    def statistics(self, space: Any, variables: Variables, arch: PyTree, images: Array, labels: Array) -> PyTree:
        """See `CustomPass.measure`."""
        del labels

        def total(x: Array) -> Array:
            return space.apply(variables, arch, x, norm=self.norm).logits.sum()

        rows = jax.grad(total)(images[0]).reshape(images.shape[1], -1)
        rows = rows - rows.mean(1, keepdims=True)
        rows = rows / jnp.sqrt(jnp.square(rows).sum(1, keepdims=True))
        return {"correlation": jnp.dot(rows, rows.T, precision="highest")}


@dataclasses.dataclass(frozen=True)
class CurvaturePass(_FixedPass):
    """The bilinear form ``w^T H g`` of weights w, gradient g and Hessian H of the loss of one batch.

    By the symmetry of H it is ``g^T (H w)``: the derivative of the gradient along the weights, which one
    forward-mode derivative gives together with g. On a space that does not promise ``forward_over_reverse``
    (`nasjax.spaces.optional`) a second backward pass does it, at more time and memory.
    Statistics: "curvature" [L], the form by layers of g.

    Attributes:
      norm: batch-norm mode.
    """

    forward_mode: ClassVar[bool] = True
    norm: str = "batch"

    def statistics(self, space: Any, variables: Variables, arch: PyTree, images: Array, labels: Array) -> PyTree:
        """See `CustomPass.measure`."""

        def loss(weights: PyTree) -> Array:
            changed = variables._replace(params=space.with_weights(variables.params, weights))
            return space.loss(space.apply(changed, arch, images[0], norm=self.norm), labels[0])

        def slope(weights: PyTree) -> tuple[Array, PyTree]:
            gradient = jax.grad(loss)(weights)
            products = jax.tree.map(lambda g, w: (g * w).sum(), gradient, lax.stop_gradient(weights))
            return jax.tree.reduce(jnp.add, products), gradient

        weights = space.weights(variables.params)
        if getattr(space, "forward_over_reverse", False):
            gradient, along = jax.jvp(jax.grad(loss), (weights,), (weights,))
        else:
            along, gradient = jax.grad(slope, has_aux=True)(weights)
        return {"curvature": space.layer_sums(jax.tree.map(jnp.multiply, gradient, along))}


@dataclasses.dataclass(frozen=True)
class TangentKernelPass(_FixedPass):
    """Neural tangent kernel of the summed outputs over the parameters that PyTorch names weights.

    One backward pass an image; with norm "batch" an output depends on all images through the statistics.
    Statistics: "kernel" [samples, samples].

    Attributes:
      norm: batch-norm mode.
      samples: number of images.
    """

    norm: str = "batch"
    samples: int = 16

    requires: ClassVar[tuple[str, ...]] = ("named_weights",)

    def images_needed(self, batch_size: int) -> int:
        """See `CustomPass`."""
        return self.samples

    def statistics(self, space: Any, variables: Variables, arch: PyTree, images: Array, labels: Array) -> PyTree:
        """See `CustomPass.measure`."""
        del labels
        x = first_images(images, self.samples)

        def outputs(params: PyTree) -> Array:
            logits = space.apply(variables._replace(params=params), arch, x, norm=self.norm).logits
            return logits.reshape(self.samples, -1).sum(1)

        values, pull = jax.vjp(outputs, variables.params)
        rows = lax.map(lambda one: space.named_weights(pull(one)[0]), jnp.eye(self.samples, dtype=values.dtype))
        flat = (r.reshape(self.samples, -1) for r in jax.tree.leaves(rows))
        return {"kernel": sum(jnp.dot(r, r.T, precision="highest") for r in flat)}
