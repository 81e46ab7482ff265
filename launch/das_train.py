"""Trains a network on the videos of a genotype, or a baseline: ``python -m launch.das_train --helpshort``."""

from nasjax.cli import das_train

if __name__ == "__main__":
    das_train.run()
