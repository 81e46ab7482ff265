"""Trains a network on the videos of a genotype, or a baseline: ``python -m launch.das_train --helpshort``."""

import nasjax_commands

if __name__ == "__main__":
    nasjax_commands.das_train()
