"""An evolution strategy on categorical choices, whose gradient any optax transformation applies."""

from __future__ import annotations

import dataclasses
import difflib
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from nasjax.search.base import Algorithm, History, check_count, check_number
from nasjax.spaces import genes as genes_lib
from nasjax.types import Array, InputError, PyTree

# optax takes as long to import as the rest of the package: only where a strategy is made.
if TYPE_CHECKING:
    import optax

# Of optax: those that a learning rate is enough for.
_OPTIMIZERS = (
    "adabelief", "adadelta", "adagrad", "adam", "adamax", "adamw", "lamb", "lion", "nadam", "noisy_sgd", "novograd",
    "radam", "rmsprop", "sgd", "yogi",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class EsConfig:
    """Options of the evolution strategy.

    Attributes:
      batch: architectures of a generation.
      optimizer: name of an optax optimiser that takes a learning rate, such as "adam" or "sgd"; or any
        ``optax.GradientTransformation``, such as ``optax.chain(optax.clip(1.0), optax.adam(0.1))``.
      learning_rate: of a named optimiser.
      floor: share of the uniform law in what is drawn: no choice dies out.
    """

    batch: int = 25
    optimizer: Any = "adam"
    learning_rate: float = 0.1
    floor: float = 0.05

    def __post_init__(self) -> None:
        """Checks the options."""
        check_count("es", "batch", self.batch, minimum=2)
        check_number("es", "learning_rate", self.learning_rate, low=0, high=1e3)
        check_number("es", "floor", self.floor, low=0, high=1)
        self.transformation()

    def transformation(self) -> optax.GradientTransformation:
        """The optimiser.

        Raises:
          InputError: optax has no such optimiser, or it takes more than a learning rate.
        """
        import optax

        if isinstance(self.optimizer, optax.GradientTransformation):
            return self.optimizer
        known = tuple(name for name in _OPTIMIZERS if hasattr(optax, name))
        if self.optimizer not in known:
            close = difflib.get_close_matches(str(self.optimizer), known, n=2, cutoff=0.5)
            advice = f"did you mean {' or '.join(close)}?" if close else "choose one of them"
            raise InputError(
                f"es: optimizer={self.optimizer!r}; allowed: {', '.join(known)}, or an optax.GradientTransformation; "
                f"do: {advice}"
            )
        made: optax.GradientTransformation = getattr(optax, self.optimizer)(self.learning_rate)
        return made


class EsState(NamedTuple):
    """State of the strategy.

    Attributes:
      logits: float32 [G, K], of each value of each choice.
      optimizer: state of the optax transformation.
    """

    logits: Array
    optimizer: PyTree


def es(space: Any, config: EsConfig) -> Algorithm:
    """Score-function gradient of the expected rank over independent categorical choices.

    Draws follow ``p = (1 - floor) softmax(logits) + floor uniform``. With u_i the rank of architecture i within its
    generation, scaled to [-1/2, 1/2] (ties share the mean, invalid ones are lowest), the transformation receives the
    gradient of ``-(1/n) sum_i u_i log p(choices_i)``. What was drawn at random to fill a generation does not count.

    Args:
      space: any search space; see `nasjax.spaces.genes` for its choices.
      config: options.

    Returns:
      the algorithm.

    References:
      Wierstra et al., Natural Evolution Strategies, JMLR 2014 (score function, rank shaping); Williams, Machine
      Learning 1992.
    """
    import optax

    genes = genes_lib.of_space(space)
    start = jnp.log(jnp.maximum(jnp.asarray(genes.frequencies, jnp.float32), 1e-30))
    there = jnp.asarray(genes.frequencies > 0)
    transformation = config.transformation()

    def log_probabilities(logits: Array) -> Array:
        """Of every value: float [G, K]; very small for values that a choice lacks."""
        soft = jax.nn.softmax(jnp.where(there, logits, -jnp.inf), axis=1)
        uniform = there / there.sum(1, keepdims=True)
        return jnp.log(jnp.maximum((1 - config.floor) * soft + config.floor * uniform, 1e-30))

    def init(key: Array) -> EsState:
        del key
        logits = jnp.where(there, start, 0.0)
        return EsState(logits, transformation.init(logits))

    @jax.jit
    def ask(key: Array, state: EsState, history: History) -> Array:
        del history
        logp = jnp.where(there, log_probabilities(state.logits), -jnp.inf)
        chosen = jax.random.categorical(key, logp[None], axis=-1, shape=(config.batch, logp.shape[0]))
        return jax.vmap(genes.decode)(chosen.astype(jnp.int32))

    @jax.jit
    def tell(state: EsState, history: History) -> EsState:
        own = (history.generation == history.generation.max()) & history.proposed
        utilities = _utilities(history.scores, own, config.batch)
        chosen = jax.vmap(genes.encode)(history.archs)

        def loss(logits: Array) -> Array:
            logp = log_probabilities(logits)
            picked = logp[jnp.arange(logp.shape[0])[None], jnp.maximum(chosen, 0)]
            shown = jnp.where((chosen >= 0) & own[:, None], picked, 0.0).sum(1)
            return -(utilities * shown).sum() / jnp.maximum(own.sum(), 1)

        updates, optimizer = transformation.update(jax.grad(loss)(state.logits), state.optimizer, state.logits)
        logits = optax.apply_updates(state.logits, updates)
        return EsState(logits, optimizer)

    options = dataclasses.asdict(config)
    if not isinstance(config.optimizer, str):
        options |= {"optimizer": "given as an object", "learning_rate": None}
    return Algorithm("es", options, 0, config.batch, init, ask, tell, closed=genes.closed)


def _utilities(scores: Array, own: Array, most: int) -> Array:
    """Ranks within a generation of at most ``most``, scaled to [-1/2, 1/2] with mean 0: float [N], 0 for others."""
    (index,) = jnp.nonzero(own, size=most, fill_value=own.shape[0])
    values, there = scores[index], index < own.shape[0]
    below = ((values[None] < values[:, None]) & there[None]).sum(1)
    equal = ((values[None] == values[:, None]) & there[None]).sum(1)
    rank = below + (equal - 1) / 2
    utilities = rank / jnp.maximum(own.sum() - 1, 1) - 0.5
    return jnp.zeros(own.shape, utilities.dtype).at[index].set(utilities, mode="drop")
