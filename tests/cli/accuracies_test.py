"""Tests of nasjax.cli.accuracies."""

import json

import pandas as pd
import pytest

from nasjax.cli import accuracies
from nasjax.data import tables
from nasjax.spaces import registry
from nasjax.types import InputError


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (json.dumps({"space": "nasbench201"}), "nasbench201"),
        (json.dumps({"space": "elsewhere"}), None),
        (json.dumps(["space"]), None),
        ("{broken", None),
        (None, None),
    ],
)
def test_the_space_of_a_run(content, expected, tmp_path):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    assert accuracies.space_of(tmp_path) == expected


def test_built_in_tables_belong_to_a_space():
    assert accuracies.load("nasbench201", "nasbench201").equals(tables.load("nasbench201"))
    assert accuracies.load("nasbench201", None).equals(tables.load("nasbench201"))
    with pytest.raises(InputError, match="--table=nasbench201 holds no architectures of nasbench101, .*CSV"):
        accuracies.load("nasbench201", "nasbench101")


def test_a_file_in_another_encoding(tmp_path):
    path = tmp_path / "table.csv"
    texts = ["7", "(4, 0, 3, 1, 4, 3)", "unknown"]
    pd.DataFrame({"arch": texts, "top1": [1.0, 2.0, 3.0]}).to_csv(path, index=False)
    space = registry.get_space("nasbench201")
    expected = [*space.encode(space.decode([7, (4, 0, 3, 1, 4, 3)])), "unknown"]
    assert accuracies.load(str(path), "nasbench201")["arch"].tolist() == expected
    assert accuracies.load(str(path), None)["arch"].tolist() == texts


def test_rows_of_one_architecture_are_averaged(tmp_path):
    path = tmp_path / "table.csv"
    space = registry.get_space("nasbench201")
    (same,) = space.encode(space.decode([7]))
    pd.DataFrame({"arch": ["7", same, "8"], "top1": [1.0, 2.0, 5.0], "note": list("abc")}).to_csv(path, index=False)
    table = accuracies.load(str(path), "nasbench201")
    assert table["arch"].tolist() == [same, *space.encode(space.decode([8]))]
    assert table["top1"].tolist() == [1.5, 5.0] and list(table.columns) == ["arch", "top1"]


def test_the_benchmark_of_the_package():
    table = accuracies.load("kronecker", "kronecker")
    assert {"arch", "cifar10_valid", "cifar10_test", "cifar100_valid_e2"} <= set(table.columns) and len(table) >= 40
    assert accuracies.default_columns("kronecker")[:2] == ["cifar10_valid", "cifar10_test"]
    assert accuracies.space_options("kronecker", "cifar100_valid_e2")["num_classes"] == 100
    assert "trained_cifar10_test" in accuracies.as_scores("kronecker")
    with pytest.raises(InputError, match="--table=kronecker holds architectures of kronecker, this run scored darts"):
        accuracies.load("kronecker", "darts")
    with pytest.raises(InputError, match=r"--table=kroneker: .*kronecker.* Or give the path of a \.csv"):
        accuracies.load("kroneker", "kronecker")
