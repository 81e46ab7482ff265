"""Trains architectures on tasks and writes one table: ``python -m launch.benchmark --helpshort``."""

import nasjax_commands

if __name__ == "__main__":
    nasjax_commands.benchmark()
