"""A space's network as a Flax module has the space's own scores."""

import jax
import numpy as np
import pytest

import nasjax
from nasjax.own_model import score_model

from .conftest import NB201, linen_201, own_variables
