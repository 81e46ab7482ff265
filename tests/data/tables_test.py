"""Tables, and the join of scores with them."""

import gzip

import numpy as np
import pandas as pd
import pytest

from nasjax.data import tables
from nasjax.types import InputError

CELL = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_the_built_in_table():
    table = tables.load("nasbench201")
    accuracies = ["cifar10_test", "cifar100_test", "imagenet16_test"]
    assert list(table.columns) == ["arch", "arch_index", "iso_group", *accuracies]
    assert len(table) == 12_134
    assert table["arch"].is_unique
    assert table["arch_index"].between(0, 15_624).all()
    assert table["iso_group"].nunique() <= 6_466
    assert table[accuracies].notna().all(axis=None)
    assert table[accuracies].ge(0).all(axis=None)
    assert table[accuracies].le(100).all(axis=None)
    first = table.set_index("arch_index").loc[0]
    assert first["arch"] == CELL
    assert first["cifar10_test"] == 85.86333


def test_a_table_may_be_changed_without_changing_the_next():
    table = tables.load("nasbench201")
    table["cifar10_test"] = 0
    assert tables.load("nasbench201")["cifar10_test"].max() > 94


def test_the_built_in_table_is_that_of_the_reference(shared):
    reference = pd.read_csv(shared / "data" / "nasbench201.csv.gz").rename(columns={"arch_string": "arch"})
    table = tables.load("nasbench201")
    pd.testing.assert_frame_equal(
        table, reference[list(table.columns)].sort_values("arch_index").reset_index(drop=True), check_dtype=False
    )


def test_the_table_of_attacks_has_the_cells_of_the_accuracies():
    attacked, clean = tables.load("nasbench201_robustness"), tables.load("nasbench201")
    names = ["fgsm_1", "pgd_1", "apgd_1", "square_1"]
    assert list(attacked.columns) == ["arch", "arch_index", "iso_group", *names]
    assert attacked["arch"].tolist() == clean["arch"].tolist()
    assert attacked[names].notna().all(axis=None) and attacked[names].ge(0).all(axis=None)
    assert attacked[names].lt(95).all(axis=None)
    # APGD is the stronger attack of the two, so it leaves less; an attack leaves less than no attack, up to noise.
    assert (attacked["apgd_1"] <= attacked["fgsm_1"] + 3).mean() > 0.99
    assert (attacked["square_1"] <= clean["cifar10_test"] + 3).mean() > 0.99


def test_the_table_of_attacks_is_that_of_the_reference(shared):
    reference = pd.read_csv(shared / "data" / "nasbench201_robustness_cifar10.csv.gz").set_index("arch_index")
    table = tables.load("nasbench201_robustness").set_index("arch_index")
    for name, source in (("fgsm_1", "fgsm@Linf_eps-1.0"), ("pgd_1", "pgd@Linf_eps-1.0"),
                         ("apgd_1", "aa_apgd-ce@Linf_eps-1.0"), ("square_1", "aa_square@Linf_eps-1.0")):  # fmt: skip
        pd.testing.assert_series_equal(table[name], reference[source].loc[table.index], check_names=False,
                                       check_dtype=False)  # fmt: skip


def test_user_files_keep_leading_zeros(tmp_path):
    path = write(tmp_path / "a.csv", "arch,accuracy\n0012,70.5\n12,71\n")
    table = tables.load(path)
    assert table["arch"].tolist() == ["0012", "12"]
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    pd.testing.assert_frame_equal(tables.load(str(tmp_path / "a.csv.gz")), table)


def test_another_key_becomes_arch(tmp_path):
    path = write(tmp_path / "a.csv", "arch_string,accuracy\nx,1\ny,2\n")
    with pytest.raises(InputError, match="no column 'arch'; it has: arch_string, accuracy; do: use 'arch_string'"):
        tables.load(path)
    assert tables.load(path, key="arch_string")["arch"].tolist() == ["x", "y"]


def test_files_below_the_data_directory(tmp_path, monkeypatch):
    write(tmp_path / "mine.csv", "arch,accuracy\nx,1\n")
    monkeypatch.setenv("NASJAX_DATA", str(tmp_path))
    assert len(tables.load("mine.csv")) == 1


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "cannot be read as a table"),
        ("arch,accuracy\n", "no rows"),
        ("name,accuracy\nx,1\n", "no column 'arch'"),
        ("arch,accuracy\nx,1\nx,2\n", r"1 repeated architectures \(first: x\)"),
        ("arch,accuracy\n,1\nx,2\n", "1 rows of .* name no architecture"),
        ('arch,accuracy\n"x,1\n', "cannot be read as a table"),
    ],
)
def test_bad_files(tmp_path, text, match):
    with pytest.raises(InputError, match=match):
        tables.load(write(tmp_path / "bad.csv", text))


def test_files_that_are_not_what_they_say(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(b"no gzip")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00\x81")
    for name in ("a.csv.gz", "b.csv"):
        with pytest.raises(InputError, match="cannot be read as a table"):
            tables.load(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        tables.load(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        tables.load(tmp_path / "absent.csv")


def test_unknown_names():
    with pytest.raises(InputError, match="did you mean 'nasbench201'"):
        tables.load("nasbench101")
    with pytest.raises(InputError, match="allowed: nasbench201, nasbench201_robustness, or a file"):
        tables.load("zzz")


def test_join_keeps_the_order_of_scores_and_counts_what_is_missing():
    scores = pd.DataFrame({"arch": ["c", "x", "a", "y"], "lswag": [3.0, np.nan, 1.0, 0.0]}, index=[9, 8, 7, 6])
    table = pd.DataFrame({"arch": ["a", "b", "c"], "accuracy": [10.0, 20.0, 30.0], "note": ["p", "q", "r"]})
    joined, missing = tables.join(scores, table)
    expected = pd.DataFrame({"arch": ["c", "a"], "lswag": [3.0, 1.0], "accuracy": [30.0, 10.0], "note": ["r", "p"]})
    pd.testing.assert_frame_equal(joined, expected)
    assert missing == 2
    assert list(scores.columns) == ["arch", "lswag"]


def test_join_by_another_column():
    scores = pd.DataFrame({"arch_index": [2, 0], "score": [1.0, 2.0]})
    table = tables.load("nasbench201").drop(columns="iso_group")
    joined, missing = tables.join(scores, table, on="arch_index")
    assert missing == int(not (table["arch_index"] == 2).any())
    assert joined.set_index("arch_index").loc[0, "arch"] == CELL


def test_join_of_numbers_and_text():
    scores = pd.DataFrame({"code": [7.0, 8.0], "score": [1.0, 2.0]})
    table = pd.DataFrame({"code": [8, 9], "accuracy": [80.0, 90.0]})
    joined, missing = tables.join(scores, table, on="code")
    assert joined["accuracy"].tolist() == [80.0]
    assert missing == 1
    text = scores.assign(code=["8", "x"])
    assert tables.join(text, table, on="code")[0]["accuracy"].tolist() == [80.0]


def test_join_of_a_whole_space():
    table = tables.load("nasbench201")
    scores = table[["arch"]].sample(frac=1.0, random_state=0).assign(score=1.0)
    joined, missing = tables.join(scores, table)
    assert missing == 0
    merged = scores.merge(table, on="arch", how="left")
    pd.testing.assert_frame_equal(joined, merged, check_dtype=False)


def test_join_that_makes_no_sense():
    scores = pd.DataFrame({"arch": ["a"], "score": [1.0]})
    table = pd.DataFrame({"arch": ["a"], "accuracy": [1.0]})
    with pytest.raises(InputError, match="none of the 1 architectures is in the table"):
        tables.join(scores.assign(arch="z"), table)
    with pytest.raises(InputError, match="the table is empty"):
        tables.join(scores, table.iloc[:0])
    with pytest.raises(InputError, match="table has no column 'arch'"):
        tables.join(scores, table.rename(columns={"arch": "cell"}))
    with pytest.raises(InputError, match="scores has 1 repeated"):
        tables.join(pd.concat([scores, scores]), table)
    with pytest.raises(InputError, match="both have score"):
        tables.join(scores, table.assign(score=0.0))
