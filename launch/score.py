"""Scores architectures without training them: ``python -m launch.score --helpshort``."""

import nasjax_commands

if __name__ == "__main__":
    nasjax_commands.score()
