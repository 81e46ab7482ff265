"""What all commands share: exit codes, messages, the compilation cache, the record of a run."""

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import jax
import pytest

from nasjax import parallel
from nasjax.cli import common
from nasjax.types import InputError

COMMAND = '''
"""Does a small thing.

  python small.py --workdir=runs/x
"""
import dataclasses
from nasjax import parallel
from nasjax.cli import common

@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(common.RunConfig):
    do: str = common.option("work", "What to do.", section="What")

def main(config):
    if config.do == "work":
        common.stdout().print(f"seed {config.seed}")
    elif config.do == "talk":
        for _ in range(100000):
            print("a line of many")
    elif config.do == "wait":
        import time
        print("ready", flush=True)
        time.sleep(60)
    elif config.do == "memory":
        import jax
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 10 GiB")
    elif config.do == "bug":
        raise RuntimeError("a bug")
    else:
        raise common.InputError(f"[bold]{config.do}[/bold] is not allowed;\\nallowed: work")

if __name__ == "__main__":
    common.run(main, Config)
'''


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(common.RunConfig):
    size: int = common.option(1, "Size.", section="What")


@pytest.fixture(scope="module")
def command(tmp_path_factory, root):
    path = tmp_path_factory.mktemp("command") / "small.py"
    path.write_text(textwrap.dedent(COMMAND))
    environment = {**os.environ, "PYTHONPATH": str(root)}

    def start(*argv, **options):
        return subprocess.Popen([sys.executable, str(path), *argv], env=environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    return start


def ended(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_exit_codes(command):
    runs = {
        what: command("--workdir=x", f"--do={what}") for what in ("work", "nothing", "memory", "bug")
    }
    runs["flag"] = command("--wrkdir=x")
    runs["help"] = command("--helpshort")
    code, out, err = ended(runs["work"])
    assert (code, out, err) == (0, "seed 0\n", "")
    code, out, err = ended(runs["nothing"])
    assert (code, out, err) == (2, "", "[bold]nothing[/bold] is not allowed;\nallowed: work\n")
    code, _, err = ended(runs["memory"])
    assert code == 1 and "smaller --chunk" in err and "Traceback" not in err
    code, _, err = ended(runs["bug"])
    assert code == 1 and "Traceback" in err
    code, _, err = ended(runs["flag"])
    assert (code, err) == (2, "Unknown flag --wrkdir. Did you mean --workdir? --helpshort lists all flags.\n")
    code, out, err = ended(runs["help"])
    assert code == 0 and err == ""
    assert out.startswith("Does a small thing.\n\n  python small.py --workdir=runs/x\n\nUsage: python ")
    assert out.index("What:") < out.index("Output:") < out.index("How to run:")


def test_interrupted_by_the_user(command):
    process = command("--workdir=x", "--do=wait")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    code, _, err = ended(process)
    assert code == 130 and err.startswith("Stopped.") and "Traceback" not in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_a_stopped_run_says(tmp_path, capsys, number, code):
    def main(config):
        common.write_run_flags(tmp_path, config)
        with common.progress("Scoring") as report:
            report(0, 5)
            if config.size:
                report(2, 5)
                signal.raise_signal(number)

    def said(*argv, **kept):
        with pytest.raises(SystemExit) as end:
            common.run(main, Config, argv=argv, **kept)
        return end.value.code, capsys.readouterr().err.partition("Stopped")[2]

    ended, text = said(f"--workdir={tmp_path}", kept="every finished block")
    assert ended == code
    assert text.startswith(f" at 2 of 5 architectures. Saved in {tmp_path}: every finished block. Go on by\n")
    assert text.endswith(f" --flagfile={tmp_path / 'run.flags'}\n")
    ended, text = said(f"--workdir={tmp_path}", "--seed=3", kept=lambda config: "")
    assert ended == code and "this run leaves none" in text
    assert said(f"--workdir={tmp_path}", "--size=0") == (0, "")


def test_stopped_before_anything_was_done(tmp_path, capsys):
    def main(config):
        raise KeyboardInterrupt

    for workdir, expected in {tmp_path / "new": "nothing was written", tmp_path: "holds is as it was"}.items():
        with common.progress("Scoring"), pytest.raises(SystemExit) as end:
            common.run(main, Config, argv=[f"--workdir={workdir}", "--size=4"], kept="every finished block")
        assert end.value.code == 130
        err = capsys.readouterr().err
        assert err.startswith("Stopped while starting;") and expected in err and err.endswith("--size=4\n")


def test_a_directory_that_cannot_be_written(tmp_path):
    common.check_writable(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="Not a directory. Use a --workdir"):
        common.check_writable(tmp_path / "file" / "x")


def test_symbols_are_no_pictures(capsys):
    common.note("--archs=random:x: is no count")  # rich would draw :x:
    assert capsys.readouterr().err == "--archs=random:x: is no count\n"


def test_a_reader_that_leaves(command):
    process = command("--workdir=x", "--do=talk")
    process.stdout.readline()
    process.stdout.close()
    assert "Traceback" not in process.stderr.read() and process.wait(60) == 1
    process.stderr.close()


def test_compile_cache(monkeypatch, tmp_path, capsys):
    known = jax.config.jax_compilation_cache_dir
    assert common.enable_compile_cache() == pathlib.Path(known)  # one that is set is left alone
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        monkeypatch.setenv("NASJAX_CACHE", "off")
        assert common.enable_compile_cache() is None
        (tmp_path / "file").touch()
        monkeypatch.setenv("NASJAX_CACHE", str(tmp_path / "file" / "cache"))
        assert common.enable_compile_cache() is None
        assert "Compiled programs are not kept" in capsys.readouterr().err
        monkeypatch.setenv("NASJAX_CACHE", str(tmp_path / "cache"))
        assert common.enable_compile_cache() == tmp_path / "cache"
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "cache")
    finally:
        jax.config.update("jax_compilation_cache_dir", known)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def test_run_flags_repeat_a_run(tmp_path):
    config = Config(workdir=str(tmp_path), size=3, run_flags=f"--size=3\n--workdir={tmp_path}\n")
    path = common.write_run_flags(tmp_path, config)
    seen = []
    with pytest.raises(SystemExit) as end:
        common.run(seen.append, Config, argv=[f"--flagfile={path}"])
    assert end.value.code == 0
    assert seen == [config] and seen[0].run_flags == config.run_flags


def test_run_in_process_reports_bad_input(capsys):
    def main(config):
        raise InputError(f"size {config.size} is wrong")

    with pytest.raises(SystemExit) as end:
        common.run(main, Config, argv=["--workdir=x", "--size=9"])
    assert end.value.code == 2
    assert capsys.readouterr().err == "size 9 is wrong\n"


def test_a_question_is_no_order(capsys):
    def main(config):
        raise InputError("space 'x' is unknown; allowed: y; do: did you mean 'y'?")

    with pytest.raises(SystemExit):
        common.run(main, Config, argv=["--workdir=x"])
    assert capsys.readouterr().err == "space 'x' is unknown; allowed: y; did you mean 'y'?\n"


def test_compared_leaves_out_where():
    assert common.compared(Config(workdir="a", run_flags="--size=1")) == common.compared(Config(workdir="b"))
    assert set(common.NOT_COMPARED) <= set(common.compared(Config(workdir="a")))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shared(common.ProcessesConfig, common.JobConfig):
    size: int = common.option(1, "Size.", section="What")


def test_flags_of_processes_are_checked_first(capsys):
    def never(config):
        raise AssertionError("it must not begin")

    for flags, message in {
        ("--process_id=1",): "coordinator_address and num_processes are missing beside process_id=1",
        ("--num_processes=2", "--process_id=2", "--coordinator_address=a:1"): "process_id=2; allowed: 0 to 1",
        ("--num_processes=2", "--process_id=0", "--coordinator_address=a"): "coordinator_address='a'",
        ("--num_processes=0",): "--num_processes=0: must be at least 1",
    }.items():
        with pytest.raises(SystemExit) as end:
            common.run(never, Shared, argv=["--workdir=x", *flags])
        assert end.value.code == 2 and message in capsys.readouterr().err


def test_where_a_run_takes_place_is_no_part_of_it(tmp_path):
    seen = []
    with pytest.raises(SystemExit) as end:
        common.run(seen.append, Shared, argv=[f"--workdir={tmp_path}", "--num_processes=1", "--size=3"])
    assert end.value.code == 0
    (config,) = seen
    assert config.num_processes == 1 and config.run_flags == f"--size=3\n--workdir={tmp_path}\n"
    assert not {*common.PROCESS_FLAGS, "workdir"} & set(common.compared(config))


def test_only_the_first_of_several_processes_talks(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(parallel, "is_main", lambda: False)
    common.note("a remark")
    with common.progress("Scoring") as report:
        report(0, 2)
        report(2, 2)
    common.write_run_flags(tmp_path, Config(workdir=str(tmp_path)))
    assert capsys.readouterr() == ("", "") and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("main", "lingers"), [(False, False), (True, True)])
def test_one_of_several_processes_tells_the_others_why_it_ends(monkeypatch, capsys, main, lingers):
    class LeftError(Exception):
        pass

    def leave(code):
        raise LeftError(code)

    told, slept = [], []
    monkeypatch.setattr(parallel, "process_count", lambda: 2)
    monkeypatch.setattr(parallel, "is_main", lambda: main)
    monkeypatch.setattr(parallel, "give_up", told.append)
    monkeypatch.setattr(common.time, "sleep", slept.append)
    monkeypatch.setattr(common.os, "_exit", leave)

    errors = [InputError("size is wrong"), RuntimeError("a bug"), KeyboardInterrupt()]

    def work(config):
        raise errors[config.size]

    for size, (code, reason) in enumerate([(2, "size is wrong"), (1, "a bug"), (130, "stopped by the user")]):
        with pytest.raises(LeftError, match=str(code)):
            common.run(work, Config, argv=["--workdir=x", f"--size={size}"])
        assert reason in told[-1]
    assert len(told) == 3 and bool(slept) == lingers
    assert "Traceback" in capsys.readouterr().err
