"""Chooses proxies that complement each other: ``python -m launch.libra --helpshort``."""

import nasjax_commands

if __name__ == "__main__":
    nasjax_commands.libra()
