"""Measures how well scores rank architectures: ``python -m launch.correlate --helpshort``."""

from nasjax.cli import correlate

if __name__ == "__main__":
    correlate.run()
