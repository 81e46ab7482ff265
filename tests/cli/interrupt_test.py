"""Ctrl-C and SIGTERM at awkward moments. The programs load interrupt.py alone, so that they start at once."""

import os
import signal
import subprocess
import sys

import pytest

PROGRAM = """
import contextlib, hashlib, importlib.util, signal, sys, threading, time
spec = importlib.util.spec_from_file_location("interrupt", sys.argv[1])
interrupt = importlib.util.module_from_spec(spec)
spec.loader.exec_module(interrupt)
grace = {"native_grace": 60, "grace": 60} | {
    "compiled": {"native_grace": 0.3}, "writing": {"native_grace": 0.3}, "swallowed": {"grace": 0.3}
}.get(sys.argv[2], {})

class Noisy:
    def __del__(self):
        time.sleep(60)

with interrupt.listening(lambda: "farewell", restore=False, **grace) as listener:
    try:
        threading.Timer(0.5, lambda: print("ready", flush=True)).start()  # once the main thread is busy
        if sys.argv[2] == "compiled":  # holds no lock and hears no signal, as a compiler does
            hashlib.pbkdf2_hmac("sha256", b"x", b"y", 10**9)
        if sys.argv[2] == "callback":
            Noisy()
        if sys.argv[2] == "writing":  # puts signals off, as those who write states do
            asked = []
            before = signal.signal(signal.SIGINT, lambda number, frame: asked.append(number))
            while not asked:
                time.sleep(0.1)
            time.sleep(1)
            signal.signal(signal.SIGINT, before)
            before(*asked, None)
        time.sleep(60)
    except KeyboardInterrupt:
        print("heard", flush=True)
        if sys.argv[2] == "stubborn":
            with contextlib.suppress(KeyboardInterrupt):
                time.sleep(60)
            time.sleep(60)
        if sys.argv[2] == "swallowed":
            time.sleep(60)
        listener.finished()
        sys.exit(listener.code)
"""


@pytest.fixture
def start(root):
    started = []

    def begin(kind, *, before="", **options):
        command = [sys.executable, "-c", f"{before}\n{PROGRAM}", str(root / "nasjax" / "cli" / "interrupt.py"), kind]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def ended(process):
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_is_an_interrupt_of_the_main_thread(start, number, code):
    process = start("plain")
    process.send_signal(number)
    assert ended(process) == (code, "heard\n", "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_compiled_code_that_does_not_return(start, number, code):
    process = start("compiled")
    process.send_signal(number)
    assert ended(process) == (code, "", "farewell\n")


def test_a_state_that_is_being_written_is_waited_for(start):
    process = start("writing")
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "heard\n", "")


def test_a_second_signal_ends_at_once(start):
    process = start("stubborn")
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "heard\n"
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "", "farewell\n")


@pytest.mark.parametrize("kind", ["swallowed", "callback"])
def test_an_interrupt_that_is_swallowed_ends_the_process_all_the_same(start, kind):
    process = start(kind)
    process.send_signal(signal.SIGINT)
    code, _, err = ended(process)
    assert (code, err) == (130, "farewell\n")


def test_what_is_ignored_stays_ignored(start):
    process = start("plain", before="import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (143, "heard\n", "")


def test_loading_the_libraries(root, tmp_path):
    # A package of the same name that takes its time to load.
    (tmp_path / "nasjax").mkdir()
    (tmp_path / "nasjax" / "__init__.py").write_text("import time\nprint('loading', flush=True)\ntime.sleep(60)\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])}
    command = [sys.executable, "-c", "import nasjax_commands; nasjax_commands.score()"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)  # fmt: skip
    assert process.stdout.readline() == "loading\n"
    process.send_signal(signal.SIGINT)
    code, _, err = ended(process)
    assert code == 130 and err.startswith("Stopped while starting") and "Traceback" not in err


def test_handlers_are_restored():
    from nasjax.cli import interrupt

    before = [signal.getsignal(number) for number in interrupt.SIGNALS]
    with pytest.raises(KeyboardInterrupt), interrupt.listening(lambda: "", restore=True) as listener:
        assert signal.getsignal(signal.SIGTERM) == listener.handle
        signal.raise_signal(signal.SIGTERM)
    assert listener.code == 143
    assert [signal.getsignal(number) for number in interrupt.SIGNALS] == before
