"""Predicts which architectures are good (GRASP-GCN): ``python -m launch.grasp --helpshort``."""

from nasjax.cli import grasp

if __name__ == "__main__":
    grasp.run()
