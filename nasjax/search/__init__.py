"""Combine proxies and search with them."""

from nasjax.search.aggregation import aggregate as aggregate
from nasjax.search.limits import Limits as Limits
from nasjax.search.limits import TableLimit as TableLimit
from nasjax.search.selection import Selection as Selection
