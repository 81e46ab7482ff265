"""Measures effective receptive fields, with and without a cell: ``python -m launch.das_erf --helpshort``."""

import nasjax_commands

if __name__ == "__main__":
    nasjax_commands.das_erf()
