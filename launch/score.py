"""Scores architectures without training them: ``python -m launch.score --helpshort``."""

from nasjax.cli import score

if __name__ == "__main__":
    score.run()
