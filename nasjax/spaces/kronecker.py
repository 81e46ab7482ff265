"""The Kronecker space: randomly wired blocks, repeated by a Kronecker product of graphs.

After the published description of GRASP-GCN (Casarin, Lanz and Escalera, arXiv 2405.06994), whose search space is
made of randomly wired networks and a Kronecker product. The factors, the generators, the operations and the network are
choices of nasjax, and options; see docs/kronecker.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.spaces import initial, kronecker_figure, kronecker_laws
from nasjax.spaces import kronecker_codec as codec
from nasjax.spaces import kronecker_moves as moves
from nasjax.spaces import kronecker_network as network
from nasjax.spaces import kronecker_params as parameters
from nasjax.spaces import kronecker_slots as places
from nasjax.spaces.checks import check_sizes, population
from nasjax.spaces.dag import check_number
from nasjax.spaces.genes import Genes
from nasjax.spaces.kronecker_plan import Sizes, Wiring, wiring
from nasjax.spaces.kronecker_plan import check_sizes as check_skeleton
from nasjax.spaces.optional import OutputVisit
from nasjax.spaces.runner import Forward, Runner
from nasjax.spaces.shared import Classifier
from nasjax.types import Array, Graph, InputError, LayerTable, Output, PyTree, Tap, Variables

_FORMS = ("masked", "unrolled")
_KEPT_APART = ("precision", "form", "fixed")  # of what a score depends on


@dataclasses.dataclass(frozen=True)
class Kronecker(Classifier):
    """The Kronecker space; see `nasjax.spaces.base.SearchSpace` for the functions.

    An architecture is int [L], see `nasjax.spaces.kronecker_codec`: the wiring of a block and the operations of its
    vertices. The network's graph is ``(I + S) (x) (I + R) - I``, S the graph of the blocks and R the wiring.

    The paper's own choices are not public as far as was read; every option is one of nasjax.

    Attributes:
      channels: of the stem and the first stage; doubled from stage to stage.
      num_blocks: copies of the wiring.
      num_stages: stages, of equally many blocks; each but the first halves the image.
      min_vertices: fewest vertices of a block.
      max_vertices: most vertices of a block; decides the size of the arrays.
      generator: law of the wirings: "ws", "er", "ba", or "mixed"; see `nasjax.spaces.kronecker_laws.Law`.
      ws_k: neighbours in the ring of a Watts-Strogatz graph, one of these.
      ws_p: range of its chance to move an edge.
      er_p: range of the chance of an edge of an Erdos-Renyi graph.
      ba_m: edges a vertex of a Barabasi-Albert graph brings, one of these.
      ops_by_block: whether every block has operations of its own; otherwise they repeat as the wiring does.
      outer: edges (b, c) between blocks, b < c; None: a chain.
      outer_loops: whether the identity is added to the graph of the blocks; without, edges only go between blocks.
      inner_loops: whether the identity is added to the wiring; with it a vertex feeds its like in the next block.
      stem_stride: step of the stem; 2 for images of 64 pixels.
      head_relu: whether a rectifier precedes the global pooling. Without, the summed outputs do not depend on the
        images of a batch if norms are over the batch, and jacob_cov says nothing.
      space_seed: of the architectures that ids stand for.
      num_classes: outputs of the classifier.
      image_size: height and width of the images; divided by the stem's step and halved by each further stage.
      in_channels: channels of the images.
      precision: matrix precision of every convolution and product.
      form: "masked": one program for all architectures; "unrolled": one for each, with what it has alone.
      fixed: architecture that the space is bound to in the unrolled form; set by ``bind``.
    """

    channels: int = 16
    num_blocks: int = 6
    num_stages: int = 3
    min_vertices: int = 5
    max_vertices: int = 8
    generator: str = "ws"
    ws_k: tuple[int, ...] = (2, 4)
    ws_p: tuple[float, float] = (0.25, 1.0)
    er_p: tuple[float, float] = (0.2, 0.6)
    ba_m: tuple[int, ...] = (1, 2, 3)
    ops_by_block: bool = False
    outer: tuple[tuple[int, int], ...] | None = None
    outer_loops: bool = True
    inner_loops: bool = True
    stem_stride: int = 1
    head_relu: bool = False
    space_seed: int = 0
    num_classes: int = 10
    image_size: int = 32
    in_channels: int = 3
    precision: str = "highest"
    form: str = "masked"
    fixed: tuple[int, ...] | None = dataclasses.field(default=None, metadata={"option": False})

    forward_over_reverse: ClassVar[bool] = True  # see `nasjax.spaces.optional`

    def __post_init__(self) -> None:
        """Makes sequences tuples, and checks all."""
        for field in ("ws_k", "ws_p", "er_p", "ba_m"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        chain = tuple((b, b + 1) for b in range(self.num_blocks - 1)) if isinstance(self.num_blocks, int) else ()
        outer = chain if self.outer is None else tuple(sorted((int(b), int(c)) for b, c in self.outer))
        object.__setattr__(self, "outer", outer)
        sizes = ("channels", "num_blocks", "num_stages", "stem_stride", "num_classes", "image_size", "in_channels")
        check_sizes(self, *sizes)
        moves.check_pair(self.min_vertices, self.max_vertices)
        for field in ("ops_by_block", "outer_loops", "inner_loops", "head_relu"):
            if not isinstance(getattr(self, field), bool):
                raise InputError(f"kronecker: {field}={getattr(self, field)!r}; allowed are True and False.")
        if self.form not in _FORMS:
            raise InputError(f"kronecker: form={self.form!r}; allowed are {', '.join(_FORMS)}.")
        check_skeleton(self._sizes)
        kronecker_laws.check_law(self._law)
        network.check_image(self._sizes, self.image_size, self.image_size)

    @property
    def name(self) -> str:
        """Registered name of the space."""
        return "kronecker"

    @property
    def options(self) -> dict[str, Any]:
        """Configuration as JSON-serialisable values, without what does not decide a score: precision and form."""
        return {key: value for key, value in dataclasses.asdict(self).items() if key not in _KEPT_APART}

    @property
    def _form(self) -> codec.Form:
        return codec.Form(self.min_vertices, self.max_vertices, self.num_blocks if self.ops_by_block else 1)

    @property
    def _law(self) -> kronecker_laws.Law:
        own = (getattr(self, f) for f in ("generator", "ws_k", "ws_p", "er_p", "ba_m", "space_seed"))
        assert self.outer is not None
        chained = {(b, b + 1) for b in range(self.num_blocks - 1)} <= set(self.outer)
        always = self.outer_loops and self.inner_loops and chained  # any wiring leads through
        return kronecker_laws.Law(self._form, *own)._replace(sizes=None if always else self._sizes)

    @property
    def _sizes(self) -> Sizes:
        head = (self.channels, self.num_blocks, self.num_stages, self._form, self.num_classes, self.in_channels)
        return Sizes(*head, self.outer or (), self.outer_loops, self.inner_loops, self.stem_stride, self.head_relu)

    # Encodings, moves and costs.

    def decode(self, encodings: Sequence[Any] | Any) -> np.ndarray:
        """Encodings to a population int32 [n, L]: JSON, dictionaries, ids, arrays.

        JSON and dictionaries are those of ``encode`` or of ``specification``; an integer is an id, see ``by_id``.

        Raises:
          InputError: an encoding is malformed, or of another space.
        """

        def one(given: Any) -> np.ndarray:
            if isinstance(given, int | np.integer) and not isinstance(given, bool):
                return self.by_id([int(given)])[0]
            return codec.decode(self._form, given, self._facts)

        return population(
            self.name,
            encodings,
            one=one,
            rows=lambda array: np.stack([codec.check(self._form, row) for row in array]),
            single=lambda given: False,
            example=codec.EXAMPLE,
        )

    def encode(self, archs: Any) -> list[str]:
        """A population int [n, L] as JSON: vertices, edges and operations of a block."""
        return [codec.encode(self._form, arch) for arch in np.atleast_2d(np.asarray(archs))]

    @property
    def _facts(self) -> dict[str, Any]:
        assert self.outer is not None
        own = ("num_blocks", "num_stages", "outer_loops", "inner_loops")
        return {"outer": [list(edge) for edge in self.outer], **{name: getattr(self, name) for name in own}}

    def specification(self, arch: Any) -> dict[str, Any]:
        """Everything that makes the graph of the network, for JSON: what ``encode`` says, and the other factor."""
        return codec.to_dict(self._form, codec.check(self._form, arch)) | self._facts

    def by_id(self, ids: Any) -> np.ndarray:
        """Architectures of some ids, int32 [n, L]: no two are isomorphic; see `nasjax.spaces.kronecker_laws.by_id`."""
        return kronecker_laws.by_id(self._law, ids)

    def sample(self, key: Array, num: int) -> Array:
        """Random population int32 [num, L], no two isomorphic; the graphs are drawn on the host."""
        check_number(num)

        def draw(words: Any) -> np.ndarray:
            return kronecker_laws.sample(self._law, np.asarray(words), num)

        words = jax.random.key_data(key)
        if not isinstance(words, jax.core.Tracer):
            return jnp.asarray(draw(words))
        drawn: Array = jax.pure_callback(draw, jax.ShapeDtypeStruct((num, self._form.length), jnp.int32), words)
        return drawn

    def mutate(self, key: Array, arch: Array) -> Array:
        """Changes one edge, one operation, or the last vertex; traceable."""
        return moves.mutate(self._form, key, arch)

    def crossover(self, key: Array, first: Array, second: Array) -> Array:
        """Takes the number of vertices, each edge and each operation from either parent; traceable."""
        return moves.crossover(self._form, key, first, second)

    def genes(self) -> Genes:
        """Number of vertices, each edge, each operation."""
        return moves.genes(self._form)

    def neighbours(self, arch: Any) -> np.ndarray:
        """Architectures one edge, one operation or one last vertex away, int32 [n, L]."""
        return moves.neighbours(self._form, arch)

    def extremes(self) -> np.ndarray:
        """Architectures with the smallest and largest costs: int32 [2, L]."""
        return moves.extremes(self._form)

    def is_valid(self, arch: Any) -> tuple[bool, str]:
        """Whether any path leads from the first block to the last, and why not."""
        found = self._graph(codec.check(self._form, arch)).ends.any()
        return (True, "") if found else (False, "no path from the first block to the last")

    def canonical(self, arch: Any) -> str:
        """Encoding shared by architectures whose labelled wirings are isomorphic."""
        return codec.encode(self._form, codec.canonical(self._form, codec.check(self._form, arch)))

    def num_params(self, archs: Any) -> Any:
        """Trainable parameters of one architecture or a population; exact."""
        return places.num_params(self._sizes, self._graph(np.asarray(archs)))

    def flops(self, archs: Any) -> Any:
        """Multiply-adds of convolutions and the classifier for one image; exact."""
        return places.macs(self._sizes, self._graph(np.asarray(archs)), self.image_size)

    def to_graph(self, arch: Any) -> Graph:
        """The whole network as a labelled graph: input, vertices that lie on a path, output."""
        return places.to_graph(self._sizes, self._graph(codec.check(self._form, arch)))[0]

    def vertex_shapes(self, arch: Any) -> np.ndarray:
        """Shapes at the nodes of ``to_graph``, int64 [nodes, 5]: height, width, channels in and out, stride."""
        return places.vertex_shapes(self._sizes, self._graph(codec.check(self._form, arch)), self.image_size)

    def vertex_places(self, arch: Any) -> np.ndarray:
        """Block and number in it of the operations in ``to_graph``, int64 [nodes - 2, 2]."""
        slots = places.to_graph(self._sizes, self._graph(codec.check(self._form, arch)))[1]
        return np.stack(np.divmod(slots, self.max_vertices), 1)

    def draw(self, arch: Any, *, axes: Any = None) -> Any:
        """Draws the network; see `nasjax.spaces.kronecker_figure.draw`."""
        return kronecker_figure.draw(self, arch, axes=axes)

    def signature(self, archs: Any) -> list[str]:
        """What fixes the program: nothing in the masked form, the architecture itself in the unrolled one."""
        archs = np.atleast_2d(np.asarray(archs))
        return [self.name] * len(archs) if self.form == "masked" else self.encode(archs)

    def bind(self, signature: str) -> Kronecker:
        """The space for architectures of one signature."""
        if self.form == "masked":
            return self
        return dataclasses.replace(self, fixed=tuple(self.decode(signature)[0].tolist()))

    def _graph(self, arch: Any) -> Wiring:
        return wiring(np if isinstance(arch, np.ndarray) else jnp, self._sizes, arch)

    def _runs(self, arch: Any) -> Wiring:
        """The graph that a program runs: traced, or that of the one architecture it is for."""
        if self.form == "masked":
            return self._graph(jnp.asarray(arch))
        if self.fixed is None and isinstance(arch, jax.core.Tracer):
            raise InputError(
                "kronecker: the architecture is traced, and the unrolled form is a program of one architecture; "
                "bind the space first: space.bind(space.signature(arch)[0])."
            )
        return self._graph(np.asarray(arch if self.fixed is None else self.fixed, np.int32))

    # The network.

    def init(self, key: Array, arch: Array, *, law: str = "torch", dtype: Any = None) -> Variables:
        """Random variables.

        Args:
          key: typed key.
          arch: int [L]; the tree is the same for every architecture.
          law: "torch" (uniform +-1/sqrt(fan_in)), "kaiming_fan_in" or "kaiming_fan_out" (normal, variance 2/fan),
            "normal" (standard normal). Fans are those of the architecture's own layers. Norms start at scale one and
            shift zero, merge weights at zero.
          dtype: floating dtype; by default JAX's default.

        Returns:
          Variables(params, stats); weights that the architecture lacks are zero.

        Raises:
          InputError: unknown law.
        """
        law = initial.check_law(law)
        dtype = jnp.zeros(()).dtype if dtype is None else dtype
        params = parameters.init_params(key, self._sizes, self._runs(arch), law, dtype)
        return Variables(params, parameters.init_stats(self._sizes, dtype))

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
          arch: int [L].
          images: float [batch, height, width, in_channels].
          norm: "batch", "running", "sample" or "none"; see `nasjax.nn.batch_norm`.
          train: unused: the network behaves alike in training and evaluation, up to ``norm``.
          key: unused: nothing is random.
          tap: called as tap(site, value) on the input of every rectifier; its results come back in ``taps``.
          moments: zero tree of readers of `nasjax.nn` shaped like ``weights``, whose gradient is what they read.
          rescale: divide by the largest magnitude after stem and stages, so that a network without norms neither
            over- nor underflows; ``taps["log_scale"]`` holds the logarithm of the product.

        Returns:
          Output(logits [batch, num_classes], new running statistics, taps).

        Raises:
          InputError: the strides do not divide the images.
        """
        del train, key
        graph = self._runs(arch)
        calls = {} if tap is None else places.site_calls(self._sizes, graph)
        options = Forward(norm, self.precision, rescale)
        run = Runner(options, *variables, calls, tap, moments, images.dtype)
        logits = network.forward(run, self._sizes, graph, images, static=self.form == "unrolled")
        return Output(logits, run.stats, run.taps | ({"log_scale": run.log_scale} if rescale else {}))

    def layer_outputs(
        self, variables: Variables, arch: Array, images: Array, visit: OutputVisit, *, norm: str = "batch"
    ) -> list[PyTree]:
        """Outputs of the weight layers; see `nasjax.spaces.optional.HasLayerOutputs`."""
        run = Runner(Forward(norm, self.precision, rescale=False), *variables, {}, None, None, images.dtype)
        return network.layer_outputs(run, self._sizes, self._runs(arch), images, visit)

    def weight_mask(self, arch: Array) -> PyTree:
        """Which weights an architecture has: tree shaped like ``weights``, bool arrays that broadcast to them."""
        return parameters.weight_mask(self._sizes, self._runs(arch))

    def layer_sums(self, terms: PyTree) -> Array:
        """Sums a tree shaped like ``weights`` over each layer slot, in forward order: float [L]."""
        return parameters.layer_sums(self._sizes, terms)

    def layer_names(self) -> tuple[str, ...]:
        """Slot names; see `nasjax.spaces.kronecker_slots.layer_names`."""
        return places.layer_names(self._sizes)

    def layers(self, arch: Array) -> LayerTable:
        """The weight layers of an architecture, one row a slot; traceable."""
        return places.layers(self._sizes, self._runs(arch))

    def site_calls(self, arch: Array) -> dict[str, Array]:
        """Activation calls by site and depth-percentile bin; see `nasjax.spaces.kronecker_slots.site_calls`."""
        return places.site_calls(self._sizes, self._runs(arch))
