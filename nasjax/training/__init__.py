"""Supervised training of architectures of any space: pure steps, a driver that goes on after any stop, presets."""

from nasjax.training.config import TrainConfig as TrainConfig
from nasjax.training.evaluation import evaluate as evaluate
from nasjax.training.loop import train as train
from nasjax.training.presets import preset as preset
from nasjax.training.result import TrainResult as TrainResult
from nasjax.training.saved import load_variables as load_variables
from nasjax.training.state import TrainState as TrainState
from nasjax.training.state import init_state as init_state
from nasjax.training.step import eval_step as eval_step
from nasjax.training.step import train_step as train_step
