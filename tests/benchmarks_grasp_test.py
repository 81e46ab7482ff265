"""Tables of the predictor: settings, data without leaks, and what is printed."""

import json

import numpy as np
import pytest

from benchmarks import grasp_data, grasp_tables
from nasjax.grasp import PredictorConfig


def test_settings_are_distinct_and_allowed():
    args = grasp_tables.arguments([])
    found = grasp_tables.jobs(args)
    assert len({grasp_tables.key(setting, 5) for setting in found}) == len(found) > 80
    for setting in found:
        PredictorConfig().with_options(**setting["options"])
    of_table = {name: grasp_tables.settings(name) for name in ("sizes", "ablation", "nb101")}
    plain = [next(s for s in of_table[name] if s["options"] == {}) for name in of_table]
    assert grasp_tables.alike(plain[0], plain[1]) and not grasp_tables.alike(plain[0], plain[2])
    assert not grasp_tables.alike(plain[0], {"table": "baselines", "num": 78, "options": {}})
    with pytest.raises(SystemExit):
        grasp_tables.arguments(["--tables=size"])


def test_one_cell_a_function(monkeypatch, tmp_path):
    monkeypatch.setattr(grasp_data, "SHARED", tmp_path)  # the package's own tables alone
    data = grasp_data.nasbench201()
    assert len(data.graphs) == len(set(data.groups.tolist())) == 4850 and data.validation is None
    assert set(data.targets) == {"cifar10", "cifar100", "imagenet16"}
    known = np.isfinite(data.graphs.proxies["nwot"]).mean()
    assert 0.97 < known < 1 and np.isfinite(data.graphs.proxies["params"]).all()
    assert grasp_data.flat(data, proxies=False).shape == (4850, 8 * 6)
    assert np.isfinite(grasp_data.flat(data, proxies=True)).all()


def test_finished_settings_are_shown(tmp_path, capsys):
    row = {"kendall": 0.5, "spearman": 0.7, "precision@5%": 0.3, "precision@50": 0.2, "regret@10": 1.25, "N@10": 4.0}
    line = {"key": "k", "setting": {"table": "sizes", "name": "one", "num": 78, "options": {}},
            "results": [{"cifar10": row}, {"cifar10": {**row, "kendall": 0.7}}]}  # fmt: skip
    file = tmp_path / "t.jsonl"
    file.write_text(json.dumps(line) + "\n")
    assert grasp_tables.main(["--show", f"--out={file}"]) == 0
    out = capsys.readouterr().out
    assert "### sizes" in out and "| one | 78 | 0.600 ± 0.100 | 0.700 ± 0.000 |" in out and "| 1.25 | 4.00 |" in out
