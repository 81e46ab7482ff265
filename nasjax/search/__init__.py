"""Search: scores combined, limits, and algorithms that find architectures with any score."""

from nasjax.search.aggregation import aggregate as aggregate
from nasjax.search.combine import Choice as Choice
from nasjax.search.combine import libra as libra
from nasjax.search.comparison import Comparison as Comparison
from nasjax.search.comparison import compare as compare
from nasjax.search.libra_config import LibraConfig as LibraConfig
from nasjax.search.limits import Limits as Limits
from nasjax.search.limits import TableLimit as TableLimit
from nasjax.search.objectives import FunctionObjective as FunctionObjective
from nasjax.search.objectives import Objective as Objective
from nasjax.search.objectives import Outcome as Outcome
from nasjax.search.objectives import TableObjective as TableObjective
from nasjax.search.objectives import WeightedObjective as WeightedObjective
from nasjax.search.predictor_objective import PredictorObjective as PredictorObjective
from nasjax.search.proxy_objective import ProxyObjective as ProxyObjective
from nasjax.search.prune import PruneResult as PruneResult
from nasjax.search.prune import prune as prune
from nasjax.search.pruning import PruneConfig as PruneConfig
from nasjax.search.registry import get_algorithm as get_algorithm
from nasjax.search.result import SearchResult as SearchResult
from nasjax.search.run import evolve as evolve
from nasjax.search.run import search as search
from nasjax.search.selection import Selection as Selection
