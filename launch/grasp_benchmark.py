"""Builds a benchmark of the Kronecker space: ``python -m launch.grasp_benchmark --helpshort``."""

import nasjax_commands

if __name__ == "__main__":
    nasjax_commands.grasp_benchmark()
