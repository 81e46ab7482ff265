"""Searches for the image-to-video transformations of DAS: ``python -m launch.das_search --helpshort``."""

import nasjax_commands

if __name__ == "__main__":
    nasjax_commands.das_search()
