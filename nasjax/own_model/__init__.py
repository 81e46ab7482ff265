"""Scores of any JAX model: its layers and activations are found in the traced program."""

from nasjax.own_model.model import Model as Model
from nasjax.own_model.scoring import describe_models as describe_models
from nasjax.own_model.scoring import score_model as score_model
from nasjax.own_model.scoring import score_models as score_models
