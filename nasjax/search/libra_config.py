"""Options of LIBRA."""

from __future__ import annotations

import dataclasses
import difflib
import math
from typing import Any

from nasjax.search.aggregation import KINDS
from nasjax.search.entropy import BINNINGS, ESTIMATORS
from nasjax.types import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class LibraConfig:
    """How LIBRA chooses and merges.

    Attributes:
      margin: a candidate's correlation lies less than this below the best; 0.1 in the paper.
      entropy: estimator, "plugin" as NAS-Bench-Suite-Zero or "miller_madow"; the paper refers to the former.
      bins: how many bins a variable has; None: round(1 + 3.322 ln n), as NAS-Bench-Suite-Zero.
      binning: "width" as NAS-Bench-Suite-Zero, or "frequency", under which z2 is nearly z1 again.
      bias: what rankings are biased towards: "params", the numbers given as ``num_params`` (the paper's choice), or the
        name of a column of scores, such as "flops".
      direction: "given": scores are taken as they are, higher is better, as in the paper; "data": a proxy that
        correlates negatively on this table, as fisher on the autoencoder of TransNAS, is turned round first.
      aggregation: how z1, z2 and z3 become one score, see ``aggregate``. The paper does not say; sums of ranks are
        what reaches its numbers.
      invalid: what NaN and infinite values mean: "raise" refuses them, "drop" leaves those architectures out,
        "suite" puts -1e8 in their place as NAS-Bench-Suite-Zero does, which is an outlier to bins of equal width.
    """

    margin: float = 0.1
    entropy: str = "plugin"
    bins: int | None = None
    binning: str = "width"
    bias: str = "params"
    direction: str = "given"
    aggregation: str = "ranksum"
    invalid: str = "raise"

    def __post_init__(self) -> None:
        """Checks the options."""
        number = isinstance(self.margin, int | float) and not isinstance(self.margin, bool)
        if not number or not 0 < self.margin < math.inf:
            raise InputError(f"margin={self.margin!r}; allowed: a number above 0, 0.1 in the paper; do: choose another")
        if self.bins is not None and (type(self.bins) is not int or self.bins < 2):
            raise InputError(f"bins={self.bins!r}; allowed: None, or a whole number from 2 up; do: choose another")
        words = {"entropy": ESTIMATORS, "binning": BINNINGS, "direction": DIRECTIONS, "aggregation": KINDS,
                 "invalid": INVALID}  # fmt: skip
        for name, allowed in words.items():
            if getattr(self, name) not in allowed:
                raise InputError(f"{name}={getattr(self, name)!r}; {_nearest(getattr(self, name), allowed)}")

    @classmethod
    def of(cls, options: dict[str, Any]) -> LibraConfig:
        """A configuration from options by name.

        Args:
          options: fields.

        Returns:
          The configuration.

        Raises:
          InputError: there is no such option, or its value is not allowed.
        """
        known = tuple(field.name for field in dataclasses.fields(cls))
        for name in options:
            if name not in known:
                raise InputError(f"libra has no option {name!r}; {_nearest(name, known)}")
        return cls(**options)


DIRECTIONS = ("given", "data")
INVALID = ("raise", "drop", "suite")


def _nearest(name: Any, allowed: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(str(name), allowed, n=2, cutoff=0.5)
    return f"allowed: {', '.join(allowed)}; do: {f'did you mean {close[0]}?' if close else 'choose one of them'}"
