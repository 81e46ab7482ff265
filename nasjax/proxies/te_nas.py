"""TE-NAS: the tangent kernel's condition number and the number of linear regions, ranked together."""

from __future__ import annotations

from nasjax.proxies import population
from nasjax.proxies.base import Proxy
from nasjax.proxies.kernels import te_ntk
from nasjax.proxies.lswag import check_preset
from nasjax.proxies.regions import te_regions


def te_nas(*, preset: str = "nbsz") -> Proxy:
    """``rank(regions) + rank(-kappa)``: linear regions and the condition number of the tangent kernel.

    See `nasjax.proxies.regions.te_regions` and `nasjax.proxies.kernels.te_ntk`. Higher is better.
    Ranks are taken within the population that is scored together, so the score belongs to it and is not stored.

    Args:
      preset: of both members.

    Returns:
      the proxy.

    References:
      Chen et al., TE-NAS, ICLR 2021, Section 3.3.
    """
    check_preset("te_nas", preset)
    members = (te_ntk(preset=preset), te_regions(preset=preset))
    return population.proxy("te_nas", (("preset", preset),), members, population.rank_sum)
