"""The golden file of LIBRA: agreement, and that a disagreement is seen."""

import json

import pytest

from nasjax.testing import libra, parity
from nasjax.types import InputError


@pytest.fixture(scope="module")
def golden(shared):
    return json.loads((shared / "golden" / "libra.json").read_text())


def test_agrees_with_the_golden_file(shared, capsys):
    assert parity.main([str(shared / "golden" / "libra.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    for quantity in ("ids", "selected", "n_bins", "spearman", "ig_all", "bias", "spearman_ranksum", "spearman_logrank"):
        found = [line for line in lines if line.split()[0] == quantity]
        assert len(found) == 2 and all(line.endswith("ok") for line in found), quantity


def test_the_built_in_tables_serve_without_the_folder(golden, tmp_path):
    small = {"problems": [{**golden["problems"][0], "runs": golden["problems"][0]["runs"][:1]}]}
    del small["problems"][0]["full_table"]
    (tmp_path / "libra.json").write_text(json.dumps(small))
    lines, good = libra.check(tmp_path / "libra.json", data=tmp_path)
    assert good and not any(line.split()[0] == "ids" for line in lines)


@pytest.mark.parametrize(
    ("quantity", "value"),
    [("z3", "snip"), ("n_bins", 25), ("H_y", 2.0), ("bias_val", "nan"), ("candidates", []), ("spearman_logrank", 0.9)],
)
def test_a_difference_is_seen(golden, tmp_path, quantity, value):
    problem = {**golden["problems"][1], "runs": [{**golden["problems"][1]["runs"][2], quantity: value}]}
    del problem["full_table"]
    (tmp_path / "libra.json").write_text(json.dumps({"problems": [problem]}))
    lines, good = libra.check(tmp_path / "libra.json", data=tmp_path)
    outside = [line.split()[0] for line in lines if "OUTSIDE" in line]
    assert not good and outside == [quantity]


def test_files_of_another_form(tmp_path):
    path = tmp_path / "libra.json"
    base = {"problem": "nb201:cifar10:cifar10_valid", "target": "cifar10_valid", "n_file_rows": 7108, "sample": 10}
    for problem, match in (
        ({}, "not a golden file of LIBRA"),
        (base | {"runs": [{"seed": 0}]}, "not a golden file of LIBRA"),
        (base | {"runs": [{"seed": 0}], "n_file_rows": 5}, "5 rows expected, the table has 7108"),
        (base | {"runs": [], "problem": "nb201:mnist:valid"}, "no table for it"),
        (base | {"runs": [], "target": "svhn"}, "has no svhn"),
    ):
        path.write_text(json.dumps({"problems": [problem]}))
        with pytest.raises(InputError, match=match):
            libra.check(path, data=tmp_path)
    assert not libra.is_golden(tmp_path / "none.json")
