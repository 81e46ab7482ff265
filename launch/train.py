"""Trains one architecture of any search space: ``python -m launch.train --helpshort``."""

from nasjax.cli import train

if __name__ == "__main__":
    train.run()
