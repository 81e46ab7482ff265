"""Measures effective receptive fields, with and without a cell: ``python -m launch.das_erf --helpshort``."""

from nasjax.cli import das_erf

if __name__ == "__main__":
    das_erf.run()
