"""Combine proxies and search with them."""

from nasjax.search.aggregation import aggregate as aggregate
from nasjax.search.selection import Selection as Selection
