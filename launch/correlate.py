"""Measures how well scores rank architectures: ``python -m launch.correlate --helpshort``."""

import nasjax_commands

if __name__ == "__main__":
    nasjax_commands.correlate()
