"""Fixtures of the tests of images."""

import jax
import pytest

QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


@pytest.fixture(scope="session")
def quick():
    """Runs a function as one program that is compiled quickly: quick(function, *arrays)."""

    def compile(function, *arguments):
        return jax.jit(function).lower(*arguments).compile(compiler_options=QUICK)

    def run(function, *arguments):
        return compile(function, *arguments)(*arguments)

    run.compile = compile
    return run
