"""Proxies by name, and the text form that commands read."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

from nasjax.proxies import az_nas, classic, dss, gradients, kernels, module_features, regions, t_cet, te_nas, wrcor, zen
from nasjax.proxies.base import Proxy
from nasjax.proxies.lswag import LswagConfig, lswag, zico
from nasjax.types import InputError

_FACTORIES: dict[str, Callable[..., Proxy]] = {
    "params": classic.params,
    "flops": classic.flops,
    "grad_norm": classic.grad_norm,
    "snip": classic.snip,
    "plain": gradients.signed_saliency,
    "l2_norm": gradients.l2_norm,
    "fisher": gradients.fisher,
    "grasp": gradients.grasp,
    "gradsign": gradients.gradsign,
    "gsnr": gradients.gsnr,
    "synflow": classic.synflow,
    "snr": gradients.snr,
    "t_cet": t_cet.t_cet,
    "jacob_cov": kernels.jacob_cov,
    "epe_nas": kernels.epe_nas,
    "te_ntk": kernels.te_ntk,
    "nwot": classic.nwot,
    "swap": classic.swap,
    "reg_swap": classic.reg_swap,
    "zico": zico,
    "zen": zen.zen,
    "az_expressivity": az_nas.az_expressivity,
    "az_progressivity": az_nas.az_progressivity,
    "az_trainability": az_nas.az_trainability,
    "az_nas": az_nas.az_nas,
    "te_regions": regions.te_regions,
    "te_nas": te_nas.te_nas,
    "meco": module_features.meco,
    "dextr": module_features.dextr,
    "wrcor": wrcor.wrcor,
    "dss": dss.dss,
    "lswag": lswag,
}
_TEXT_OPTIONS = ("preset", "sign_guard")  # here "none" is a word, not None


def names() -> tuple[str, ...]:
    """Registered proxies."""
    return tuple(_FACTORIES)


def get(name: str, *, preset: str = "nbsz", **options: Any) -> Proxy:
    """A proxy by name.

    Args:
      name: registered name.
      preset: "nbsz" (one batch, one default initialisation, everything shared) or "paper".
      **options: the proxy's own options.

    Returns:
      the proxy.

    Raises:
      InputError: unknown name, option or value; the nearest names are offered.
    """
    if name not in _FACTORIES:
        raise InputError(f"Unknown proxy {name!r}.{_nearest(name, names())} Allowed: {', '.join(names())}, all.")
    known = _options(name)
    for option in options:
        if option not in known:
            raise InputError(
                f"Proxy {name!r} has no option {option!r}.{_nearest(option, known)} Allowed: {', '.join(known)}."
            )
    try:
        return _FACTORIES[name](preset=preset, **options)
    except InputError as error:
        # Proxies share parts, whose messages name another proxy than the one asked for.
        first, _, rest = str(error).partition(": ")
        raise InputError(f"{name}: {rest if first in _FACTORIES else error}") from None


def offers(space: Any, proxy: Proxy) -> bool:
    """Whether a space offers everything that a proxy reads."""
    try:
        proxy.check_space(space)
    except InputError:
        return False
    return True


def parse(text: str | Sequence[str | Proxy], *, preset: str = "nbsz", space: Any = None) -> tuple[Proxy, ...]:
    """Proxies from text such as ``"lswag,zico:preset=paper,swap:samples=16"`` or ``"all"``.

    Args:
      text: comma-separated text, or a sequence of such texts and finished proxies.
      preset: preset of proxies that name none.
      space: limits "all" to what is defined on this space; None for no limit.

    Returns:
      proxies in the order given, without repetition.

    Raises:
      InputError: unknown name, option or value, or nothing given.
    """
    parts: list[str | Proxy] = []
    items = [text] if isinstance(text, str) else text
    if (
        isinstance(items, Proxy)
        or not isinstance(items, Sequence)
        or any(not isinstance(item, str | Proxy) for item in items)
    ):
        raise InputError(f"Proxies {text!r}; allowed are names, or a sequence of names and finished proxies.")
    for item in items:
        parts += [p.strip() for p in item.split(",")] if isinstance(item, str) else [item]
    found: list[Proxy] = []
    for part in parts:
        if isinstance(part, Proxy):
            found.append(part)
        elif part == "all":
            every = [get(name, preset=preset) for name in names()]
            found += [p for p in every if space is None or offers(space, p)]
        elif part:
            name, *pairs = part.split(":")
            options: dict[str, Any] = {}
            for pair in pairs:
                option, sign, value = pair.partition("=")
                if not sign:
                    raise InputError(f"Proxy {part!r}: {pair!r} is not of the form option=value.")
                option, value = option.strip(), value.strip()
                options[option] = value if option in _TEXT_OPTIONS else _value(value)
            found.append(get(name.strip(), **({"preset": preset} | options)))
    unique = {(p.name, p.options): p for p in found}
    if not unique:
        raise InputError(f"No proxy given. Allowed: {', '.join(names())}, all.")
    return tuple(unique.values())


def column_names(proxies: Sequence[Proxy]) -> list[str]:
    """Distinct column names: the proxy's name, where one occurs twice with the options that are not the default."""
    counts = [sum(q.name == p.name for q in proxies) for p in proxies]
    names = [p.name if n == 1 else _short(p) for p, n in zip(proxies, counts, strict=True)]
    return names if len(set(names)) == len(names) else [p.label for p in proxies]


def _short(proxy: Proxy) -> str:
    usual = get(proxy.name).options if proxy.name in _FACTORIES else ()
    return proxy._replace(options=tuple(o for o in proxy.options if o not in usual)).label


def _options(name: str) -> tuple[str, ...]:
    if name == "lswag":
        return ("preset", *(f for f in LswagConfig.__dataclass_fields__))
    return tuple(inspect.signature(_FACTORIES[name]).parameters)


def _value(text: str) -> Any:
    if text.lower() in ("none", "all"):
        return None if text.lower() == "none" else text
    try:
        return int(text)
    except ValueError:
        pass
    bins = re.fullmatch(r"([0-9]{1,9})-([0-9]{1,9})", text)
    if bins:
        return int(bins[1]), int(bins[2])
    try:
        return float(text)
    except ValueError:
        return text


def _nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=2, cutoff=0.5)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
