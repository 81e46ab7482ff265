"""Predicts which architectures are good (GRASP-GCN): ``python -m launch.grasp --helpshort``."""

import nasjax_commands

if __name__ == "__main__":
    nasjax_commands.grasp()
