"""Builds tables of trained accuracies: architectures on tasks, every epoch, resumable at any moment."""

from nasjax.benchmark.config import BenchmarkConfig as BenchmarkConfig
from nasjax.benchmark.early_stop import offline_epoch as offline_epoch
from nasjax.benchmark.early_stop import online_epoch as online_epoch
from nasjax.benchmark.early_stop import rank_stability as rank_stability
from nasjax.benchmark.plan import sample_distinct as sample_distinct
from nasjax.benchmark.reader import curves as curves
from nasjax.benchmark.reader import read_table as read_table
from nasjax.benchmark.reader import seed_agreement as seed_agreement
from nasjax.benchmark.reader import targets as targets
from nasjax.benchmark.reader import wide as wide
from nasjax.benchmark.runner import build as build
from nasjax.benchmark.shipped import kronecker_about as kronecker_about
from nasjax.benchmark.shipped import kronecker_space as kronecker_space
from nasjax.benchmark.shipped import kronecker_table as kronecker_table
from nasjax.benchmark.standard import standard_trainer as standard_trainer
from nasjax.benchmark.tasks import prepare as prepare
from nasjax.benchmark.trainer import Trainer as Trainer
