"""Tables of benchmarks.ranking, on scores whose correlations are known."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import ranking


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
