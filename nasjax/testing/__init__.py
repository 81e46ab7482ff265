"""Checks that a release, or a user, runs: parity with golden numbers, conformance of a search space."""

from nasjax.testing.conformance import check_space as check_space
