"""Neural architecture search in JAX, almost without training."""

from nasjax import data as data
from nasjax import grasp as grasp
from nasjax import metrics as metrics
from nasjax import own_model as own_model
from nasjax import proxies as proxies
from nasjax import search as search
from nasjax import spaces as spaces
from nasjax.own_model import score_model as score_model
from nasjax.own_model import score_models as score_models
from nasjax.proxies.score import ScoreResult as ScoreResult
from nasjax.proxies.score import score as score
from nasjax.spaces.registry import get_space as get_space
from nasjax.types import Batch as Batch
from nasjax.types import InputError as InputError
from nasjax.types import Output as Output
from nasjax.types import Variables as Variables

__version__ = "0.1.0"
