"""Search spaces: frozen objects of pure functions, and the parts that they are made of."""

from nasjax.spaces import initial as initial
from nasjax.spaces.base import SearchSpace as SearchSpace
from nasjax.spaces.base import depth_bin as depth_bin
from nasjax.spaces.registry import get_space as get_space
from nasjax.spaces.registry import names as names
from nasjax.spaces.registry import register as register
from nasjax.spaces.runner import Forward as Forward
from nasjax.spaces.runner import Runner as Runner
from nasjax.spaces.shared import Classifier as Classifier
from nasjax.spaces.shared import OneProgram as OneProgram
