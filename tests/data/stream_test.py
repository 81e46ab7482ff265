"""Orders of epochs, batches, and a thread that reads ahead, ends cleanly and passes errors on."""

import threading
import time

import jax
import numpy as np
import pytest

from nasjax.data import load_dataset, stream
from nasjax.types import InputError


@pytest.fixture(scope="module")
def dataset():
    return load_dataset("noise", num_images=21, image_size=4)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "nasjax-prefetch"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not threads()


def test_order_depends_on_seed_and_epoch_alone():
    order = stream.epoch_order(3, 1, 50)
    assert sorted(order) == list(range(50))
    np.testing.assert_array_equal(order, stream.epoch_order(3, 1, 50))
    assert (order != stream.epoch_order(3, 2, 50)).any() and (order != stream.epoch_order(4, 1, 50)).any()
    key = jax.random.key(7)
    np.testing.assert_array_equal(stream.epoch_order(key, 0, 9), stream.epoch_order(jax.random.key(7), 0, 9))
    assert (stream.epoch_order(key, 0, 50) != stream.epoch_order(jax.random.key(8), 0, 50)).any()
    for arguments in ((-1, 0, 3), (0, -1, 3), (0, 0, 0), (0.5, 0, 3)):
        with pytest.raises(InputError):
            stream.epoch_order(*arguments)


def test_batches_follow_the_order(dataset):
    found = list(stream.batches(dataset, 4, seed=1, epoch=2))
    assert len(found) == 5  # one image is left out
    order = stream.epoch_order(1, 2, 21)
    np.testing.assert_array_equal(np.concatenate([batch.images for batch in found]), dataset.images(order[:20]))
    np.testing.assert_array_equal(np.concatenate([batch.labels for batch in found]), dataset.labels[order[:20]])


def test_an_epoch_goes_on_in_the_middle(dataset):
    whole, rest = list(stream.batches(dataset, 4, seed=1)), list(stream.batches(dataset, 4, seed=1, start=3))
    assert len(rest) == 2
    np.testing.assert_array_equal(rest[0].images, whole[3].images)


def test_parts_make_up_the_batch(dataset):
    whole = next(stream.batches(dataset, 6, seed=1))
    parts = [next(stream.batches(dataset, 6, seed=1, part=(i, 3))) for i in range(3)]
    np.testing.assert_array_equal(np.concatenate([part.images for part in parts]), whole.images)
    for part in ((0, 4), (3, 3), (0, 0)):
        with pytest.raises(InputError, match="divisor"):
            stream.batches(dataset, 6, part=part)


def test_too_few_images_are_seen_before_reading(dataset):
    with pytest.raises(InputError, match="has 21 images; allowed: 21 at most"):
        stream.batches(dataset, 22)


def test_evaluation_reads_every_image_once(dataset):
    found = list(stream.in_order(dataset, 8))
    assert [batch.images.shape[0] for batch, _ in found] == [8, 8, 8]
    counted = np.concatenate([weights for _, weights in found]).astype(bool)
    assert counted.sum() == 21
    images = np.concatenate([batch.images for batch, _ in found])
    np.testing.assert_array_equal(images[counted], dataset.images(np.arange(21)))


def test_prefetch_keeps_order_and_counts(dataset):
    with stream.prefetch(stream.batches(dataset, 4, seed=1)) as ahead:
        found = list(ahead)
        assert list(ahead) == []
    for batch, expected in zip(found, stream.batches(dataset, 4, seed=1), strict=True):
        np.testing.assert_array_equal(batch.images, expected.images)
    assert ahead.items == 5 and 0 <= ahead.waited <= ahead.elapsed and 0 <= ahead.starved <= 1


def test_a_slow_source_shows_as_waiting():
    def slow():
        for item in range(3):
            time.sleep(0.05)
            yield item

    ahead = stream.prefetch(slow())
    assert list(ahead) == [0, 1, 2]
    assert ahead.waited >= 0.1 and ahead.starved > 0.5  # the consumer does nothing but wait


def test_items_are_read_ahead_but_not_too_far():
    read, enough = [], threading.Event()

    def source():
        for item in range(10):
            read.append(item)
            if item == 3:
                enough.set()
            yield item

    with stream.prefetch(source(), size=3) as ahead:
        assert enough.wait(10)  # three in the queue, one in hand
        assert read == [0, 1, 2, 3]
        assert next(ahead) == 0


def test_errors_come_after_the_items_before():
    def broken():
        yield 1
        raise InputError("image 7 is broken")

    ahead = stream.prefetch(broken())
    assert next(ahead) == 1
    with pytest.raises(InputError, match="image 7 is broken"):
        next(ahead)
    with pytest.raises(StopIteration):
        next(ahead)


def test_transfer_runs_in_the_thread_and_may_fail():
    names = []

    def transfer(item):
        names.append(threading.current_thread().name)
        return 10 // item

    ahead = stream.prefetch([5, 2, 0], transfer=transfer)
    assert [next(ahead), next(ahead)] == [2, 5]
    with pytest.raises(ZeroDivisionError):
        next(ahead)
    assert set(names) == {"nasjax-prefetch"}


def test_leaving_early_closes_the_source():
    closed = []

    def endless():
        try:
            while True:
                yield 0
        finally:
            closed.append(threading.current_thread().name)

    with pytest.raises(KeyError), stream.prefetch(endless()) as ahead:
        next(ahead)
        raise KeyError
    assert closed == ["nasjax-prefetch"]
    forgotten = stream.prefetch(endless())
    next(forgotten)
    (thread,) = threads()
    del forgotten
    thread.join(10)
    assert not thread.is_alive()


def test_bad_size():
    with pytest.raises(InputError, match="size=0"):
        stream.prefetch([], size=0)
