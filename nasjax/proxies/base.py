"""What a proxy is: a name, the passes it reads, and a function that turns their statistics into a score."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from nasjax.proxies.passes import Pass, check_pass
from nasjax.types import InputError, LayerTable

PRESETS = ("paper", "nbsz")


class Facts(NamedTuple):
    """What is known of one architecture when its scores are finished.

    Attributes:
      layers: weight layers, NumPy arrays.
      num_params: trainable parameters.
      flops: multiply-adds of convolutions and linear layers for one image.
      stats: statistics of every requested pass, NumPy arrays with floats in float64.
    """

    layers: LayerTable
    num_params: int
    flops: int
    stats: Mapping[Pass, Any]


class Value(NamedTuple):
    """A finished score.

    Attributes:
      score: float; higher is better.
      raw: the value in the form the source publishes, where that differs.
      note: remark for the user, such as a sign guard that acted; empty when there is none.
    """

    score: float
    raw: float
    note: str = ""


class Proxy(NamedTuple):
    """A training-free score, as a value of pure functions.

    Attributes:
      name: registered name.
      options: sorted (option, value) pairs; what distinguishes this configuration.
      passes: passes whose statistics ``finish`` reads.
      finish: Facts -> Value, on the host in float64.
      version: raised when the same options give other numbers.
      members: of a score of a population, the proxies that are ranked; see `nasjax.proxies.population`.
      combine: of a score of a population, ranks float64 [members, n] -> scores [n].
      images_only: whether it is not defined for networks of tokens, see `nasjax.spaces.optional`.
      raw_sign: 1 if higher is better for the raw value too, -1 if lower is.
    """

    name: str
    options: tuple[tuple[str, Any], ...]
    passes: tuple[Pass, ...]
    finish: Callable[[Facts], Value]
    version: int = 1
    members: tuple[Proxy, ...] = ()
    combine: Callable[[np.ndarray], np.ndarray] | None = None
    images_only: bool = False
    raw_sign: int = 1

    @property
    def label(self) -> str:
        """Name with the options that matter, as `nasjax.proxies.parse` reads it."""
        return ":".join([self.name, *(f"{k}={_text(v)}" for k, v in self.options)])

    def check_space(self, space: Any) -> None:
        """Refuses a space on which the proxy is not defined.

        Args:
          space: search space.

        Raises:
          InputError: it is not; the message says what is missing.
        """
        if self.images_only and getattr(space, "tokens", False):
            raise InputError(f"{self.name} is not defined for networks of tokens, as of {space.name!r}; leave it out.")
        for p in self.passes:
            try:
                check_pass(space, p)
            except InputError as error:
                raise InputError(f"{self.name}: {error}") from None


def _text(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)


def check_count(name: str, option: str, value: int | None) -> None:
    """Refuses an option that is neither None nor a positive integer.

    Raises:
      InputError: it is not.
    """
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise InputError(f"{name}: {option}={value!r}; allowed is a positive integer.")


def plain(score: float) -> Value:
    """Value whose raw form is the score."""
    return Value(score, score)


NOT_FINITE = "an activation is infinite or not a number"


def where_finite(stats: Mapping[str, Any], value: Value) -> Value:
    """The value, or none where a pass of signs met a number that has none: NaN, which would count as zero.

    Args:
      stats: of the pass; "finite" says whether all it read is finite.
      value: what comes of the signs.

    Returns:
      the value, or NaN with the reason.
    """
    return value if np.all(stats["finite"]) else Value(math.nan, math.nan, NOT_FINITE)


def safe_log(value: float) -> float:
    """Natural logarithm; -inf at zero."""
    return math.log(value) if value > 0 else (-math.inf if value == 0 else math.nan)
