"""Evolution: regularised (aging) evolution, and the evolution that AutoFormer searches with."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from nasjax.search.base import (
    Algorithm,
    History,
    best,
    check_count,
    check_number,
    crossover,
    mutation,
    no_state,
    pick,
    unchanged,
)
from nasjax.types import Array, InputError, PyTree


@dataclasses.dataclass(frozen=True)
class AgingConfig:
    """Options of regularised evolution. The defaults are those of the paper's search on CIFAR-10.

    Attributes:
      population: architectures that are alive: the youngest ones.
      sample: how many of them compete to be the parent.
      children: mutants that are scored in one call; the paper's workers are asynchronous, so that some of the children
        do not know each other's scores either.
    """

    population: int = 100
    sample: int = 25
    children: int = 8

    def __post_init__(self) -> None:
        """Checks the options."""
        for option in ("population", "sample", "children"):
            check_count("aging", option, getattr(self, option))
        if self.sample > self.population:
            raise InputError(
                f"aging: sample={self.sample} is more than population={self.population}; allowed: at most as many; "
                "do: lower sample"
            )


def aging(space: Any, config: AgingConfig) -> Algorithm:
    """Regularised evolution: the best of a few mutates, the oldest dies.

    Each child's parent is the best of ``sample`` draws, with replacement, from the ``population`` youngest.

    Args:
      space: search space with ``mutate``.
      config: options.

    Returns:
      the algorithm.

    References:
      Real, Aggarwal, Huang and Le, Regularized Evolution for Image Classifier Architecture Search, AAAI 2019,
      Algorithm 1.
    """
    mutate = mutation(space)

    @jax.jit
    def ask(key: Array, state: PyTree, history: History) -> Array:
        del state
        draw, move = jax.random.split(key)
        alive = jnp.minimum(config.population, history.filled)
        youngest = jax.random.randint(draw, (config.children, config.sample), history.filled - alive, history.filled)
        scores = history.scores[youngest]
        parents = jnp.take_along_axis(youngest, jnp.argmax(scores, 1, keepdims=True), 1)[:, 0]
        return mutate(jax.random.split(move, config.children), history.archs[parents])

    options = dataclasses.asdict(config)
    return Algorithm("aging", options, config.population, config.children, no_state, ask, unchanged)


@dataclasses.dataclass(frozen=True)
class EvolutionConfig:
    """Options of AutoFormer's evolution, with its defaults.

    Attributes:
      population: architectures of a generation.
      generations: how many, the first random one included: the default budget is their product with ``population``.
      parents: how many of the best seen so far have children.
      mutations: mutants in a generation.
      crossovers: children of two parents in a generation; the rest of a generation is random.
      block_rate: chance that the heads, and that the ratio, of a block is drawn anew; on AutoFormer spaces. Others
        make one move of their own.
      shape_rate: chance that the depth, and that the width, is drawn anew.
    """

    population: int = 50
    generations: int = 20
    parents: int = 10
    mutations: int = 25
    crossovers: int = 25
    block_rate: float = 0.2
    shape_rate: float = 0.4

    def __post_init__(self) -> None:
        """Checks the options."""
        for option in ("population", "generations", "parents"):
            check_count("evolution", option, getattr(self, option))
        for option in ("mutations", "crossovers"):
            check_count("evolution", option, getattr(self, option), minimum=0)
        for option in ("block_rate", "shape_rate"):
            check_number("evolution", option, getattr(self, option), low=0, high=1)
        if self.mutations + self.crossovers > self.population:
            raise InputError(
                f"evolution: mutations={self.mutations} and crossovers={self.crossovers} are more than "
                f"population={self.population}; allowed: at most as many together; do: lower them, or raise population"
            )


def evolution(space: Any, config: EvolutionConfig) -> Algorithm:
    """The evolution of AutoFormer: the best seen so far have mutants and children, in generations.

    Args:
      space: search space with ``mutate`` and ``crossover``.
      config: options.

    Returns:
      the algorithm.

    References:
      Chen, Peng, Fu and Ling, AutoFormer: Searching Transformers for Visual Recognition, ICCV 2021, and its code in
      microsoft/Cream. Two differences: the last generation counts, whose scores that code computes and drops; and a
      space's own ``crossover`` also mates parents of unequal depth.
    """
    mutate = mutation(space, block_rate=config.block_rate, shape_rate=config.shape_rate)
    cross = crossover(space)
    rest = config.population - config.mutations - config.crossovers

    @jax.jit
    def ask(key: Array, state: PyTree, history: History) -> Array:
        del state
        keys = jax.random.split(key, 6)
        top, there = best(history.scores, config.parents)
        single = history.archs[pick(keys[0], top, there, config.mutations)]
        first, second = (history.archs[pick(k, top, there, config.crossovers)] for k in keys[1:3])
        return jnp.concatenate(
            [
                mutate(jax.random.split(keys[3], config.mutations), single),
                cross(jax.random.split(keys[4], config.crossovers), first, second),
                space.sample(keys[5], rest),
            ]
        )

    options, budget = dataclasses.asdict(config), config.population * config.generations
    del options["generations"]  # the budget says it
    return Algorithm(
        "evolution",
        options,
        config.population,
        config.population,
        no_state,
        ask,
        unchanged,
        default_budget=budget,
    )
