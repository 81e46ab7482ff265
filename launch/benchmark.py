"""Trains architectures on tasks and writes one table: ``python -m launch.benchmark --helpshort``."""

from nasjax.cli import benchmark

if __name__ == "__main__":
    benchmark.run()
