import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from nasjax import correlation
from nasjax.cli import correlate
from nasjax.cli.options import parse
from nasjax.data import tables
from nasjax.types import InputError


@pytest.fixture
def workdir(tmp_path):
    known = tables.load("nasbench201").sample(40, random_state=0)
    frame = known[["arch"]].assign(lswag=known["cifar10_test"] ** 3, nwot=np.arange(40.0), valid=True, reason="")
    stranger = pd.DataFrame({"arch": ["|unknown|"], "lswag": [1.0], "nwot": [1.0], "valid": [True], "reason": [""]})
    pd.concat([frame, stranger]).to_csv(tmp_path / "scores.csv", index=False)
    return tmp_path


def run(*flags):
    config, given = parse(correlate.CorrelateConfig, list(flags))
    correlate.main(config)
    return given


def test_results_are_printed_and_written(workdir, capsys):
    run(f"--workdir={workdir}", "--bootstrap=20")
    out = capsys.readouterr().out
    assert "41 architectures scored, 40 of known accuracy; 1 missing in the table." in out
    for word in ("CIFAR-10 test accuracy", "ImageNet16-120", "lswag", "Kendall", "95 % interval", "report.html"):
        assert word in out
    assert "\N{ESCAPE}" not in out

    table = pd.read_csv(workdir / "correlations.csv")
    row = table[(table["proxy"] == "lswag") & (table["target"] == "cifar10_test")].iloc[0]
    assert row["spearman"] == pytest.approx(1) and row["count"] == 40 and row["regret"] == 0
    result = json.loads((workdir / "result.json").read_text())
    assert (result["scored"], result["joined"], result["missing"]) == (41, 40, 1)
    assert {r["proxy"] for r in result["correlations"]} == {"lswag", "nwot"}
    page = (workdir / "report.html").read_text(encoding="utf-8")
    assert "lswag ranks these architectures best: Spearman 1.00" in page
    for name in ("correlations", "explore", "agreement", "scatter_cifar10_test", "ranks_imagenet16_test"):
        assert (workdir / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    data = json.loads(re.findall(r'id="data">(.*?)</script>', page)[0])
    (points,) = (chart for chart in data["charts"] if chart["columns"])
    labels = [column["label"] for column in points["columns"]]
    assert labels[:2] == ["lswag", "nwot"] and "CIFAR-10 test accuracy, %" in labels
    assert len(data["graphs"]) == 40 and f"--flagfile={workdir}/correlate.flags" in page


def test_own_scores_and_table(tmp_path, capsys):
    pd.DataFrame({"arch": ["a", "b", "c", "d"], "mine": [1.0, 2, 3, 4]}).to_csv(tmp_path / "mine.csv", index=False)
    pd.DataFrame({"arch": ["d", "c", "b", "a"], "top1": [9.0, 7, 8, 1], "top5": [1.0, 2, 3, 4]}).to_csv(
        tmp_path / "truth.csv", index=False
    )
    out = tmp_path / "out"
    flags = (f"--workdir={out}", f"--scores={tmp_path / 'mine.csv'}", f"--table={tmp_path / 'truth.csv'}",
             "--columns=top1", "--bootstrap=0")  # fmt: skip
    run(*flags)
    assert "top5" not in capsys.readouterr().out
    result = json.loads((out / "result.json").read_text())
    (row,) = result["correlations"]
    assert row["spearman"] == pytest.approx(0.8) and row["low"] is None
    assert "--flagfile=" in (out / "correlate.flags").read_text()


def test_flags_file_repeats_the_run(workdir):
    config, given = parse(correlate.CorrelateConfig, [f"--workdir={workdir}", "--bootstrap=20", "--top=0.2"])
    correlate.write_results(workdir, _found(workdir), source="s", table="t", flags=given)
    again, _ = parse(correlate.CorrelateConfig, [f"--flagfile={workdir / 'correlate.flags'}"])
    assert again == config


def _found(workdir):
    scores = correlation.read_scores(workdir)
    return correlation.correlate(scores, "nasbench201", columns=["cifar10_test"], num_bootstrap=0)


def test_a_proxy_that_says_nothing_is_reported_and_not_ranked(tmp_path, capsys):
    known = tables.load("nasbench201").sample(10, random_state=0)
    known[["arch"]].assign(flat=1.0).to_csv(tmp_path / "scores.csv", index=False)
    run(f"--workdir={tmp_path}", "--columns=cifar10_test")
    assert "–" in capsys.readouterr().out
    assert "No proxy tells these architectures apart." in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "result.json").read_text())["correlations"][0]["spearman"] is None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "--workdir is missing"),
        (("--workdir=WORKDIR", "--columns=cifar11_test"), "Did you mean cifar1"),
        (("--workdir=WORKDIR", "--top=2"), "between 0 and 1"),
        (("--workdir=WORKDIR", "--bootstrap=-1"), "at least 0"),
        (("--workdir=WORKDIR", "--table=nasbench2O1"), "nasbench201"),
        (("--workdir=WORKDIR/none",), "Run launch.score"),
        (("--workdir=WORKDIR", "--scores=WORKDIR/none.csv"), "no such file"),
    ],
)
def test_bad_input_says_what_to_do(workdir, flags, message):
    with pytest.raises(InputError, match=message):
        run(*(flag.replace("WORKDIR", str(workdir)) for flag in flags))


def test_command_prints_the_message_alone(root, tmp_path):
    command = [sys.executable, "-m", "launch.correlate", f"--workdir={tmp_path}"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and not done.stdout
    assert "Run launch.score" in done.stderr and "Traceback" not in done.stderr
    done = subprocess.run([*command, "--helpshort"], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Examples:" in done.stdout and "--columns" in done.stdout
