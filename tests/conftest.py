"""Shared settings and fixtures. The settings come first: they must precede the first use of a device."""

import gc
import os
import pathlib
import signal
import subprocess
import sys

import jax

ROOT = pathlib.Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "xla"

# Tests spend their time on compiling. These options halve that, for them and the commands they run; numbers differ by
# rounding alone. Whoever sets XLA_FLAGS decides: XLA_FLAGS= make test compiles as users do.
QUICK = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true --xla_cpu_use_fusion_emitters=false"
)


def _known(flags: str) -> bool:
    """Whether this version of XLA has the options: it ends the process at one that it lacks."""
    if jax.__version__.startswith("0.10."):
        return True
    command = [sys.executable, "-c", "import jax; jax.devices()"]
    return not subprocess.run(command, env=os.environ | {"XLA_FLAGS": flags}, capture_output=True).returncode


if "XLA_FLAGS" not in os.environ:
    fewer = QUICK.rpartition(" ")[0]  # JAX 0.12 lacks the last one
    os.environ["XLA_FLAGS"] = next((flags for flags in (QUICK, fewer) if _known(flags)), "")

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


@pytest.fixture(scope="module", autouse=True)
def few_programs():
    """Drops compiled programs after a module once they have become many.

    Thousands of tests in one process keep 8 GB of them, in tens of thousands of memory maps. Linux allows a process
    65,530, and the compiler dies where there are no more.
    """
    yield
    maps = pathlib.Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 8000:
        jax.clear_caches()
        gc.collect()


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
