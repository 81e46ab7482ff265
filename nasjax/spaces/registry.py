"""Search spaces by name."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from typing import Any

from nasjax.spaces.checks import check_precision
from nasjax.types import InputError

# Name -> "module:class". The class is a frozen dataclass; its fields are the options, but for those whose
# metadata say option=False. Modules are imported on demand, so that looking up one space does not pay for the others.
_SPACES = {
    "autoformer_base": "nasjax.spaces.autoformer:AutoFormerBase",
    "autoformer_small": "nasjax.spaces.autoformer:AutoFormerSmall",
    "autoformer_tiny": "nasjax.spaces.autoformer:AutoFormerTiny",
    "darts": "nasjax.spaces.darts:Darts",
    "kronecker": "nasjax.spaces.kronecker:Kronecker",
    "nasbench101": "nasjax.spaces.nasbench101:NasBench101",
    "nasbench201": "nasjax.spaces.nasbench201:NasBench201",
    "nasbench_macro": "nasjax.spaces.nasbench_macro:NasBenchMacro",
    "transnas_macro": "nasjax.spaces.transnas_macro:TransNasMacro",
    "transnas_micro": "nasjax.spaces.transnas_micro:TransNasMicro",
}


def names() -> tuple[str, ...]:
    """Names that ``get_space`` knows, sorted."""
    return tuple(sorted(_SPACES))


def get_space(name: str, **options: Any) -> Any:
    """Builds a search space.

    Args:
      name: one of ``names()``.
      **options: fields of the space's configuration, e.g. ``channels`` and ``image_size`` of
        ``nasbench201``; the others keep their defaults.

    Returns:
      The search space, a frozen dataclass.

    Raises:
      InputError: on an unknown name or option (with the nearest known one), or when the space refuses
        the value of an option.
    """
    if not isinstance(name, str) or name not in _SPACES:
        raise InputError(
            f"space {name!r} is unknown; allowed: {', '.join(names())}; do: {_nearest(name, names(), 'see names()')}"
        )
    module, _, attribute = _SPACES[name].partition(":")
    space = getattr(importlib.import_module(module), attribute)
    known = tuple(f.name for f in dataclasses.fields(space) if f.init and f.metadata.get("option", True))
    for option in options:
        if option not in known:
            raise InputError(
                f"option {option!r} of space {name!r} is unknown; allowed: {', '.join(known)}; "
                f"do: {_nearest(option, known, 'leave it out')}"
            )
    check_precision(name, options.get("precision", "highest"))
    return space(**options)


def _nearest(word: Any, known: tuple[str, ...], otherwise: str) -> str:
    near = difflib.get_close_matches(str(word).lower(), known, n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise
