"""Retrains a genotype on all training images, and the baselines beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.checkpoint import Checkpoints
from nasjax.das import networks
from nasjax.das.genotype import Genotype
from nasjax.das.loop import Fitted, Progress, Task, fit
from nasjax.das.temporal import TemporalConfig
from nasjax.das.variants import Variant, make_variant
from nasjax.data import stream
from nasjax.data.augment import AugmentConfig, as_unit, augment, prepare
from nasjax.data.dataset import Dataset
from nasjax.training.checks import check_names
from nasjax.training.config import TrainConfig
from nasjax.training.optimizers import transformation
from nasjax.training.schedules import learning_rate
from nasjax.types import Array, InputError, PyTree, Variables

SMALL_IMAGE = 64  # images up to this size get the stem of CIFAR


def recipe(*, epochs: int = 120, **changes: Any) -> TrainConfig:
    """The author's own recipe for CIFAR: SGD 0.05 with momentum 0.9, a fifth of it at every quarter of the epochs.

    Args:
      epochs: passes over the training images.
      **changes: other fields of ``TrainConfig``.

    Returns:
      Batches of 128, weight decay 3e-4, gradients clipped to norm 5, random crops (padding 4) and flips.

    Raises:
      InputError: a value that is not allowed.
    """
    milestones = tuple(sorted({max(1, epochs * quarter // 4) for quarter in (1, 2, 3)}))
    fields: dict[str, Any] = {
        "epochs": epochs, "batch_size": 128, "learning_rate": 0.05, "schedule": "steps", "decay": 0.2,
        "milestones": milestones, "rhythm": "epoch", "nesterov": False, "weight_decay": 3e-4, "clip": 5.0,
        "augment": AugmentConfig(crop_padding=4, flip=True),
    }  # fmt: skip
    return TrainConfig(**(fields | changes))


@dataclasses.dataclass(frozen=True, kw_only=True)
class DASTrainConfig:
    """Network and recipe of a training.

    Attributes:
      network: name in ``nasjax.das.networks.BACKBONES``.
      options: further options of the network, such as (("width", 16),).
      stem: "auto" is that of CIFAR for images of at most 64 pixels, else that of ImageNet. The code of DAS has the
        latter everywhere.
      temporal: temporal module of the variants that have one; the author's note has all channels, his code a quarter.
      recipe: how the network is trained; see ``recipe``. Moving averages of weights are not supported.
      frames: copies of the image for the variant "identity"; as many as the genotype has by default.
      randaugment: operations and magnitude of that variant.
    """

    network: str = "resnet18"
    options: tuple[tuple[str, Any], ...] = ()
    stem: str = "auto"
    temporal: TemporalConfig = TemporalConfig(ratio=1.0)
    recipe: TrainConfig = dataclasses.field(default_factory=recipe)
    frames: int | None = None
    randaugment: tuple[float, ...] = (3, 5)

    def __post_init__(self) -> None:
        """Refuses what the loop does not do."""
        if self.recipe.average is not None or not self.recipe.decay_all or self.recipe.drop_path:
            raise InputError("the recipe asks for average, drop_path or decay_all=False; allowed here: none of them")


class Trained(NamedTuple):
    """Result of a training.

    Attributes:
      variant: what was trained.
      network: the Linen module.
      fitted: variables and history.
      augment: how images are normalised, among others.
      images: what the network was made for: "num_classes", "image_size", "channels", and "seed" of a random genotype.
    """

    variant: Variant
    network: networks.Network
    fitted: Fitted
    augment: AugmentConfig
    images: dict[str, int]

    def describe(self) -> dict[str, Any]:
        """What is needed to make the network and its inputs again; JSON can hold it."""
        return {**self.images, "mean": list(self.augment.mean), "std": list(self.augment.std)}

    def logits(self, images: Array) -> Array:
        """Logits of images.

        Args:
          images: uint8 [batch, height, width, channels].

        Returns:
          float [batch, classes], mean over frames.
        """
        own = {"params": self.fitted.variables.params, "batch_stats": self.fitted.variables.stats}
        network: Any = self.network
        return network.apply(own, self.variant.maker(prepare(images, self.augment)))


def train(
    genotype: Genotype | None,
    train_images: Dataset,
    test_images: Dataset,
    *,
    key: Array,
    config: DASTrainConfig | None = None,
    variant: str = "das",
    checkpoints: Checkpoints | None = None,
    settings: Mapping[str, Any] | None = None,
    test_every: int = 1,
    devices: int | Sequence[jax.Device] | None = 1,
    progress: Progress | None = None,
) -> Trained:
    """Trains a network on the videos of a genotype, or a baseline.

    Args:
      genotype: of a search; not read by baselines without it.
      train_images: images to train on.
      test_images: images that every epoch is evaluated on; they choose nothing.
      key: typed key of everything random.
      config: network and recipe.
      variant: one of ``nasjax.das.variants.VARIANTS``.
      checkpoints: where every epoch is kept; the same call goes on from there with the same numbers.
      settings: what decides the outcome, kept beside the state.
      test_every: epochs between evaluations.
      devices: which share every batch, see ``nasjax.das.loop.fit``.
      progress: called with finished and all epochs.

    Returns:
      Network, variables and history.

    Raises:
      InputError: images, labels or options do not fit, or the loss is no number in the first epoch.
    """
    config = config or DASTrainConfig()
    seed = int(jax.random.randint(jax.random.fold_in(key, 1), (), 0, 2**31 - 1))
    feed, classes = ImageFeed(train_images, test_images, config.recipe.batch_size, seed), train_images.num_classes
    chosen, network = make_network(genotype, variant, config, classes, train_images.image_size, seed)
    changes = dataclasses.replace(config.recipe.augment, **chosen.augment)
    if not changes.mean:
        changes = dataclasses.replace(changes, mean=train_images.mean, std=train_images.std)
    chosen = chosen._replace(maker=chosen.maker.normalised(changes.mean, changes.std))
    task = _task(dataclasses.replace(config.recipe, augment=changes), network, chosen, classes, feed.steps)
    fitted = fit(task, feed, key=key, epochs=config.recipe.epochs, checkpoints=checkpoints, settings=settings,
                 test_every=test_every, devices=devices, progress=progress)  # fmt: skip
    facts = {name: int(getattr(train_images, name)) for name in ("num_classes", "image_size", "channels")}
    return Trained(chosen, network, fitted, changes, {**facts, "seed": seed})


def make_network(
    genotype: Genotype | None, variant: str, config: DASTrainConfig, num_classes: int, image_size: int, seed: int
) -> tuple[Variant, networks.Network]:
    """The variant and its network.

    Args:
      genotype: of a search, or None.
      variant: name.
      config: options.
      num_classes: classes.
      image_size: height of the images.
      seed: of a random genotype.

    Returns:
      Variant, and Linen module.

    Raises:
      InputError: options that do not fit.
    """
    options: dict[str, Any] = {**dict(config.options), "num_classes": num_classes}
    options["stem"] = config.stem if config.stem != "auto" else ("cifar" if image_size <= SMALL_IMAGE else "imagenet")
    depth = config.network.removeprefix("resnet")
    standard = networks.RESNETS.get(int(depth), ((1,) * 4,))[0] if depth.isdigit() else (1,) * 4
    chosen = make_variant(variant, genotype, frames=config.frames, seed=seed, randaugment=config.randaugment,
                          stages=len(options.get("stages") or standard))  # fmt: skip
    if chosen.network and not config.network.startswith("resnet"):
        raise InputError(f"variant {variant!r} with {config.network}; allowed: ResNets, such as resnet18")
    temporal = config.temporal if chosen.temporal else TemporalConfig(kind="none")
    return chosen, networks.get_backbone(config.network, **(options | chosen.network | {"temporal": temporal}))


class ImageFeed:
    """Batches of labelled images for ``nasjax.das.loop.fit``, in an order that follows from seed and epoch."""

    def __init__(self, train_images: Dataset, test_images: Dataset, batch_size: int, seed: int) -> None:
        """Checks the images.

        Args:
          train_images: images to train on.
          test_images: images to evaluate on.
          batch_size: images a batch; what is left of an epoch is dropped.
          seed: of the order.

        Raises:
          InputError: other targets than classes, classes, their names or sizes that differ, labels outside the classes,
            or no full batch.
        """
        self._train, self._test, self._batch, self._seed = train_images, test_images, batch_size, seed
        check_names(train_images, test_images)
        for name in ("num_classes", "image_size", "channels"):
            one, two = getattr(train_images, name), getattr(test_images, name)
            if one != two:
                raise InputError(f"{name}={one} of '{train_images.source}', {two} of '{test_images.source}'; do: use"
                                 f" splits of one data set, or give {name}")  # fmt: skip
        for data in (train_images, test_images):
            if data.kind != "class":
                raise InputError(f"'{data.source}' has targets that are no classes; do: choose a source with classes")
            data.labels.max()  # read and checked here, before anything is compiled
        if batch_size > len(train_images):
            raise InputError(f"batch_size={batch_size} of {len(train_images)} images; do: lower it")

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return len(self._train) // self._batch

    def train(self, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Gives images and labels of an epoch, read ahead by a thread.

        Args:
          epoch: number of the epoch.

        Yields:
          uint8 or float [batch, height, width, channels] and int32 [batch].
        """
        batches = stream.batches(self._train, self._batch, seed=self._seed, epoch=epoch)
        ahead: stream.Prefetch[Any]
        with stream.prefetch(batches) as ahead:
            yield from ahead

    def test(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Gives images, labels and weights to evaluate on.

        Yields:
          As ``train``, and float32 [batch], 0 where an image fills up the last batch.
        """
        for batch, weights in stream.in_order(self._test, self._batch):
            yield np.asarray(batch.images), np.asarray(batch.labels), weights


def _task(config: TrainConfig, network: Any, variant: Variant, num_classes: int, steps: int) -> Task:
    import optax

    def init(key: Array, images: Array) -> Variables:
        found = network.init(key, variant.maker(prepare(images[:1], config.augment)))
        return Variables(found["params"], found.get("batch_stats", {}))

    def loss(
        key: Array, first: Array, params: PyTree, stats: PyTree, images: Array, labels: Array
    ) -> tuple[Array, tuple[PyTree, dict[str, Array]]]:
        augment_key, drop_key = jax.random.split(key)
        targets = jax.nn.one_hot(labels, num_classes)
        places = first + jnp.arange(len(images))
        images, targets = augment(augment_key, as_unit(images), targets, config.augment, indices=places)
        targets = targets * (1 - config.label_smoothing) + config.label_smoothing / num_classes
        own, rngs = {"params": params, "batch_stats": stats}, {"dropout": jax.random.fold_in(drop_key, first)}
        logits, new = network.apply(own, variant.maker(images), train=True, rngs=rngs, mutable=["batch_stats"])
        value = -(targets * jax.nn.log_softmax(logits)).sum(-1).mean()
        right = (logits.argmax(-1) == labels).sum().astype(value.dtype)
        count = jnp.asarray(len(labels), value.dtype)
        return value, (new["batch_stats"], {"loss": value * count, "right": right, "count": count})

    def measure(variables: Variables, images: Array, labels: Array, weights: Array) -> dict[str, Array]:
        video = variant.maker(prepare(images, config.augment))
        logits = network.apply({"params": variables.params, "batch_stats": variables.stats}, video)
        own = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)[:, 0]
        right = (logits.argmax(-1) == labels) * weights
        return {"loss": -(own * weights).sum(), "right": right.sum(), "count": weights.sum()}

    def summary(sums: Mapping[str, np.ndarray]) -> dict[str, float]:
        count = max(float(sums["count"]), 1.0)
        return {"loss": float(sums["loss"]) / count, "accuracy": float(sums["right"]) / count}

    def rate(step: Array) -> Array:
        return learning_rate(config, step, steps)

    optimizer = optax.chain(transformation(config, None), optax.scale_by_learning_rate(rate))
    return Task(init, loss, measure, summary, optimizer)
