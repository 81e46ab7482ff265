"""Search spaces by name."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import re
from typing import Any

from nasjax.spaces.checks import check_precision
from nasjax.types import InputError

# Name -> "module:class", or the class. It is a frozen dataclass; its fields are the options, but for those whose
# metadata say option=False. Modules are imported on demand, so that looking up one space does not pay for the others.
_SPACES: dict[str, str | type] = {
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


def register(name: str, space: type | str, *, replace: bool = False) -> None:
    """Makes a search space of your own known by a name, to `get_space` and the commands.

    Args:
      name: what it is called: small letters, digits and underscores. The space's own ``name`` must be the same.
      space: a frozen dataclass whose fields are its options, with the functions of `nasjax.spaces.SearchSpace`; or
        "module:class", which is imported when the space is asked for.
      replace: whether a space that has the name gives way; a second run of a notebook cell needs it.

    Raises:
      InputError: the name is none or is taken, or the class is no frozen dataclass.

    Example:
      >>> from nasjax import spaces
      >>> from nasjax.spaces.nasbench201 import NasBench201
      >>> spaces.register("wide201", NasBench201)  # a class of your own, see docs/add_space.md
      >>> "wide201" in spaces.names()
      True
    """
    if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise InputError(f"space name {name!r}; allowed: small letters, digits, underscores; do: call it my_space")
    if name in _SPACES and not replace:
        raise InputError(f"space {name!r} is registered already; do: take another name, or replace=True")
    if isinstance(space, str):
        if not re.fullmatch(r"[\w.]+:\w+", space):
            raise InputError(f"space {name!r}: {space!r} is not of the form module:class")
    elif not (isinstance(space, type) and dataclasses.is_dataclass(space) and _frozen(space)):
        raise InputError(
            f"space {name!r}: {space!r} is no frozen dataclass; do: write @dataclasses.dataclass(frozen=True) above "
            "the class, so that it can be hashed and compared"
        )
    _SPACES[name] = space


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

    Example:
      >>> space = get_space("nasbench201", channels=4, cells=1)
      >>> archs = space.decode(["|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"])
      >>> archs.tolist(), space.num_params(archs).tolist()
      ([[3, 0, 1, 0, 0, 2]], [8366])
    """
    if not isinstance(name, str) or name not in _SPACES:
        raise InputError(
            f"space {name!r} is unknown; allowed: {', '.join(names())}; do: {_nearest(name, names(), 'see names()')}"
        )
    registered = _SPACES[name]
    space: Any = registered
    if isinstance(registered, str):
        module, _, attribute = registered.partition(":")
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


def _frozen(space: Any) -> bool:
    return bool(space.__dataclass_params__.frozen)


def _nearest(word: Any, known: tuple[str, ...], otherwise: str) -> str:
    near = difflib.get_close_matches(str(word).lower(), known, n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise
