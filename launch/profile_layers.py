"""Finds which layers L-SWAG should read: ``python -m launch.profile_layers --helpshort``."""

from nasjax.cli import profile_layers

if __name__ == "__main__":
    profile_layers.run()
