"""What the two search spaces of TransNAS-Bench-101 share: options, tasks, layers and the calls of a network."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.spaces import initial
from nasjax.spaces import transnas_heads as heads
from nasjax.spaces import transnas_tasks as tasks
from nasjax.spaces.checks import check_sizes
from nasjax.spaces.optional import OutputVisit
from nasjax.spaces.runner import Forward, Runner
from nasjax.spaces.shared import Classifier, OneProgram
from nasjax.spaces.slots import layer_table
from nasjax.types import Array, InputError, LayerTable, Output, PyTree, Tap, Variables, Visit, Walk


@dataclasses.dataclass(frozen=True)
class TransNas(Classifier, OneProgram, abc.ABC):
    """Base of the two spaces; see `nasjax.spaces.base.SearchSpace` for the functions.

    Attributes:
      channels: base width, even; 64 in the benchmark.
      task: "class_object", "class_scene", "room_layout", "jigsaw", "autoencoder", "normal" or "segmentsemantic".
      num_classes: outputs of the head; by default those of the task (100, 63, 9, 1000, 3, 3, 17).
      image_size: height and width of the images; 256 in the benchmark. With jigsaw, a multiple of 3: the image is
        cut into nine tiles.
      in_channels: channels of the images.
      precision: matrix precision of every convolution and product.
    """

    channels: int = 64
    task: str = "class_scene"
    num_classes: int = None  # type: ignore[assignment]
    image_size: int = 64
    in_channels: int = 3
    precision: str = "highest"

    _network: ClassVar[Any]
    _blocks: ClassVar[Any]
    _name: ClassVar[str]
    _smallest: ClassVar[int]

    def __post_init__(self) -> None:
        """Checks the options."""
        task = tasks.get(self.task)
        if self.num_classes is None:
            object.__setattr__(self, "num_classes", task.outputs)
        check_sizes(self, "channels", "num_classes", "image_size", "in_channels")
        if self.channels % 2:
            raise InputError(f"{self._name}: channels={self.channels}; allowed is an even number: the stem halves it.")
        self._check_image()

    def _check_image(self) -> None:
        task, grid = tasks.get(self.task), tasks.JIGSAW_GRID
        if task.head == "jigsaw" and self.image_size % grid:
            near = -(-self.image_size // grid) * grid
            raise InputError(
                f"{self._name}: image_size={self.image_size} with task 'jigsaw'; allowed are multiples of {grid}; "
                f"do: take {near}"
            )
        smallest = self._smallest * (grid if task.head == "jigsaw" else 1)
        if self.image_size < smallest:
            raise InputError(
                f"{self._name}: image_size={self.image_size} is too small for the strides of task {self.task!r}; "
                f"allowed is {smallest} or more."
            )
        if task.head not in ("linear", "jigsaw") and self.image_size % self._smallest:
            raise InputError(
                f"{self._name}: image_size={self.image_size} with task {self.task!r}; allowed are multiples of "
                f"{self._smallest}, so that the decoder returns to the size of the image."
            )

    @property
    def name(self) -> str:
        """Registered name of the space."""
        return self._name

    @property
    def options(self) -> dict[str, Any]:
        """Configuration as JSON-serialisable values; ``precision`` is kept apart by the records."""
        names = [f.name for f in dataclasses.fields(self) if f.metadata.get("option", True) and f.name != "precision"]
        return {name: getattr(self, name) for name in names}

    @property
    def targets(self) -> str:
        """Kind of the targets: "class", "values", "pixel classes" or "image"."""
        return self._task.targets

    @property
    def _task(self) -> tasks.Task:
        return tasks.get(self.task)

    @property
    def _tiles(self) -> int:
        return tasks.JIGSAW_GRID**2 if self._task.head == "jigsaw" else 1

    @property
    def _side(self) -> int:
        """Height of what the encoder sees: the image, or a tile."""
        return self.image_size // tasks.JIGSAW_GRID if self._task.head == "jigsaw" else self.image_size

    def _head(self, features: int) -> tuple[heads.Layer, ...]:
        return heads.plan(self._task, features, self.channels, self.num_classes)

    @property
    @abc.abstractmethod
    def _sizes(self) -> Any:
        """Static sizes of the network."""

    def _traced(self, arch: Array) -> Array:
        return jnp.asarray(arch)

    # The network.

    def init(self, key: Array, arch: Array, *, law: str = "torch", dtype: Any = None) -> Variables:
        """Random variables.

        Args:
          key: typed key.
          arch: one architecture; slots that are not used exist too.
          law: "torch" (as the benchmark's code: encoder convolutions normal with variance 2/fan_out, heads
            uniform +-1/sqrt(fan_in)), "kaiming_fan_in" or "kaiming_fan_out" (normal, variance 2/fan), "normal"
            (standard normal). Norms start at scale one and shift zero.
          dtype: floating dtype; by default JAX's default.

        Returns:
          Variables(params, stats).

        Raises:
          InputError: unknown law.
        """
        law = initial.check_law(law)
        dtype = jnp.zeros(()).dtype if dtype is None else dtype
        params = self._network.init_params(key, self._sizes, jnp.asarray(arch), law, dtype)
        return Variables(params, self._network.init_stats(self._sizes, dtype))

    def apply(
        self,
        variables: Variables,
        arch: Array,
        images: Array,
        *,
        norm: str = "batch",
        train: bool = False,
        key: Array | None = None,
        tap: Tap | None = None,
        moments: PyTree | None = None,
        rescale: bool = False,
    ) -> Output:
        """Forward pass.

        Args:
          variables: see `init`.
          arch: one architecture.
          images: float [batch, image_size, image_size, in_channels].
          norm: "batch", "running", "sample" or "none"; see `nasjax.nn.batch_norm`. With jigsaw a batch is the
            tiles of one position, as in the benchmark.
          train: unused: the network behaves alike in training and evaluation, up to ``norm``.
          key: unused: nothing is random.
          tap: called as tap(site, value) on the input of every rectifier of the encoder; with jigsaw once for
            each of the nine tiles, a leading axis of the result.
          moments: zero tree of a reader of `nasjax.nn` shaped like ``weights``; not with jigsaw.
          rescale: divide by the largest magnitude after stem, cells and blocks, so that a network without
            norms neither over- nor underflows; ``taps["log_scale"]`` holds the logarithm of the product.

        Returns:
          Output(logits, new running statistics, taps); logits [batch, num_classes], or
          [batch, image_size, image_size, num_classes] for tasks with a decoder.
        """
        del train, key
        arch = self._traced(arch)
        logits, runner = self._network.forward(
            Forward(norm, self.precision, rescale),
            self._sizes,
            self._task,
            variables.params,
            variables.stats,
            arch,
            images,
            self._calls(arch),
            tap,
            moments,
        )
        taps = runner.taps | ({"log_scale": runner.log_scale} if rescale else {})
        return Output(logits, runner.stats, taps)

    def blocks(self, variables: Variables, arch: Array, images: Array, visit: Visit, *, norm: str = "batch") -> Walk:
        """Stem and cells or blocks of the encoder; see `nasjax.spaces.optional.HasBlocks`.

        With jigsaw the tiles are a batch of their own.
        """
        if self._tiles > 1:
            images = tasks.tiles(images)
            images = images.reshape(-1, *images.shape[2:])
        options = Forward(norm, self.precision, rescale=False)
        runner = Runner(options, variables.params, variables.stats, {}, None, None, images.dtype)
        walk: Walk = self._blocks.walk(runner, self._sizes, self._traced(arch), images, visit)
        return walk

    def layer_outputs(
        self, variables: Variables, arch: Array, images: Array, visit: OutputVisit, *, norm: str = "batch"
    ) -> list[PyTree]:
        """Outputs of the weight layers; see `nasjax.spaces.optional.HasLayerOutputs`.

        With jigsaw, those of an image are those of its nine tiles.

        Raises:
          InputError: jigsaw with norms over the batch.
        """
        options = Forward(norm, self.precision, rescale=False)
        own: tuple[Any, ...] = (
            options,
            self._sizes,
            self._task,
            *variables,
            self._traced(arch),
            images,
            {},
            None,
            None,
        )
        shown: list[PyTree] = self._network.forward(*own, visit)[1].shown
        return shown

    def loss(self, output: Output, targets: Array) -> Array:
        """Mean loss of the task; see `nasjax.spaces.transnas_tasks.loss`."""
        return tasks.loss(self._task, output, targets)

    def check_targets(self, targets: np.ndarray, images: np.ndarray) -> None:
        """Refuses targets that do not fit the task.

        Args:
          targets: [num_batches, batch, ...].
          images: float [num_batches, batch, height, width, channels].

        Raises:
          InputError: shape, kind or range does not fit.
        """
        tasks.check_targets(self._task, self.task, targets, images, self.num_classes)

    def weight_mask(self, arch: Array) -> PyTree:
        """Tree shaped like ``weights``: which of them the architecture uses; booleans that broadcast. Traceable."""
        return self._network.weight_mask(self._traced(arch), self._sizes)

    def layer_sums(self, terms: PyTree) -> Array:
        """Sums a tree shaped like ``weights`` over each layer slot, in forward order: float [L]."""
        sums: Array = self._network.layer_sums(terms, self._sizes)
        return sums

    def layer_names(self) -> tuple[str, ...]:
        """Slot names: the module names of the benchmark's network."""
        names: tuple[str, ...] = self._network.layer_names(self._sizes)
        return names

    def layers(self, arch: Array) -> LayerTable:
        """The weight layers of an architecture, one row a slot; traceable."""
        return layer_table(self.layer_names(), self._network.active_slots(self._traced(arch), self._sizes))

    def site_calls(self, arch: Array) -> dict[str, Array]:
        """Activation calls of the official network by site and depth-percentile bin.

        Returns:
          int32 [10] a site, [cells, 10] for sites of repeated cells or blocks; with jigsaw nine times as many
          rows, tile by tile.
        """
        calls = self._calls(self._traced(arch))
        if self._tiles == 1:
            return calls
        return {name: jnp.tile(jnp.atleast_2d(own), (self._tiles, 1)) for name, own in calls.items()}

    def _calls(self, arch: Array) -> dict[str, Array]:
        table = layer_table(self.layer_names(), self._network.active_slots(arch, self._sizes))
        calls: dict[str, Array] = self._network.site_calls(table, arch, self._sizes)
        return calls


def population(archs: Any) -> tuple[np.ndarray, bool]:
    """Architectures int64 [n, 6], and whether a single one was given."""
    array = np.asarray(jax.device_get(archs)).astype(np.int64)
    return np.atleast_2d(array), array.ndim == 1
