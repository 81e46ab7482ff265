"""launch.search as people run it: results, bad input, kill and resume."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

import nasjax
from nasjax.cli import common, search
from nasjax.search import Selection

TINY = ("--channels=4", "--cells=1", "--image_size=8", "--data=noise", "--batch_size=4", "--num_batches=2")
SEARCH = (*TINY, "--proxies=nwot,params", "--weights=1,-1", "--budget=24", "--chunk=2",
          "--algorithm_options=population=8,parents=4,mutations=4,crossovers=3")  # fmt: skip
TABLE = ("--table=nasbench201", "--column=cifar10_test", "--budget=60", "--algorithm=aging",
         "--algorithm_options=population=20,sample=5")  # fmt: skip


@pytest.fixture
def run_here(monkeypatch, capsys):
    """The command within this process."""

    def run_here(*argv):
        with pytest.raises(SystemExit) as end:
            common.run(search.main, search.SearchConfig, argv=[str(word) for word in argv])
        seen = capsys.readouterr()
        return end.value.code, seen.out, seen.err

    return run_here


@pytest.fixture(scope="module")
def start(root):
    def start(*argv):
        environment = {**os.environ, "JAX_PLATFORMS": "cpu", "COLUMNS": "100"}
        command = [sys.executable, "-m", "launch.search", *map(str, argv)]
        return subprocess.Popen(command, cwd=root, env=environment, text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)  # fmt: skip

    return start


@pytest.fixture(scope="module")
def whole(start, tmp_path_factory):
    """A search that nothing interrupts."""
    workdir = tmp_path_factory.mktemp("whole") / "run"
    process = start(f"--workdir={workdir}", *SEARCH)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return workdir, out, err


def test_results(whole):
    workdir, out, err = whole
    result = json.loads((workdir / "result.json").read_text())
    table = pd.read_csv(workdir / "search.csv", keep_default_na=False)
    assert len(table) == result["scored"] == 24 and table["arch"].is_unique
    best = table.loc[table["score"].astype(float).idxmax()]
    assert result["arch"] == best["arch"] and result["params"] == best["params"] and result["flops"] == best["flops"]
    space = nasjax.get_space("nasbench201", channels=4, cells=1, image_size=8)
    assert result["params"] == space.num_params(space.decode([best["arch"]])[0])
    assert {row["arch"] for row in result["front"]} == set(table["arch"][table["front"].astype(str) == "True"])
    for part in ("Found", result["arch"], f"{result['params']:,}", "Multiply-adds", "Score", "Search time", "Best 5"):
        assert part in out
    assert "Traceback" not in err and "Searching: 24/24" in err
    page = (workdir / "report.html").read_text()
    assert page.count("<figure>") == 1 and page.count('<figure class="chart"') == 3 and result["arch"] in page
    for name in ("network", "progress", "front_params", "agreement"):
        assert (workdir / f"{name}.png").stat().st_size > 1000
    drawn = json.loads(re.findall(r'id="data">(.*?)</script>', page)[0])
    assert len(drawn["graphs"]) == (table["valid"].astype(str) == "True").sum()  # each can be drawn
    assert f"launch.search --flagfile={workdir}/run.flags" in page and "--budget=24" in page


def test_killed_at_any_moment_and_started_again(start, whole, tmp_path):
    workdir, _, _ = whole
    for states in (0, 1):  # within the first generation, and after it
        process = start(f"--workdir={tmp_path}", *SEARCH)
        while process.poll() is None:
            if (tmp_path / "config.json").exists() and _generations(tmp_path) >= states:
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.01)
        process.communicate()
    assert _generations(tmp_path) >= 1
    process = start(f"--workdir={tmp_path}", *SEARCH)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "of them by an earlier run" in out
    one, two = (pd.read_csv(w / "search.csv").drop(columns="seconds") for w in (workdir, tmp_path))
    pd.testing.assert_frame_equal(one, two)


def _generations(workdir):
    found = [p.name for p in (workdir / "checkpoints").glob("*")] if (workdir / "checkpoints").exists() else []
    return max([int(name) for name in found if name.isdigit()], default=0)


def test_a_finished_search_computes_nothing_again(run_here, whole):
    workdir, _, _ = whole
    before = (workdir / "result.json").read_text()
    code, out, err = run_here(f"--workdir={workdir}", *SEARCH[:-2], SEARCH[-1], "--chunk=3", "--top=2")
    assert code == 0, err
    assert "24 of them by an earlier run" in out and "Best 2 of 24" in out
    assert (workdir / "result.json").read_text() == before


def test_another_configuration_is_refused_and_nothing_is_lost(run_here, whole):
    workdir, _, _ = whole
    before = (workdir / "search.csv").read_text()
    code, _, err = run_here(f"--workdir={workdir}", *SEARCH, "--seed=1")
    assert code == 2 and "another configuration" in err and "seed" in err and "Traceback" not in err
    assert (workdir / "search.csv").read_text() == before


def test_a_table(run_here, tmp_path):
    code, out, err = run_here(f"--workdir={tmp_path / 'a'}", *TABLE)
    assert code == 0, err
    table = pd.read_csv(tmp_path / "a" / "search.csv")
    known = nasjax.data.tables.load("nasbench201").set_index("arch")["cifar10_test"]
    good = table["valid"]
    np.testing.assert_array_equal(table["score"][good], known[table["arch"][good]])
    code, _, err = run_here(f"--flagfile={tmp_path / 'a' / 'run.flags'}", f"--workdir={tmp_path / 'b'}")
    assert code == 0, err
    assert (tmp_path / "b" / "search.csv").read_text().splitlines()[-1] in (tmp_path / "a" / "search.csv").read_text()


def test_latency(run_here, tmp_path):
    table = nasjax.data.tables.load("nasbench201")[["arch"]].assign(latency=lambda t: t["arch"].str.count("3x3") * 1.0)
    table.to_csv(tmp_path / "latency.csv", index=False)
    code, out, err = run_here(f"--workdir={tmp_path / 'run'}", *TABLE[:2], "--algorithm=nsga2", "--budget=40",
                              "--algorithm_options=population=20", f"--latency={tmp_path / 'latency.csv'}",
                              "--max_latency=3", "--costs=latency")  # fmt: skip
    assert code == 0, err
    table = pd.read_csv(tmp_path / "run" / "search.csv")
    assert (table["latency"] == table["arch"].str.count("3x3")).all() and table["latency"].max() <= 3
    assert "score against latency" in out


def test_built_in_latencies(run_here, tmp_path):
    code, out, err = run_here(f"--workdir={tmp_path / 'run'}", *TABLE, "--latency=cifar10", "--max_latency=5",
                              "--latency_column=raspi4_latency")  # fmt: skip
    assert code == 0, err
    assert pd.read_csv(tmp_path / "run" / "search.csv")["latency"].max() <= 5
    code, _, err = run_here(f"--workdir={tmp_path / 'b'}", *TABLE, "--latency=cifar", "--max_latency=5")
    assert code == 2 and "cifar10" in err


@pytest.mark.slow
def test_pruning(run_here, tmp_path):
    Selection(("nwot", "params"), (1, 1)).save(tmp_path / "selection.json")
    code, out, err = run_here(f"--workdir={tmp_path / 'run'}", *TINY, f"--selection={tmp_path / 'selection.json'}",
                              "--algorithm=pruning", "--algorithm_options=per_edge=3")  # fmt: skip
    assert code == 0, err
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["arch"] in out and set(result["scores"]) == {"nwot", "params"}
    assert result["supernets"] == len(pd.read_csv(tmp_path / "run" / "search.csv"))


# --- bad input: exit code 2, a message, no traceback, nothing claimed -------------------------------------------------

BAD = {
    "unknown algorithm": (["--algorithm=agin"], ["agin", "Did you mean aging"]),
    "unknown option": (["--algorithm_options=populaton=5"], ["populaton", "population"]),
    "malformed option": (["--algorithm_options=population"], ["name=value"]),
    "negative population": (["--algorithm_options=population=-5"], ["population=-5", "at least 1"]),
    "budget below a population": (["--budget=7"], ["budget=7", "8"]),
    "negative budget": (["--budget=-1"], ["--budget=-1", "at least 1"]),
    "contradictory limits": (["--min_params=9e6", "--max_params=1e6"], ["9000000", "1000000"]),
    "impossible limits": (["--min_params=1e12"], ["min_params=", "nearest feasible"]),
    "negative limit": (["--max_flops=-1"], ["--max_flops=-1"]),
    "unknown proxy": (["--proxies=nwott"], ["nwott", "nwot"]),
    "unknown space": (["--space=nasbench210"], ["nasbench210", "nasbench201"]),
    "no goal": (["--proxies="], ["--proxies", "--selection"]),
    "two goals": (["--selection=x.json"], ["both"]),
    "absent selection": (["--proxies=", "--weights=", "--selection=absent.json"], ["absent.json"]),
    "wrong weights": (["--weights=1"], ["weights"]),
    "weights that are no numbers": (["--weights=a,b"], ["--weights=a,b"]),
    "unknown cost": (["--costs=parms"], ["parms", "params"]),
    "latency without a file": (["--costs=latency"], ["--latency"]),
    "unknown aggregation": (["--aggregation=ranks"], ["ranks", "ranksum"]),
    "table without a column": (["--proxies=", "--weights=", "--table=nasbench201"], ["--column", "cifar10_test"]),
    "unknown column": (["--proxies=", "--weights=", "--table=nasbench201", "--column=cifar"], ["cifar10_test"]),
    "unknown table": (["--proxies=", "--weights=", "--table=nasbench", "--column=x"], ["nasbench"]),
    "pruning with a budget": (["--algorithm=pruning"], ["--budget", "pruning"]),
    "images of another size": (["--image_size=10"], ["multiple of 4"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(run_here, tmp_path, case):
    flags, parts = BAD[case]
    code, out, err = run_here(f"--workdir={tmp_path / 'run'}", *SEARCH, *flags)
    assert code == 2, err
    assert out == "" and "Traceback" not in err
    for part in parts:
        assert part in err
    assert not (tmp_path / "run" / "config.json").exists(), "a corrected command may use the directory"


def test_a_selection_of_an_unknown_proxy(run_here, tmp_path):
    Selection(("nwot", "params"), (1, 1)).save(tmp_path / "s.json")
    text = (tmp_path / "s.json").read_text()
    (tmp_path / "s.json").write_text(text.replace("nwot", "nwoot"))
    code, _, err = run_here(f"--workdir={tmp_path / 'run'}", *TINY, f"--selection={tmp_path / 's.json'}")
    assert code == 2 and "nwoot" in err and "nwot" in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("flag", "part"), [("--table=nasbench201", "--table is not for"), ("--space=nasbench_macro", "supernet")]
)
def test_pruning_refuses_what_it_cannot_do(run_here, tmp_path, flag, part):
    code, _, err = run_here(f"--workdir={tmp_path / 'run'}", "--data=noise", "--batch_size=4", "--algorithm=pruning",
                            "--proxies=nwot", "--image_size=32", flag)  # fmt: skip
    assert code == 2 and part in err and "Traceback" not in err


def test_help(run_here):
    code, out, _ = run_here("--helpshort")
    assert code == 0 and "What to maximise" in out and "--selection" in out
