"""Shared settings and fixtures. The settings come first: they must precede the first use of a device."""

import contextlib
import functools
import os
import pathlib
import signal

import jax

ROOT = pathlib.Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "xla"

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
# Commands run as subprocesses keep their programs in the same place.
os.environ.setdefault("NASJAX_CACHE", str(CACHE))

# A shell without job control starts what it puts in the background deaf to Ctrl-C; tests of Ctrl-C need it heard.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402


@pytest.fixture
def x64():
    """Computes in float64 within the test."""
    with jax.enable_x64(True):
        yield


# Compiles in a third of the time, to slower code.
QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
}


@contextlib.contextmanager
def quick():
    """Compiles ahead-of-time programs, those of the driver, quickly."""
    usual = jax.stages.Lowered.compile

    def compile_quickly(lowered, *args, **kwargs):
        try:
            return usual(lowered, compiler_options=QUICK)
        except jax.errors.JaxRuntimeError:  # another version of XLA may lack an option
            return usual(lowered, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax.stages.Lowered, "compile", compile_quickly)
        yield


@pytest.fixture(scope="module")
def quick_compilation():
    """Compiles the programs of the driver quickly, for tests that spend their time on that."""
    with quick():
        yield


@pytest.fixture(scope="module")
def quick_jit():
    """Compiles quickly what is jitted within the tests of a module, if by ``jax.jit(function)`` and not nested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "jit", functools.partial(jax.jit, compiler_options=QUICK))
        yield


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The directory of reference data and golden files; skips the test where it is absent."""
    path = pathlib.Path(os.environ.get("NASJAX_SHARED", ROOT.parent / "shared"))
    if not path.is_dir():
        pytest.skip(f"reference files are not at {path}; set NASJAX_SHARED to their directory")
    return path


@pytest.fixture(scope="session")
def root() -> pathlib.Path:
    """The root of the repository, where `python -m launch.score` runs."""
    return ROOT
