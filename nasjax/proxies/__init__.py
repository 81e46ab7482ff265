"""Training-free scores of architectures."""

from nasjax.proxies.base import Facts as Facts
from nasjax.proxies.base import Proxy as Proxy
from nasjax.proxies.base import Value as Value
from nasjax.proxies.lswag import LswagConfig as LswagConfig
from nasjax.proxies.lswag import lswag as lswag
from nasjax.proxies.lswag import zico as zico
from nasjax.proxies.passes import ActivationPass as ActivationPass
from nasjax.proxies.passes import CostPass as CostPass
from nasjax.proxies.passes import FisherPass as FisherPass
from nasjax.proxies.passes import GradientPass as GradientPass
from nasjax.proxies.passes import SignPass as SignPass
from nasjax.proxies.passes import SynflowPass as SynflowPass
from nasjax.proxies.profile import IntervalProfile as IntervalProfile
from nasjax.proxies.profile import profile_interval as profile_interval
from nasjax.proxies.registry import get as get
from nasjax.proxies.registry import names as names
from nasjax.proxies.registry import parse as parse
from nasjax.proxies.registry import register as register
from nasjax.proxies.score import ScoreResult as ScoreResult
from nasjax.proxies.score import score as score
