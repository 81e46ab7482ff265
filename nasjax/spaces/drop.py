"""Drop path: parts of a network left out at random, image by image (Larsson et al., ICLR 2017)."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from nasjax.types import Array, InputError


def checked(keys: Array | None, name: str) -> Array:
    """The keys, which drop path cannot do without.

    Args:
      keys: typed keys [batch], or what was given in their place.
      name: of the space.

    Raises:
      InputError: they are not.
    """
    if keys is None or keys.ndim != 1:
        shown = "None" if keys is None else f"of shape {list(keys.shape)}"
        raise InputError(f"{name}: key is {shown}; drop_path needs one typed key an image, [batch].")
    return keys


def multipliers(keys: Array, rate: Array | float, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
    """What the outputs of paths are multiplied by: 0 where a path is left out, else ``1 / (1 - rate)``.

    Args:
      keys: typed keys [batch], one an image.
      rate: probability of being left out, float [] or one that broadcasts to ``shape``.
      shape: of the paths.
      dtype: of the result.

    Returns:
      float [*shape, batch].
    """
    # 32 bits for every dtype, so that float64 leaves out the same paths.
    draw = jax.vmap(lambda key: jax.random.uniform(key, (math.prod(shape),), jnp.float32))
    drawn = draw(keys).T.reshape(*shape, len(keys))
    rate = jnp.broadcast_to(jnp.asarray(rate, dtype), shape)[..., None]
    return jnp.where(drawn >= rate, 1 / (1 - rate), 0).astype(dtype)
