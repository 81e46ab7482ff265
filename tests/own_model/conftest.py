"""Small images, and float64 for every test here."""

import jax
import numpy as np
import pytest

from nasjax.data import Batches


@pytest.fixture(scope="module", autouse=True)
def _float64():
    """Exact, and compiled fast rather than to run fast."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        with jax.enable_x64(True):
            yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="module")
def batches():
    rng = np.random.default_rng(0)
    return Batches.from_arrays(
        rng.normal(size=(16, 8, 8, 3)), np.arange(16) % 4, batch_size=8, num_batches=2, dtype="float64", num_classes=4
    )
