"""What JAX says of a scan in a traced program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def operand_counts(params: Mapping[str, Any]) -> tuple[int, int]:
    """Of the operands of a scan: how many are constants, and how many are carried; the others are scanned over.

    Args:
      params: of the equation.

    Returns:
      two numbers.
    """
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    consts, carry, _ = params["ft_in"].unpack()  # since JAX 0.12
    return len(consts), len(carry)
