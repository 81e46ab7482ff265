"""Fixtures of the tests of images."""

import jax
import pytest


@pytest.fixture(scope="session")
def quick():
    """Runs a function as one program that is compiled quickly: quick(function, *arrays)."""

    def compile(function, *arguments):
        return jax.jit(function).lower(*arguments).compile()

    def run(function, *arguments):
        return compile(function, *arguments)(*arguments)

    run.compile = compile
    return run
