"""Search spaces: frozen objects of pure functions."""
