"""A search space of our own: a chain of layers, each of which is nothing, a 1x1 or a 3x3 convolution."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np

from nasjax import spaces
from nasjax.types import Graph, InputError, LayerTable, Output, Variables

OPS = ("skip", "conv1x1", "conv3x3")
KERNELS = {"conv1": 1, "conv3": 3}  # operations 1 and 2


@dataclasses.dataclass(frozen=True)
class Chain(spaces.Classifier, spaces.OneProgram):
    """An architecture is int [length]: the operation of each layer. One compiled program serves all of them."""

    length: int = 5
    channels: int = 16
    num_classes: int = 10
    image_size: int = 32
    in_channels: int = 3
    precision: str = "highest"

    @property
    def name(self):
        """The registered name."""
        return "chain"

    @property
    def options(self):
        """What distinguishes this configuration; precision is kept apart by the records."""
        return {field: value for field, value in dataclasses.asdict(self).items() if field != "precision"}

    # Architectures.

    def decode(self, encodings):
        """Texts such as "2-0-1-2-1", or arrays, to a population int32 [n, length]."""
        if isinstance(encodings, str):
            encodings = [encodings]
        rows = []
        for given in encodings:
            is_code = isinstance(given, str) and re.fullmatch("[0-9](-[0-9])*", given)
            row = [int(digit) for digit in given.split("-")] if is_code else given
            if isinstance(row, str) or np.shape(row) != (self.length,) or not np.isin(row, range(len(OPS))).all():
                raise InputError(f"chain: {given!r}; allowed are {self.length} numbers 0..2, such as 2-0-1.")
            rows.append(row)
        return np.asarray(rows, np.int32).reshape(-1, self.length)

    def encode(self, archs):
        """The text of each architecture."""
        return ["-".join(map(str, row)) for row in np.atleast_2d(np.asarray(archs)).tolist()]

    def sample(self, key, num):
        """Uniform population int32 [num, length]."""
        return jax.random.randint(key, (num, self.length), 0, len(OPS), jnp.int32)

    def is_valid(self, arch):
        """Every chain leads from the input to the output."""
        return True, ""

    def canonical(self, arch):
        """Text shared by equal networks: where the skips stand does not matter."""
        kept = [op for op in np.asarray(arch).tolist() if op]
        return "-".join(map(str, kept + [0] * (self.length - len(kept))))

    def to_graph(self, arch):
        """The chain as a labelled graph."""
        ops = [OPS[op] for op in np.asarray(arch).tolist()]
        return Graph(("input", *ops, "output"), tuple((i, i + 1) for i in range(len(ops) + 1)))

    def mutate(self, key, arch):
        """Gives one layer another operation; for evolution."""
        place, shift = jax.random.split(key)
        layer = jax.random.randint(place, (), 0, self.length)
        step = jax.random.randint(shift, (), 1, len(OPS), jnp.int32)
        return arch.at[layer].set((arch[layer] + step) % len(OPS))

    def crossover(self, key, first, second):
        """Takes each layer from either parent; for evolution."""
        return jnp.where(jax.random.bernoulli(key, 0.5, first.shape), first, second)

    # Costs.

    def num_params(self, archs):
        """Weights, norms (two numbers a channel) and the bias of the classifier; exact."""
        c, k = self.channels, self.num_classes
        each = np.array([0, c * c + 2 * c, 9 * c * c + 2 * c])
        return 9 * self.in_channels * c + 2 * c + c * k + k + each[np.asarray(archs)].sum(-1)

    def flops(self, archs):
        """Multiply-adds of convolutions and the classifier for one image; exact."""
        c, pixels = self.channels, self.image_size**2
        each = np.array([0, c * c, 9 * c * c]) * pixels
        return 9 * self.in_channels * c * pixels + c * self.num_classes + each[np.asarray(archs)].sum(-1)

    # The network.

    def init(self, key, arch, *, law="torch", dtype=None):
        """Random variables; the tree is the same for every architecture."""
        law = spaces.initial.check_law(law)
        dtype = jnp.zeros(()).dtype if dtype is None else dtype
        c = self.channels
        layers = {f"layer{i}": {name: (k, k, c, c) for name, k in KERNELS.items()} for i in range(self.length)}
        shapes = {"stem": (3, 3, self.in_channels, c), **layers, "head": (c, self.num_classes)}
        laws = jax.tree.map(lambda s: spaces.initial.weight(s, law), shapes, is_leaf=spaces.initial.is_shape)
        weights, bias = spaces.initial.draw(key, (laws, spaces.initial.bias(self.num_classes, c, law)), dtype)
        norms, stats = spaces.initial.norms({name: (c,) for name in ("stem", *layers)}, dtype)
        return Variables({"weights": weights, "bias": {"head": bias}, **norms}, stats)

    def apply(
        self, variables, arch, images, *, norm="batch", train=False, key=None, tap=None, moments=None, rescale=False
    ):
        """Forward pass: stem, layers, mean over positions, classifier."""
        forward = spaces.Forward(norm, self.precision, rescale)
        run = spaces.Runner(forward, *variables, self.site_calls(arch), tap, moments, images.dtype)
        x = run.rescale(run.activation(run.norm(run.conv(images, "stem"), "stem"), "stem"))
        for i in range(self.length):
            name = f"layer{i}"
            # Both are computed and one is taken, so the other one's gradient is zero.
            y = jnp.where(arch[i] == 2, run.conv(x, name, "conv3"), run.conv(x, name, "conv1"))
            y = run.activation(run.norm(y, name), name)
            x = run.rescale(jnp.where(arch[i] == 0, x, y))
        logits = run.linear(x.mean((1, 2)), "head")
        return Output(logits, run.stats, {**run.taps, "log_scale": run.log_scale} if rescale else run.taps)

    # What proxies ask about the layers.

    def layers(self, arch):
        """One row a layer: whether it is there, its place in the network, its tenth of the depth."""
        names = ("stem", *(f"layer{i}" for i in range(self.length)), "head")
        active = jnp.concatenate([jnp.ones(1, bool), jnp.asarray(arch) > 0, jnp.ones(1, bool)])
        count = jnp.cumsum(active.astype(jnp.int32))
        order = jnp.where(active, count, 0)
        bins = jnp.where(active, spaces.depth_bin(order, count[-1]), -1)
        return LayerTable(names, active, order, count[-1], bins)

    def layer_sums(self, terms):
        """Sums a tree shaped like the weights over each row of ``layers``."""
        middle = [terms[f"layer{i}"]["conv1"].sum() + terms[f"layer{i}"]["conv3"].sum() for i in range(self.length)]
        return jnp.stack([terms["stem"].sum(), *middle, terms["head"].sum()])

    def weight_mask(self, arch):
        """Which weights an architecture has: a tree shaped like the weights."""
        there = {name: jnp.ones((1,) * rank, bool) for name, rank in (("stem", 4), ("head", 2))}
        for i in range(self.length):
            ops = ((arch[i] == op).reshape(1, 1, 1, 1) for op in (1, 2))
            there[f"layer{i}"] = dict(zip(KERNELS, ops, strict=True))
        return there

    def site_calls(self, arch):
        """For each activation, how often it is called in each tenth of the depth: int32 [10]."""
        table = self.layers(arch)
        hot = ((table.bins[:, None] == jnp.arange(10)[None]) & table.active[:, None]).astype(jnp.int32)
        return {name: hot[i] for i, name in enumerate(table.names[:-1])}


spaces.register("chain", Chain, replace=True)
