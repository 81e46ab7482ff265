"""Tables of the benchmarks on data whose answers are known, or on built-in tables."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks import libra, ranking
from benchmarks import search as search_benchmark
from nasjax.types import InputError


@pytest.fixture
def files(tmp_path):
    archs = [f"arch{i}" for i in range(12)]
    accuracy = np.arange(12.0)
    pd.DataFrame({"arch": archs, "arch_index": np.arange(12), "accuracy": accuracy}).to_csv(
        tmp_path / "table.csv", index=False
    )
    for name, worst in (("one", accuracy), ("two", -accuracy)):
        (tmp_path / name).mkdir()
        frame = pd.DataFrame({"arch": archs, "nwot": accuracy**2, "zico": worst, "valid": True, "reason": ""})
        frame.loc[0, ["valid", "reason"]] = [False, "zico: zico is -inf"]
        frame.to_csv(tmp_path / name / "scores.csv", index=False)
    pd.DataFrame({"arch_index": np.arange(5, 20), "nwot": np.arange(15.0)}).to_csv(
        tmp_path / "published.csv", index=False
    )
    return tmp_path


def run(files, *argv):
    return ranking.main([*argv, f"--table={files / 'table.csv'}"])


def test_mean_and_deviation_over_runs(files, capsys):
    run(files, str(files / "one"), str(files / "two"))
    out = capsys.readouterr().out
    assert "11, 11 cells" in out and "2 runs" in out
    assert "nwot  1.000 +- 0.000" in out
    assert "zico  0.000 +- 1.414" in out  # 1 and -1


def test_pair_and_published(files, capsys):
    run(files, str(files / "two"), "--pair=nwot,zico", f"--published={files / 'published.csv'}")
    out = capsys.readouterr().out
    assert "+2.000 +2.000 +2.000" in " ".join(out.split())
    assert out.split()[-3:] == ["nwot", "1.0", "7"]


def test_aggregations_on_samples_of_a_table(tmp_path, capsys):
    argv = ["nasbench101", "--seeds=3", "--size=100", "--proxies=params,synflow,flops,jacov"]
    assert libra.main([*argv, f"--json={tmp_path / 'a'}"]) == 0
    out = capsys.readouterr().out
    assert "nasbench101, cifar10_valid: 361 rows, 4 proxies, 3 samples" in out and "best_pair" in out
    (result,) = json.loads((tmp_path / "a").read_text())
    assert len(result["chosen"]) == 3 and len(result["spearman"]["libra"]) == 3
    assert all(pair >= 0.5 for pair in result["spearman"]["best_pair"])
    with pytest.raises(InputError, match="Did you mean nasbench101"):
        libra.main(["nasbench11"])


def test_regret_of_search(tmp_path, capsys):
    """Searching by the accuracies themselves loses less than by anything else, and less with more cells."""
    argv = ["--seeds=1", "--budgets=50,150", "--algorithms=aging,random", "--objectives=libra,table", "--trained=2",
            f"--json={tmp_path / 'found.json'}"]  # fmt: skip
    assert search_benchmark.main(argv) == 0
    out = capsys.readouterr().out
    assert "7,108 cells" in out and "best of 2" in out and "150 cells scored" in out
    rows = pd.DataFrame(json.loads((tmp_path / "found.json").read_text())["rows"])
    assert len(rows) == 2 * 2 * 2 and (rows["regret"] >= 0).all()
    regret = rows.groupby(["objective", "budget"])["regret"].mean()
    assert regret["table", 150] <= regret["table", 50] and regret["table", 150] < regret["libra", 150]


@pytest.mark.parametrize("flag", ["--algorithms=agin", "--objectives=zico", "--budgets=a", "--budgets=10", "--seeds=0"])
def test_regret_refuses_bad_flags(flag, capsys):
    with pytest.raises(SystemExit):
        search_benchmark.arguments([flag])
    assert "usage" in capsys.readouterr().err
