"""Searches a space for the best architecture by any score: ``python -m launch.search --helpshort``."""

import nasjax_commands

if __name__ == "__main__":
    nasjax_commands.search()
