"""Images to score with and to train on, and tables of published accuracies."""

from nasjax.data import proxy_tables as proxy_tables
from nasjax.data import stream as stream
from nasjax.data import tables as tables
from nasjax.data.augment import AugmentConfig as AugmentConfig
from nasjax.data.batches import Batches as Batches
from nasjax.data.dataset import Dataset as Dataset
from nasjax.data.datasets import load_dataset as load_dataset
from nasjax.data.hardware import latency as latency
from nasjax.data.images import CIFAR10_MEAN as CIFAR10_MEAN
from nasjax.data.images import CIFAR10_STD as CIFAR10_STD
from nasjax.data.images import CIFAR100_MEAN as CIFAR100_MEAN
from nasjax.data.images import CIFAR100_STD as CIFAR100_STD
from nasjax.data.sources import load as load
from nasjax.data.spherical import SphericalConfig as SphericalConfig
