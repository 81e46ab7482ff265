"""Searches for the image-to-video transformations of DAS: ``python -m launch.das_search --helpshort``."""

from nasjax.cli import das_search

if __name__ == "__main__":
    das_search.run()
