"""RankGCN: graph convolutions, a readout, and a head that gives one score; Flax Linen on jraph or on dense matrices."""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import jraph

from nasjax.grasp.config import ModelConfig
from nasjax.grasp.features import Inputs
from nasjax.types import Array

_LEVELS = 1 << 16


class Readings(NamedTuple):
    """What the network says of b graphs.

    Attributes:
      score: float [b], higher is better.
      pair: float [b, 2], parts of the pair head: graph i is better than j with the logit pair[i, 0] + pair[j, 1]; the
        score is their antisymmetric part. Zero without a pair head.
      auxiliary: float [b, p], predicted proxies; for pre-training.
      embedding: float [b, width].
    """

    score: Array
    pair: Array
    auxiliary: Array
    embedding: Array


class RankGCN(nn.Module):
    """The ranking network.

    Attributes:
      config: options of the network.
      auxiliary: number of proxies that are predicted in pre-training.
      pair_head: whether there is a head for pairs (BRP-NAS) in place of one for scores.
    """

    config: ModelConfig
    auxiliary: int = 0
    pair_head: bool = False

    @nn.compact
    def __call__(self, inputs: Inputs, *, train: bool = False) -> Readings:
        """Scores a batch.

        Args:
          inputs: of b graphs.
          train: whether activations are dropped; needs a key named "dropout".

        Returns:
          scores and the rest.
        """
        config = self.config
        precision = _precision(config)
        nodes = inputs.nodes
        for layer in range(config.layers):
            before = nodes
            nodes = GraphConvolution(config, name=f"layer_{layer}")(nodes, inputs.links)
            if config.norm:
                nodes = nn.LayerNorm(name=f"norm_{layer}")(nodes)
            nodes = Dropout(config.dropout, name=f"dropout_{layer}")(nn.relu(nodes), train=train)
            if config.residual and layer:
                nodes = nodes + before
        embedding = (nodes * inputs.mask[..., None]).sum(1) / jnp.maximum(inputs.mask.sum(1), 1)[:, None]
        auxiliary = embedding[:, :0]
        if self.auxiliary:
            auxiliary = nn.Dense(self.auxiliary, precision=precision, name="auxiliary")(embedding)
        hidden = embedding
        if config.head:
            # What stands beside the graph meets it before the non-linearity.
            both = jnp.concatenate([embedding, inputs.whole], -1)
            hidden = nn.relu(nn.Dense(config.head, precision=precision, name="head")(both))
            hidden = Dropout(config.dropout, name="dropout_head")(hidden, train=train)
        read = jnp.concatenate([hidden, inputs.whole], -1)
        if self.pair_head:
            pair = nn.Dense(2, precision=precision, name="pair")(read)
            # logit(i, j) - logit(j, i) = (u + v) . (e_i - e_j): the order that the pair head means, free of cycles.
            return Readings((pair[:, 0] - pair[:, 1]) / 2, pair, auxiliary, embedding)
        score = nn.Dense(1, precision=precision, name="score")(read)[:, 0]
        return Readings(score, jnp.zeros((len(score), 2), score.dtype), auxiliary, embedding)


class GraphConvolution(nn.Module):
    """One propagation: aggregate(H W) + b, by dense matrices or by jraph.

    Attributes:
      config: options of the network.
    """

    config: ModelConfig

    @nn.compact
    def __call__(self, nodes: Array, links: Array) -> Array:
        """Propagates once.

        Args:
          nodes: float [b, M, F].
          links: see `Inputs`.

        Returns:
          float [b, M, width].
        """
        ways = 2 if self.config.direction == "bi" else 1
        weights = nn.Dense(ways * self.config.width, use_bias=False, precision=_precision(self.config), name="weights")
        bias = self.param("bias", nn.initializers.zeros_init(), (self.config.width,))
        if self.config.implementation == "jraph":
            return self._by_jraph(weights, nodes, links) + bias[None, None]
        values = weights(nodes)
        parts = jnp.split(values, ways, -1)
        spread = [jnp.einsum("bij,bjd->bid", links[:, i], part, precision="highest") for i, part in enumerate(parts)]
        return sum(spread[1:], spread[0]) / ways + bias[None, None]

    def _by_jraph(self, weights: nn.Dense, nodes: Array, links: Array) -> Array:
        direction = self.config.direction
        graph = to_tuple(nodes, links)
        graph = graph._replace(nodes=weights(graph.nodes))
        if direction == "bi":
            forward, backward = jnp.split(graph.nodes, 2, -1)
            mean = jraph.GraphConvolution(_same, jraph.segment_mean, add_self_edges=True, symmetric_normalization=False)
            there = mean(graph._replace(nodes=forward)).nodes
            back = mean(graph._replace(nodes=backward, senders=graph.receivers, receivers=graph.senders)).nodes
            found = (there + back) / 2
        else:
            step = jraph.GraphConvolution(_same, add_self_edges=True, symmetric_normalization=direction == "sym")
            found = step(graph).nodes
        return found[:-1].reshape(*nodes.shape[:2], self.config.width)


class Dropout(nn.Module):
    """Dropout from 16 random bits a value; the usual 32 take longer to draw than a layer takes to compute.

    Attributes:
      rate: share of the values that become zero, to within 2^-16.
    """

    rate: float

    @nn.compact
    def __call__(self, values: Array, *, train: bool) -> Array:
        """Drops values while training.

        Args:
          values: float [...].
          train: whether to.

        Returns:
          float [...].
        """
        dropped = round(self.rate * _LEVELS)
        if not train or not dropped:
            return values
        bits = jax.random.bits(self.make_rng("dropout"), values.shape, jnp.uint16)
        return jnp.where(bits >= dropped, values / (1 - dropped / _LEVELS), 0)


def to_tuple(nodes: Array, links: Array) -> jraph.GraphsTuple:
    """A padded batch as jraph sees it; traceable.

    Every graph keeps its M places, those without a node being isolated, and one graph of one node follows: edges that
    fill up lead from it to itself, as in `jraph.pad_with_graphs`.

    Args:
      nodes: float [b, M, F].
      links: int32 [b, 2, E], M for none.

    Returns:
      the tuple, of b + 1 graphs.
    """
    count, size, _ = nodes.shape
    spare = count * size
    shifted = jnp.where(links < size, links + size * jnp.arange(count)[:, None, None], spare)
    return jraph.GraphsTuple(
        nodes=jnp.concatenate([nodes.reshape(spare, -1), jnp.zeros((1, nodes.shape[-1]), nodes.dtype)]),
        edges=None,
        senders=shifted[:, 0].reshape(-1),
        receivers=shifted[:, 1].reshape(-1),
        globals=None,
        n_node=jnp.append(jnp.full(count, size), 1),
        n_edge=jnp.append(jnp.full(count, links.shape[2]), 0),
    )


def _precision(config: ModelConfig) -> str | None:
    return None if config.precision == "fast" else "highest"


def _same(nodes: Array) -> Array:
    return nodes
