"""What most spaces share: the loss of a classifier, parameters as a tree with "weights", one program for all."""

from __future__ import annotations

from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.types import Array, Output, PyTree


class Classifier:
    """A space of classifiers whose parameters hold "weights" and the "scale" of the norms."""

    def loss(self, output: Output, targets: Array) -> Array:
        """Mean cross-entropy. ``targets``: int [batch]."""
        logp = jax.nn.log_softmax(output.logits)
        return -jnp.take_along_axis(logp, targets[:, None], 1).mean()

    def weights(self, params: PyTree) -> PyTree:
        """Convolution and linear weights; biases, norms and embeddings excluded."""
        return params["weights"]

    def with_weights(self, params: PyTree, weights: PyTree) -> PyTree:
        """``params`` with other weights."""
        return {**params, "weights": weights}

    def named_weights(self, params: PyTree) -> PyTree:
        """The parameters that PyTorch names "weight": ``weights`` and the scales of the norms."""
        return params["weights"], params["scale"]


class OneProgram:
    """A space whose architectures have tensors of the same shapes."""

    def signature(self, archs: Any) -> list[str]:
        """What fixes tensor shapes; one for the whole space."""
        return [str(getattr(self, "name", ""))] * len(np.atleast_2d(np.asarray(archs)))

    def bind(self, signature: str) -> Self:
        """The space itself."""
        del signature
        return self
