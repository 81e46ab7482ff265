"""launch.score as people run it: results, bad input, kill and resume, two processes at once."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from nasjax.cli import score
from nasjax.records import Store
from nasjax.types import InputError

DEAD = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
TINY = ("--channels=4", "--cells=1", "--image_size=8", "--data=noise", "--batch_size=8", "--num_batches=2",
        "--proxies=zico,nwot", "--chunk=2")  # fmt: skip


@pytest.fixture(scope="module")
def start(root):
    def start(*argv):
        environment = {**os.environ, "JAX_PLATFORMS": "cpu", "COLUMNS": "100"}
        command = [sys.executable, "-m", "launch.score", *map(str, argv)]
        return subprocess.Popen(command, cwd=root, env=environment, text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    return start


@pytest.fixture(scope="module")
def run(start):
    def run(*argv):
        process = start(*argv)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    return run


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    """A run that nothing interrupts: 23 architectures, which no block size divides, and a dead one."""
    workdir = tmp_path_factory.mktemp("whole")
    (workdir / "archs.txt").write_text("\n".join([DEAD, *map(str, range(100, 123))]))
    code, out, err = run(f"--workdir={workdir / 'run'}", f"--archs=file:{workdir / 'archs.txt'}", *TINY)
    assert code == 0, err
    return workdir, out, err


def test_results(whole):
    workdir, out, err = whole
    frame = pd.read_csv(workdir / "run" / "scores.csv", keep_default_na=False)
    assert list(frame.columns) == ["arch", "zico", "nwot", "valid", "reason"]
    assert len(frame) == 24 and frame["arch"][0] == DEAD
    assert not frame["valid"][0] and "no path from input to output" in frame["reason"][0]
    good = frame[frame["valid"]]
    assert len(good) > 10 and np.isfinite(good[["zico", "nwot"]].to_numpy(float)).all()
    assert out.startswith("Best 10 of 24 by zico") and "Invalid, ranked last" in out and DEAD not in out
    best = good.loc[good["zico"].astype(float).idxmax(), "arch"]
    assert out.splitlines()[2].endswith(best)
    assert str(workdir / "run" / "scores.csv") in out
    assert "Traceback" not in err and "Scoring: 24/24" in err and "Compiled programs are kept in" in err


def test_the_workdir_says_what_was_run(whole):
    workdir, _, _ = whole
    config = json.loads((workdir / "run" / "config.json").read_text())
    assert config["space_options"]["channels"] == 4 and config["proxies"] == "zico,nwot" and config["seed"] == 0
    assert "--chunk=2\n" in (workdir / "run" / "run.flags").read_text()
    assert sorted(f.name for f in (workdir / "run").iterdir()) == [
        "agreement.png", "config.json", "report.html", "run.flags", "scores.csv", "scores.png", "scores.sqlite",
    ]  # fmt: skip


def test_the_report_ranks_draws_and_says_how_to_repeat(whole):
    workdir, _, _ = whole
    page = (workdir / "run" / "report.html").read_text(encoding="utf-8")
    frame = pd.read_csv(workdir / "run" / "scores.csv", keep_default_na=False)
    best = frame[frame["valid"]].sort_values("zico", ascending=False, key=lambda v: v.astype(float))["arch"].iloc[0]
    listed = re.findall(r"<code>(\|[^<]*\|)</code>", page)
    assert len(listed) == 24 and listed[0] == best and listed.index(DEAD) >= frame["valid"].sum()
    assert f"zico puts {best} first of 24 architectures" in page and "no path from input to output" in page
    data = json.loads(re.findall(r'id="data">(.*?)</script>', page)[0])
    points, matrix = data["charts"]
    assert [column["label"] for column in points["columns"]] == ["zico", "nwot", "parameters"]
    assert (points["x"], points["y"]) == (2, 0) and len(points["archs"]) == 24
    assert len(data["graphs"]) >= frame["valid"].sum()
    assert points["columns"][0]["values"][0] is None  # the dead one
    assert matrix["traces"][0]["z"][0][0] == 1
    assert f"python -m launch.score --flagfile={workdir}/run/run.flags" in page
    assert "sha256" in page and "1 x cpu" in page and "--proxies=zico,nwot" in page


def test_run_flags_repeat_the_run(run, whole, tmp_path):
    workdir, _, _ = whole
    code, _, err = run(f"--flagfile={workdir / 'run' / 'run.flags'}", f"--workdir={tmp_path}")
    assert code == 0, err
    assert (tmp_path / "scores.csv").read_text() == (workdir / "run" / "scores.csv").read_text()


@pytest.mark.slow
def test_killed_at_any_moment_and_started_again(start, whole, tmp_path):
    workdir, _, _ = whole
    argv = [f"--workdir={tmp_path}", f"--archs=file:{workdir / 'archs.txt'}", *TINY]
    kept = {}
    for rows in (0, 4):  # before the first score, and after the first block
        process = start(*argv)
        while process.poll() is None:
            if (tmp_path / "config.json").exists() and len(_stored(tmp_path)) >= rows:
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.01)
        process.communicate()
        found = _stored(tmp_path)
        assert kept.items() <= found.items()
        kept = found
    process = start(*argv)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "of them by an earlier run" in out
    # An architecture scored twice would have another time.
    assert kept.items() <= _stored(tmp_path).items()
    assert (tmp_path / "scores.csv").read_text() == (workdir / "run" / "scores.csv").read_text()


def test_a_finished_run_computes_nothing_again(run_here, whole):
    workdir, _, _ = whole
    before, table = _stored(workdir / "run"), (workdir / "run" / "scores.csv").read_text()
    code, out, err = run_here(f"--workdir={workdir / 'run'}", f"--archs=file:{workdir / 'archs.txt'}", *TINY[:-1],
                              "--engine=host", "--chunk=5", "--rank_by=nwot")
    assert code == 0, err
    assert "Best 10 of 24 by nwot" in out
    assert _stored(workdir / "run") == before and (workdir / "run" / "scores.csv").read_text() == table
    assert "24 of them by an earlier run" in out


@pytest.mark.slow
def test_two_processes_write_one_store(start, whole, tmp_path):
    workdir, _, _ = whole
    argv = [f"--workdir={tmp_path}", f"--archs=file:{workdir / 'archs.txt'}", *TINY]
    for process in [start(*argv), start(*argv)]:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    assert (tmp_path / "scores.csv").read_text() == (workdir / "run" / "scores.csv").read_text()


def _stored(path):
    """(architecture, proxy) -> score and time, of everything in the store."""
    if not (path / "scores.sqlite").exists():
        return {}
    with Store.open(path, read_only=True) as store:
        frame = store.to_frame()
    return {(r.arch, r.proxy): (repr(r.score), r.seconds) for r in frame.itertuples()}


# --- bad input: exit code 2, a message, no traceback, nothing claimed -------------------------------------------------

GOOD = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"
BAD = {
    "unknown flag": (["--proxy=zico"], ["--proxy", "--proxies"]),
    "unknown proxy": (["--proxies=zicco"], ["zicco", "zico"]),
    "unknown proxy option": (["--proxies=zico:prest=nbsz"], ["prest", "preset"]),
    "unknown space": (["--space=nasbench210"], ["nasbench210", "nasbench201"]),
    "unknown preset": (["--preset=papre"], ["papre", "paper"]),
    "unknown engine": (["--engine=pmpa"], ["pmpa", "pmap"]),
    "unknown data": (["--data=photo"], ["photo", "photos"]),
    "absent data": (["--data=npz:absent.npz"], ["absent.npz"]),
    "malformed architecture": ([f"--archs={GOOD};{GOOD[:-1]}"], ["architecture 2"]),
    "unknown operation": ([f"--archs={GOOD.replace('3x3', '3x4')}"], ["nor_conv_3x4", "nor_conv_3x3"]),
    "index out of range": (["--archs=15625"], ["15625", "15624"]),
    "negative count": (["--archs=random:-5"], ["random:-5", "at least 1"]),
    "too many": (["--archs=random:20000"], ["20000"]),
    "absent file": (["--archs=file:absent.txt"], ["absent.txt", "No such file"]),
    "negative batch": (["--batch_size=-1"], ["--batch_size=-1", "at least 1"]),
    "batch over the data": (["--data=photos", "--batch_size=100000"], ["100000"]),
    "no number": (["--batch_size=many"], ["batch_size", "many"]),
    "negative seed": (["--seed=-1"], ["--seed=-1"]),
    "too few classes": (["--num_classes=2"], ["--num_classes=2", "10 classes"]),
    "too many devices": (["--devices=64"], ["64", "4"]),
    "refused proxy": (["--proxies=dss"], ["dss", "nasbench201", "leave out"]),
    "too few images": (["--proxies=te_ntk:samples=72"], ["72 images", "num_batches=9"]),
    "unknown ranking": (["--rank_by=nwto"], ["--rank_by=nwto", "Did you mean nwot?"]),
    "stray word": (["zico"], ["'zico'", "--name=value"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(run_here, tmp_path, case):
    flags, parts = BAD[case]
    code, out, err = run_here(f"--workdir={tmp_path / 'run'}", *TINY, "--archs=random:2", *flags)
    assert code == 2, err
    assert out == "" and "Traceback" not in err
    message = err.strip().splitlines()[-1]
    for part in parts:
        assert part in message
    assert not (tmp_path / "run").exists(), "nothing is written for a command that does not run"


@pytest.fixture
def run_here(monkeypatch, capsys):
    """The command within this process: bad input needs no fresh one."""
    from nasjax.cli import common, score

    def run_here(*argv):
        with pytest.raises(SystemExit) as end:
            common.run(score.main, score.ScoreConfig, argv=argv)
        seen = capsys.readouterr()
        return end.value.code, seen.out, seen.err

    return run_here


def test_bad_input_as_a_command(run, tmp_path):
    code, out, err = run("--workdir", tmp_path / "run", "--proxies=zicco", *TINY[:-2])
    assert (code, out) == (2, "") and "zico" in err and "Traceback" not in err and len(err.splitlines()) <= 3


def test_no_workdir(run_here):
    code, _, err = run_here(*TINY)
    assert code == 2 and err.startswith("--workdir is missing")


def test_the_workdir_of_another_configuration(run_here, whole):
    workdir, _, _ = whole
    argv = [f"--workdir={workdir / 'run'}", f"--archs=file:{workdir / 'archs.txt'}", *TINY, "--seed=5"]
    code, out, err = run_here(*argv)
    assert code == 2 and out == ""
    assert "another configuration" in err and "seed: there 0, now 5" in err and "--workdir" in err
    assert (workdir / "run" / "config.json").exists()


def test_a_foreign_and_a_damaged_store(run_here, whole, tmp_path):
    workdir, _, _ = whole
    argv = [f"--workdir={tmp_path}", f"--archs=file:{workdir / 'archs.txt'}", *TINY]
    (tmp_path / "scores.sqlite").write_text("something else")
    code, _, err = run_here(*argv)
    assert code == 2 and "not a score store" in err
    shutil.copy(workdir / "run" / "scores.sqlite", tmp_path)
    with (tmp_path / "scores.sqlite").open("r+b") as file:
        file.truncate(5000)
    code, _, err = run_here(*argv)
    assert code == 2 and "damaged" in err


def test_a_workdir_that_cannot_be_made(run_here, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = run_here(f"--workdir={tmp_path / 'file' / 'run'}", "--archs=random:2", *TINY)
    assert code == 2 and "working directory" in err


def test_bad_images(run_here, tmp_path):
    rng = np.random.default_rng(0)
    good = {"x": rng.integers(0, 256, (32, 8, 8, 3), dtype=np.uint8), "y": np.arange(32) % 10}
    cases = {
        "labels": {"x": good["x"]},
        "rank": {**good, "x": good["x"][..., 0]},
        "constant": {**good, "x": np.full_like(good["x"], 7)},
        "NaN": {**good, "x": np.where(np.arange(8)[:, None, None] == 1, np.nan, good["x"]).astype(np.float32)},
        "length": {**good, "y": good["y"][:5]},
    }
    for name, arrays in cases.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        code, _, err = run_here(f"--workdir={tmp_path / 'run'}", "--archs=random:2", *TINY,
                                f"--data=npz:{tmp_path / name}.npz")
        assert code == 2, name
        assert "Traceback" not in err
    (tmp_path / "no.npz").write_text("no archive")
    code, _, err = run_here(f"--workdir={tmp_path / 'run'}", *TINY, f"--data=npz:{tmp_path / 'no.npz'}")
    assert code == 2 and "no.npz" in err
    (tmp_path / "empty").mkdir()
    code, _, err = run_here(f"--workdir={tmp_path / 'run'}", *TINY, f"--data=folder:{tmp_path / 'empty'}")
    assert code == 2 and "empty" in err


def test_help(run):
    code, out, err = run("--helpshort")
    assert code == 0 and err == ""
    assert out.startswith("Scores neural architectures without training them")
    assert "Usage: python -m launch.score [--flag=value ...]" in out


def test_space_options_are_numbers_or_words():
    assert score.space_options("") == {}
    assert score.space_options("stacks=2, width=0.5,drop_dead=True,task=jigsaw") == {
        "stacks": 2, "width": 0.5, "drop_dead": True, "task": "jigsaw",
    }  # fmt: skip
    assert score.space_options("heads=(3, 4),head_dim=16,mlp_ratios=(2,3.5),depths=(2,)") == {
        "heads": (3, 4), "head_dim": 16, "mlp_ratios": (2, 3.5), "depths": (2,),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("stacks", "'stacks' is not of the form name=value"),
        ("=2", "name=value"),
        ("stacks=", "name=value"),
        ("image_size=8", "image_size has a flag of its own, --image_size"),
    ],
)
def test_bad_space_options(text, match):
    with pytest.raises(InputError, match=match):
        score.space_options(text)


def test_an_unknown_space_option_names_the_known_ones(run_here, tmp_path):
    code, _, err = run_here(f"--workdir={tmp_path}", "--space_options=stack=2", *TINY)
    assert code == 2 and "option 'stack' of space 'nasbench201' is unknown; allowed: channels" in err
