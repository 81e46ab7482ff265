"""Saved states: the newest whole one is found again."""

import os
import shutil
import signal
import subprocess
import sys
import types

import jax
import numpy as np
import pytest

from nasjax import checkpoint
from nasjax.checkpoint import Checkpoints
from nasjax.types import InputError

STATE = {"a": np.arange(6, dtype=np.int32).reshape(2, 3), "b": (np.array([1.5, np.nan, -np.inf]), np.array([True]))}
LIKE = {"x": 0}
META = {"note": "text", "number": 3, "list": ["", "x"]}


def test_round_trip(tmp_path):
    with Checkpoints(tmp_path / "states") as store:
        assert store.restore(STATE) is None and store.newest_meta() == {}
        store.save(1, STATE, META)
    with Checkpoints(tmp_path / "states") as store:
        step, arrays, meta = store.restore(STATE)
        assert (step, meta) == (1, META) == (1, store.newest_meta())
        jax.tree.map(np.testing.assert_array_equal, arrays, STATE)
        assert [a.dtype for a in jax.tree.leaves(arrays)] == [a.dtype for a in jax.tree.leaves(STATE)]


def test_one_job_at_a_time(tmp_path):
    with Checkpoints(tmp_path) as first:
        first.save(1, STATE, META)
        with pytest.raises(InputError, match="The state of a job in .* belongs to a run that is going on"):
            Checkpoints(tmp_path)
        with Checkpoints(tmp_path, read_only=True) as reader:
            assert reader.restore(STATE).step == 1
    with Checkpoints(tmp_path) as second:
        assert second.steps() == [1]


def test_arrays_travel_between_processes_as_they_are():
    arrays = [np.float64(0.1), np.zeros((0, 3), np.int8), np.array([[True], [False]]), np.array(2.5, "bfloat16"),
              np.arange(6, dtype=np.float32).reshape(2, 3).T]  # fmt: skip
    found = checkpoint._unpacked(checkpoint._packed([np.asarray(a) for a in arrays]))
    for one, other in zip(arrays, found, strict=True):
        np.testing.assert_array_equal(one, other)
        assert np.asarray(one).dtype == other.dtype and np.shape(one) == other.shape and other.flags.writeable


def test_nothing_to_keep_is_a_state_too(tmp_path):
    with Checkpoints(tmp_path) as store:
        store.save(1, ((), STATE["a"]), {})
        assert store.restore(((), STATE["a"])).arrays[0] == ()


def test_the_newest_are_kept(tmp_path):
    with Checkpoints(tmp_path, keep=2) as store:
        for step in range(1, 5):
            store.save(step, {"x": np.full(1000, step)}, {"step": step})
        assert store.steps() == [3, 4]
        assert store.restore(LIKE).arrays["x"][0] == 4


def test_half_written_and_damaged_states_are_passed_over(tmp_path):
    with Checkpoints(tmp_path) as store:
        for step in (1, 2):
            store.save(step, {"x": np.full(1000, step)}, {})
    for file in (tmp_path / "2" / "state").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    shutil.copytree(tmp_path / "1", tmp_path / "3.orbax-checkpoint-tmp-0")
    with Checkpoints(tmp_path) as store:
        assert store.restore(LIKE).step == 1
        store.save(2, {"x": np.full(1000, 7)}, {})  # orbax alone would leave it out
    with Checkpoints(tmp_path) as store:
        found = store.restore(LIKE)
        assert found.step == 2 and found.arrays["x"][0] == 7


def test_a_state_without_description_is_named(tmp_path):
    with Checkpoints(tmp_path) as store:
        store.save(1, STATE, META)
        store.save(2, STATE, META)
    (tmp_path / "2" / "_CHECKPOINT_METADATA").write_text("true")
    for read_only in (True, False):
        with pytest.raises(InputError, match=r"cannot be opened .* remove the directory 2 there to go on"):
            Checkpoints(tmp_path, read_only=read_only)
    shutil.rmtree(tmp_path / "2")
    with Checkpoints(tmp_path) as store:
        assert store.restore(STATE).step == 1


def test_another_structure_is_refused(tmp_path):
    with Checkpoints(tmp_path) as store:
        store.save(1, {"x": np.zeros(2)}, {})
        with pytest.raises(InputError, match="no state in"):
            store.restore({"x": 0, "y": 0})


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        Checkpoints(tmp_path / "file" / "states")


def test_arrays_that_cannot_be_written(tmp_path, caplog):
    """Not Python writes them, so the error of a full disk is none of Python's; a limit of file sizes stands for it."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).random(100_000)
    with Checkpoints(tmp_path) as store:
        store.save(1, {"x": noise[:5]}, {})
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
        try:
            with pytest.raises(InputError, match=r"Cannot write .*: File too large. Make room"):
                store.save(2, {"x": noise}, {})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert store.restore(LIKE).step == 1 and not caplog.records
        store.save(2, {"x": noise}, {})
    with Checkpoints(tmp_path) as store:
        assert store.restore(LIKE).step == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_for_the_state(tmp_path, monkeypatch, number):
    """Ctrl-C while a state is written: it is whole, then the job stops."""
    heard = []

    def handler(number, frame):
        heard.append(number)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, handler) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        _interrupted(tmp_path, monkeypatch, number)
        assert heard == [number] and signal.getsignal(number) is handler
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_an_interrupt_without_a_handler_of_its_own(tmp_path, monkeypatch):
    _interrupted(tmp_path, monkeypatch, signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _interrupted(tmp_path, monkeypatch, number):
    with Checkpoints(tmp_path) as store:
        save = store._manager.save

        def interrupted(*args, **options):
            signal.raise_signal(number)
            return save(*args, **options)

        monkeypatch.setattr(store._manager, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.save(1, STATE, META)
        assert store.restore(STATE).step == 1


def test_orbax_is_imported_where_it_is_used(root):
    code = "import nasjax, nasjax.checkpoint, sys; assert not {'orbax', 'optax'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


@pytest.mark.slow
def test_nothing_is_lost_by_a_kill(root, tmp_path):
    """A process saves on and on and is killed: the newest state is whole."""
    code = (
        "import numpy as np, pathlib, sys; from nasjax.checkpoint import Checkpoints\n"
        "store = Checkpoints(sys.argv[1])\n"
        "for step in range(1, 10_000):\n"
        "    store.save(step, {'x': np.full(1000, step)}, {'step': step}); print(step, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "JAX_PLATFORMS": "cpu"})  # fmt: skip
    last = 0
    while last < 5:
        last = int(process.stdout.readline())
    process.kill()
    rest, _ = process.communicate()
    last = max([last, *map(int, rest.split())])
    with Checkpoints(tmp_path) as store:
        step, arrays, meta = store.restore(LIKE)
    assert step >= last and meta == {"step": step} and (arrays["x"] == step).all()


def test_a_closed_event_loop_is_not_reported(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    for _ in range(2):
        Checkpoints(tmp_path).close()
    for text in ("Event loop is closed", "something else"):
        error = RuntimeError(text)
        sys.unraisablehook(types.SimpleNamespace(exc_type=RuntimeError, exc_value=error))
    assert [own.exc_value for own in told] == [error]


@pytest.mark.parametrize(
    "text", ["Failed to write 9 bytes: No space left on device [os_error_code='28']",
             "Error writing [tensorstore_spec='{\"fill\":true}'] [os_error_code='28']"],
)  # fmt: skip
def test_what_tensorstore_says_of_a_full_disk(text, tmp_path):
    expected = "Cannot write the state of the job to .*: No space left on device. Make room"
    with pytest.raises(InputError, match=expected), checkpoint._clear_errors(tmp_path):
        raise ValueError(text)
    with pytest.raises(ValueError, match="other"), checkpoint._clear_errors(tmp_path):
        raise ValueError("other")
