"""Checks that a release, or a user, runs: parity with golden numbers."""
