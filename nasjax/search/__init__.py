"""Search: limits, and algorithms that find architectures with any score."""

from nasjax.search.limits import Limits as Limits
from nasjax.search.limits import TableLimit as TableLimit
