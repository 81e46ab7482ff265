"""Commands: ``python -m launch.score --helpshort``."""
