"""One run at a time."""

import errno
import subprocess
import sys

import pytest

from nasjax.locking import FILENAME, Lock
from nasjax.types import InputError


def test_a_second_run_is_refused_until_the_first_ends(tmp_path):
    first = Lock.take(tmp_path, what="The state")
    with pytest.raises(InputError, match=r"The state in .* belongs to a run that is going on \(process \d+ on .+\)"):
        Lock.take(tmp_path, what="The state")
    first.release()
    Lock.take(tmp_path, what="The state").release()


def test_a_killed_run_leaves_no_lock(tmp_path):
    code = (
        "import sys, time; from nasjax.locking import Lock\n"
        "lock = Lock.take(sys.argv[1], what=''); print('taken', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "taken\n"
        with pytest.raises(InputError, match=f"process {process.pid} on"):
            Lock.take(tmp_path, what="The state")
        process.kill()
        process.wait()
    Lock.take(tmp_path, what="The state").release()


def test_a_file_system_without_locks_is_gone_on_without(tmp_path, monkeypatch, caplog):
    import fcntl

    def none(*unused):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    Lock.take(tmp_path, what="The state").release()
    assert "is not locked (No locks available)" in caplog.text and (tmp_path / FILENAME).exists()
