"""Search: scores combined, limits, and algorithms that find architectures with any score."""

from nasjax.search.aggregation import aggregate as aggregate
from nasjax.search.limits import Limits as Limits
from nasjax.search.limits import TableLimit as TableLimit
from nasjax.search.selection import Selection as Selection
