"""Trains one architecture of any search space: ``python -m launch.train --helpshort``."""

import nasjax_commands

if __name__ == "__main__":
    nasjax_commands.train()
