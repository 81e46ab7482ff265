"""Chooses proxies that complement each other: ``python -m launch.libra --helpshort``."""

from nasjax.cli import libra

if __name__ == "__main__":
    libra.run()
