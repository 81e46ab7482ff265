"""Readers on top of readers, and threads that decode."""

import numpy as np
import pytest

from nasjax.data import readers
from nasjax.types import InputError

IMAGES, TARGETS = np.arange(6 * 4).reshape(6, 2, 2, 1), np.arange(6) * 10


class Counting(readers.Arrays):
    """Keeps what is asked of it."""

    def __init__(self):
        super().__init__(IMAGES, TARGETS)
        self.asked = []

    def read(self, indices):
        self.asked.append(indices.tolist())
        return super().read(indices)


def test_what_was_read_is_kept():
    inner = Counting()
    reader = readers.Cached(inner)
    for indices in ([3, 1], [1, 3, 3], [5, 1]):
        images, targets = reader.read(np.asarray(indices))
        np.testing.assert_array_equal(images, IMAGES[indices])
        np.testing.assert_array_equal(targets, TARGETS[indices])
    assert inner.asked == [[1, 3], [5]]
    assert reader.targets(np.asarray([0])).tolist() == [0] and len(reader) == 6


def test_keeping_is_for_what_fits(monkeypatch):
    mapped = readers.Mapped(Counting(), lambda images, targets, indices: (images, targets))
    assert isinstance(readers.keep(mapped, None), readers.Cached)
    monkeypatch.setattr(readers, "CACHE_BYTES", 6 * (IMAGES[0].nbytes + TARGETS[0].nbytes) - 1)
    assert readers.keep(mapped, None) is mapped
    assert isinstance(readers.keep(mapped, True), readers.Cached)
    arrays = readers.Arrays(IMAGES, TARGETS)
    assert readers.keep(arrays, True) is arrays


def test_a_function_of_the_numbers():
    reader = readers.Mapped(Counting(), lambda images, targets, indices: (images + 1, targets + indices))
    part = readers.Subset(reader, np.asarray([4, 2]))
    images, targets = part.read(np.asarray([1, 0]))
    np.testing.assert_array_equal(images, IMAGES[[2, 4]] + 1)
    assert targets.tolist() == part.targets(np.asarray([1, 0])).tolist() == [22, 44] and len(part) == 2


def test_errors_of_threads_come_as_they_are():
    def square(value):
        if value == 7:
            raise InputError("seven")
        return value**2

    assert readers.parallel(square, range(6), 2) == [0, 1, 4, 9, 16, 25]
    with pytest.raises(InputError, match="seven"):
        readers.parallel(square, range(9), 2)
