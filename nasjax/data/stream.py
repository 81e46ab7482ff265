"""Whole data sets for training: batches by number in an order that a seed decides, read ahead by a thread.

An example::

    dataset = nasjax.data.load_dataset("npz:cifar10.npz#train")
    with stream.prefetch(stream.batches(dataset, 128, seed=0, epoch=3)) as ahead:
        for batch in ahead:
            ...
    print(ahead.waited)  # seconds that the consumer waited for images
"""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import jax
import numpy as np

from nasjax.data import checks
from nasjax.data.dataset import Dataset as Dataset
from nasjax.types import Batch, InputError

Item = TypeVar("Item")
_POLL = 0.05  # seconds between looks at whether the consumer has gone


def epoch_order(seed: Any, epoch: int, number: int) -> np.ndarray:
    """The order of the images in an epoch: a permutation by seed and epoch alone, so a resumed epoch is the same.

    Args:
      seed: whole number of at least 0, or a typed key.
      epoch: number of the epoch, from 0.
      number: of images.

    Returns:
      int64 [number].

    Raises:
      InputError: a number that is not allowed.
    """
    if isinstance(seed, jax.Array) and jax.dtypes.issubdtype(seed.dtype, jax.dtypes.prng_key):
        words = [int(word) for word in np.asarray(jax.random.key_data(seed)).ravel()]
    else:
        words = [checks.count(seed, "seed", minimum=0)]
    epoch = checks.count(epoch, "epoch", minimum=0)
    return np.random.default_rng([*words, epoch]).permutation(checks.count(number, "number"))


def batches(
    dataset: Dataset,
    batch_size: int,
    *,
    seed: Any = 0,
    epoch: int = 0,
    start: int = 0,
    part: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """The batches of an epoch; images that do not fill one are left out.

    Args:
      dataset: images and targets.
      batch_size: images a batch, over all parts.
      seed: see :func:`epoch_order`.
      epoch: likewise.
      start: batches at the beginning that are skipped without being read, to go on in the middle of an epoch.
      part: (number, of how many): only this share of every batch is read, for one of several processes.

    Returns:
      An iterator of batches, images as in the data set.

    Raises:
      InputError: fewer images than a batch, or parts that do not divide it.
    """
    size, start = checks.count(batch_size, "batch_size"), checks.count(start, "start", minimum=0)
    own, parts = part
    if parts < 1 or not 0 <= own < parts or size % parts:
        raise InputError(f"part={part} of batch_size={size}; allowed: (i, n) with i < n, n a divisor of the batch size")
    if size > len(dataset):
        raise InputError(
            f"batch_size={size}, but '{dataset.source}' has {len(dataset)} images; allowed: {len(dataset)} at most; "
            "do: lower batch_size"
        )
    order = epoch_order(seed, epoch, len(dataset))
    share = size // parts

    def read() -> Iterator[Batch]:
        for step in range(start, len(dataset) // size):
            first = step * size + own * share
            yield dataset.batch(order[first : first + share])

    return read()


def in_order(dataset: Dataset, batch_size: int) -> Iterator[tuple[Batch, np.ndarray]]:
    """All images once, in their order, for evaluation; all batches are of one size.

    Args:
      dataset: images and targets.
      batch_size: images a batch.

    Yields:
      a batch, and float32 [batch_size]: 1 for images that count, 0 for the repeated image that fills the last batch.
    """
    size = checks.count(batch_size, "batch_size")
    for first in range(0, len(dataset), size):
        places = first + np.arange(size)
        yield dataset.batch(np.minimum(places, len(dataset) - 1)), (places < len(dataset)).astype(np.float32)


class Prefetch(Generic[Item]):
    """An iterator that a thread reads ahead of; a context manager that ends the thread.

    Attributes:
      waited: seconds that the consumer has waited for items; near zero if the device is not starved.
      elapsed: seconds from the first request to the last.
      items: how many were handed out.
    """

    def __init__(
        self, iterator: Iterable[Any], *, size: int = 2, transfer: Callable[[Any], Item] | None = None
    ) -> None:
        """See :func:`prefetch`."""
        self.waited, self.elapsed, self.items = 0.0, 0.0, 0
        self._began: float | None = None
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue(checks.count(size, "size"))
        self._gone = threading.Event()
        self._over = False
        weakref.finalize(self, self._gone.set)  # also ends the thread of a consumer that just forgot it
        self._thread = threading.Thread(
            target=_fill, args=(iterator, transfer, self._queue, self._gone), name="nasjax-prefetch", daemon=True
        )
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        """Itself."""
        return self

    def __next__(self) -> Item:
        """The next item; what the iterator raised is raised here, after the items before."""
        if self._over:
            raise StopIteration
        start = time.perf_counter()
        self._began = start if self._began is None else self._began
        what, value = self._queue.get()
        now = time.perf_counter()
        self.waited += now - start
        self.elapsed = now - self._began
        if what == "item":
            self.items += 1
            return value
        self.close()
        if what == "error":
            raise value
        raise StopIteration

    def __enter__(self) -> Prefetch[Item]:
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Ends the thread."""
        self.close()

    def close(self) -> None:
        """Ends the thread, and the iterator if it is a generator. Items not yet taken are lost."""
        self._over = True
        self._gone.set()
        self._thread.join()

    @property
    def starved(self) -> float:
        """Share of the time that the consumer waited, 0..1."""
        return self.waited / self.elapsed if self.elapsed else 0.0


def prefetch(
    iterator: Iterable[Any], *, size: int = 2, transfer: Callable[[Any], Item] | None = None
) -> Prefetch[Item]:
    """Reads an iterator ahead in a thread.

    Args:
      iterator: of batches; it is used in the thread alone.
      size: items read ahead at most, besides the one in hand.
      transfer: called on every item in the thread, ``jax.device_put`` for example.

    Returns:
      An iterator over the same items in the same order; close it, or use it as a context manager.

    Raises:
      InputError: ``size`` is below 1.
    """
    return Prefetch(iterator, size=size, transfer=transfer)


def _fill(
    iterator: Iterable[Any], transfer: Callable[[Any], Any] | None, target: queue.Queue, gone: threading.Event
) -> None:
    """Puts items, then an end or an error, unless the consumer has gone."""

    def put(what: str, value: Any) -> bool:
        while not gone.is_set():
            try:
                target.put((what, value), timeout=_POLL)
                return True
            except queue.Full:
                continue
        return False

    try:
        for item in iterator:
            if not put("item", item if transfer is None else transfer(item)):
                break
        else:
            put("end", None)
    except BaseException as error:  # the consumer decides what an interrupt means
        put("error", error)
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()
