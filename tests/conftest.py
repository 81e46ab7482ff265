"""Shared settings and fixtures. The settings come first: they must precede the first use of a device."""

import os
import pathlib

import jax

ROOT = pathlib.Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "xla"

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
# Commands run as subprocesses keep their programs in the same place.
os.environ.setdefault("NASJAX_CACHE", str(CACHE))

import pytest  # noqa: E402


@pytest.fixture
def x64():
    """Computes in float64 within the test."""
    with jax.enable_x64(True):
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
