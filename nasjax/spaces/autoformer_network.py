"""The AutoFormer network (Chen et al., ICCV 2021) as one program for every architecture of one width.

A vision transformer in the supernet's form: patch embedding, class token, absolute position embedding, pre-norm
blocks with 2-D relative positions, mean over patches, linear head. Blocks run in one ``lax.scan`` over slots of the
largest size; what an architecture lacks is masked and stored as zeros.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nasjax import nn
from nasjax.spaces.autoformer_codec import Choices
from nasjax.spaces.autoformer_cost import Sizes
from nasjax.spaces.autoformer_params import hidden_sizes, masks
from nasjax.types import Array, Block, PyTree, Site, Tap, Visit, Walk

_OUTSIDE = ("patch", "head", "token", "position")  # what does not belong to a block


class Network(NamedTuple):
    """Parts of one network as functions of their input.

    Attributes:
      choices: of the space; static.
      sizes: of the space; static.
      precision: matrix precision; static.
      params: see `nasjax.spaces.autoformer_params.shapes`.
      moments: tree of readers shaped like the weights, or of None.
      slots: what the blocks own, slots leading: weights, biases, norms, tables and masks.
    """

    choices: Choices
    sizes: Sizes
    precision: Any
    params: PyTree
    moments: PyTree
    slots: PyTree

    @classmethod
    def of(
        cls,
        choices: Choices,
        sizes: Sizes,
        precision: Any,
        params: PyTree,
        arch: Array,
        moments: PyTree = None,
        paths: Array | None = None,
    ) -> Network:
        """The network of an architecture int [2 + 2 D], of the width of ``params``.

        ``paths``: float [D, 2, batch], what both halves of a block are multiplied by, or None.
        """
        weights = params["weights"]
        moments = dict.fromkeys(weights) if moments is None else moments
        trees = {**params, "moments": moments}
        slots = {name: {k: v for k, v in tree.items() if k not in _OUTSIDE} for name, tree in trees.items()}
        own = masks(choices, sizes, weights["patch"].shape[-1], arch)
        if paths is not None:
            own = {**own, "kept": paths}
        return cls(choices, sizes, precision, params, moments, {**slots, **own})

    def linear(self, x: Array, name: str, slot: PyTree) -> Array:
        """The linear layer of a name among the arrays of ``slot``."""
        rows = x.shape[-1]  # the kernel of a patch is flattened
        dummy = jax.tree.map(lambda a: a.reshape(rows, -1), slot["moments"][name])
        weight, bias = slot["weights"][name].reshape(rows, -1), slot["bias"][name]
        return nn.linear(x, weight, bias=bias, precision=self.precision, moments=dummy)

    def embed(self, images: Array) -> Array:
        """Class token and patches: [batch, height, width, channels] -> [batch, 1 + patches, width]."""
        batch, size = images.shape[0], self.sizes.patch_size
        side = images.shape[1] // size
        patches = images.reshape(batch, side, size, side, size, -1).swapaxes(2, 3).reshape(batch, side * side, -1)
        x = self.linear(patches, "patch", {**self.params, "moments": self.moments})
        tokens = self.params["tokens"]
        first = jnp.broadcast_to(tokens["token"], (batch, 1, x.shape[-1]))
        return jnp.concatenate([first, x], 1) + tokens["position"]

    def attend(self, x: Array, slot: PyTree) -> Array:
        """The attention half of a block: [batch, tokens, width] -> the same; the identity beyond the depth."""
        tables = slot["tokens"]
        h = nn.layer_norm(x, slot["scale"]["attention"], slot["shift"]["attention"])
        qkv = self.linear(h, "qkv", slot).reshape(*x.shape[:2], 3, -1, self.sizes.head_dim)
        h = nn.relative_attention(
            qkv[:, :, 0],
            qkv[:, :, 1],
            qkv[:, :, 2],
            nn.RelativeTables(tables["key_vertical"], tables["key_horizontal"]),
            nn.RelativeTables(tables["value_vertical"], tables["value_horizontal"]),
            scale=self.sizes.head_dim**-0.5,
            precision=self.precision,
        ).reshape(*x.shape[:2], -1)
        h = h * slot["heads"].astype(x.dtype)[None, None]
        return x + slot["block"].astype(x.dtype) * _kept(self.linear(h, "proj", slot), slot, 0)

    def transform(self, x: Array, slot: PyTree, tap: Tap | None = None) -> tuple[Array, PyTree]:
        """The MLP half of a block, and what the tap returned."""
        h = self.linear(nn.layer_norm(x, slot["scale"]["mlp"], slot["shift"]["mlp"]), "fc1", slot)
        taps = {}
        if tap is not None:
            start = 0
            for name, end in zip(site_names(self.choices), hidden_sizes(self.choices, x.shape[-1]), strict=True):
                taps[name] = tap(Site(name, slot["calls"][name]), h[..., start:end])
                start = end
        h = jax.nn.gelu(h, approximate=False) * slot["hidden"].astype(x.dtype)[None, None]
        return x + slot["block"].astype(x.dtype) * _kept(self.linear(h, "fc2", slot), slot, 1), taps

    def normalise(self, x: Array) -> Array:
        """Last norm, and the class token left out: [batch, tokens, width] -> [batch, patches, width]."""
        return nn.layer_norm(x, self.params["scale"]["head"], self.params["shift"]["head"])[:, 1:]

    def forward(self, images: Array, calls: dict[str, Array], tap: Tap | None) -> tuple[Array, PyTree]:
        """Runs the network.

        Args:
          images: float [batch, image_size, image_size, in_channels].
          calls: activation calls of every tap site, int32 [D, 10].
          tap: called on the input of every GELU, in one piece for each ratio: the units that it adds.

        Returns:
          logits float [batch, num_classes]; taps, stacked over the slots.
        """

        def block(x: Array, slot: PyTree) -> tuple[Array, PyTree]:
            return self.transform(self.attend(x, slot), slot, tap)

        x, taps = lax.scan(block, self.embed(images), {**self.slots, "calls": calls})
        return self.linear(self.normalise(x).mean(1), "head", {**self.params, "moments": self.moments}), taps

    def walk(self, images: Array, visit: Visit) -> Walk:
        """Visits the halves of the blocks, the feature maps of AZ-NAS; see `nasjax.spaces.optional.HasBlocks`.

        The first feature map is behind the first attention: block "stem" is everything up to there. Then halves
        alternate; "mlp" and "attention" run in one loop, "last" is the last slot's MLP.
        """
        count = self.choices.slots
        there = self.slots["block"]
        pick = lambda i: jax.tree.map(lambda a: a[i], self.slots)  # noqa: E731
        seen: dict[str, PyTree] = {}

        def visited(name: str, index: Any, position: Any, active: Any, function: Any, x: Array) -> tuple[Array, PyTree]:
            block = Block(name, index, position, active, name != "head")
            (y, _), reduced = visit(block, lambda x: (function(x), {}), x)
            return y, reduced

        def step(x: Array, xs: Any) -> Any:
            i, slot, after = xs
            x, mlp = visited("mlp", 2 * i + 1, i, slot["block"], lambda x: self.transform(x, slot)[0], x)
            x, attention = visited("attention", 2 * i + 2, i, after["block"], lambda x: self.attend(x, after), x)
            return x, {"mlp": mlp, "attention": attention}

        x, seen["stem"] = visited("stem", 0, 0, there[0], lambda x: self.attend(self.embed(x), pick(0)), images)
        if count > 1:
            slots, after = (jax.tree.map(lambda a, s=s: a[s : count - 1 + s], self.slots) for s in (0, 1))
            x, both = lax.scan(step, x, (jnp.arange(count - 1), slots, after))
            seen |= both
        last = pick(count - 1)
        x, seen["last"] = visited("last", 2 * count - 1, 0, there[-1], lambda x: self.transform(x, last)[0], x)
        x, seen["head"] = visited("head", 2 * count, 0, True, self.normalise, x)
        return Walk(x, {}, seen)


def _kept(x: Array, slot: PyTree, half: int) -> Array:
    """What is added to the stream, without the paths that are left out."""
    return x * slot["kept"][half][:, None, None] if "kept" in slot else x


def site_names(choices: Choices) -> tuple[str, ...]:
    """Tap sites: the hidden units that each ratio adds to the next smaller one."""
    return tuple(f"mlp/{ratio}" for ratio in choices.ratios)
