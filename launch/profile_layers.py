"""Finds which layers L-SWAG should read: ``python -m launch.profile_layers --helpshort``."""

import nasjax_commands

if __name__ == "__main__":
    nasjax_commands.profile_layers()
