"""What is said where memory runs out."""

import pathlib
import types

import jax
import numpy as np
import pytest

import nasjax
from nasjax import parallel
from nasjax.data import Batches
from nasjax.proxies import memory
from nasjax.spaces.nasbench201 import NasBench201
from nasjax.types import InputError

SPACE = NasBench201(channels=2, cells=1, num_classes=3, image_size=8)
EXHAUSTED = "RESOURCE_EXHAUSTED: Out of memory allocating 68719476736 bytes."


@pytest.fixture
def failing(monkeypatch):
    """Scores with a device that raises what it is told to."""

    def failing(error, **options):
        def chunks(self, population, *shared):
            raise error
            yield

        monkeypatch.setattr(parallel.Mapped, "chunks", chunks)
        images = np.random.default_rng(0).normal(size=(12, 8, 8, 3))
        batches = Batches.from_arrays(images, np.zeros(12, int), batch_size=6, num_batches=2, num_classes=3)
        return nasjax.score(SPACE, [0, 1], batches, "nwot", key=jax.random.key(0), **options)

    return failing


@pytest.mark.parametrize("error", [jax.errors.JaxRuntimeError(EXHAUSTED), MemoryError()])
def test_the_message_says_what_to_lower(failing, error):
    with pytest.raises(InputError) as caught:
        failing(error)
    text = str(caught.value)
    for part in ("nasbench201: out of memory", "batch_size=6", "8x8 pixels", "channels=2", "do: lower batch_size"):
        assert part in text
    assert "chunk" not in text  # with batching=map a chunk is no matter of memory
    assert caught.value.__cause__ is error


def test_with_vmap_the_chunk_counts(failing):
    with pytest.raises(InputError, match="chunk=5 architectures at once.*do: lower chunk, or use batching=map"):
        failing(MemoryError(), batching="vmap", chunk=5)


def test_other_errors_pass(failing):
    error = jax.errors.JaxRuntimeError("INTERNAL: something else")
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        failing(error)
    assert not memory.is_exhausted(ValueError("out of memory"))


def test_spaces_without_channels_are_described():
    space = types.SimpleNamespace(options={"embed_dims": [8, 16]})
    text = memory.advice(space, np.zeros((1, 2, 4, 6, 3)), types.SimpleNamespace(batching="map", chunk=8))
    assert "embed_dims=[8, 16]" in text and "4x6 pixels" in text and "channels" not in text


def test_crowded_is_a_share_of_what_the_system_allows():
    assert not memory.crowded(1.0)
    if pathlib.Path("/proc/self/maps").exists():
        assert memory.crowded(0.0)
