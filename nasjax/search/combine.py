"""Which proxies to merge: LIBRA and the rules it is compared with."""

from __future__ import annotations

from nasjax.search.aggregation import aggregate as aggregate
