"""Combine proxies and search with them."""

from nasjax.search.aggregation import aggregate as aggregate
from nasjax.search.combine import Choice as Choice
from nasjax.search.combine import libra as libra
from nasjax.search.comparison import Comparison as Comparison
from nasjax.search.comparison import compare as compare
from nasjax.search.libra_config import LibraConfig as LibraConfig
from nasjax.search.selection import Selection as Selection
