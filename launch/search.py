"""Searches a space for the best architecture by any score: ``python -m launch.search --helpshort``."""

from nasjax.cli import search

if __name__ == "__main__":
    search.run()
