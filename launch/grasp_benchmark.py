"""Builds a benchmark of the Kronecker space: ``python -m launch.grasp_benchmark --helpshort``."""

from nasjax.cli import grasp_benchmark

if __name__ == "__main__":
    grasp_benchmark.run()
