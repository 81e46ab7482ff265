"""The files of a benchmark, and what reads them."""

import json
import math

import numpy as np
import pytest

from nasjax.benchmark import reader, table
from nasjax.benchmark.store import EpochStore, Row
from nasjax.types import InputError

TASKS = ("reds", "blues")
FACTS = {(task, arch): table.Facts("one", 10 + i, 20 + i) for task in TASKS for i, arch in enumerate("abcd")}


def row(arch, task="reds", seed=0, epoch=1, valid=50.0, test=math.nan, good=True):
    return Row(arch, task, seed, epoch, 1.25, 1.5, valid, test, 0.1, "cpu", good, "" if good else "it is NaN")


def rows():
    found = []
    for task in ("reds", "blues"):
        for i, arch in enumerate("abcd"):
            for seed in (0, 1) if i < 3 else (0,):
                for epoch in (1, 2):
                    value = 10.0 * i + epoch + seed + (100 if task == "blues" else 0)
                    found.append(row(arch, task, seed, epoch, value, value + 0.5 if epoch == 2 else math.nan))
    return found


def write(directory, content=None):
    path, _ = table.write_table(
        directory, rows() if content is None else content, FACTS, space="toy", epochs=2, archs="abcd", about={"who": 1}
    )
    return path


def test_reading_gives_what_was_written(tmp_path):
    found = reader.read_table(write(tmp_path))
    assert list(found.columns) == list(table.COLUMNS) and len(found) == 28
    assert found.equals(reader.read_table(tmp_path))
    first = found.iloc[0]
    assert (first["arch"], first["params"], first["flops"], first["reason"]) == ("a", 10, 20, "")
    assert reader.tasks(found) == ["reds", "blues"]
    assert reader.is_benchmark(found) and not reader.is_benchmark(found.drop(columns="epoch"))


def test_times_are_no_results(tmp_path):
    path = write(tmp_path / "a") if (tmp_path / "a").mkdir() is None else None
    (tmp_path / "b").mkdir()
    other = write(tmp_path / "b", [r._replace(seconds=9.0, device="tpu") for r in rows()])
    one, two = reader.about(path), reader.about(other)
    assert one["sha256"] != two["sha256"] and one["results_sha256"] == two["results_sha256"]
    (tmp_path / "c").mkdir()
    third = write(tmp_path / "c", [r._replace(valid_loss=1.6) for r in rows()])
    assert reader.about(third)["results_sha256"] != one["results_sha256"]
    assert one["schema"] == table.SCHEMA and one["columns"] == dict(table.COLUMNS) and one["who"] == 1
    assert {"jax", "python"} <= set(table.packages())


def test_a_table_that_was_changed_or_cut_short(tmp_path):
    path = write(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    with pytest.raises(InputError, match="is not the table that benchmark.json describes"):
        reader.read_table(path)
    (tmp_path / "benchmark.json").unlink()
    with pytest.raises(InputError, match="cannot be read as the table of a benchmark"):
        reader.read_table(path)
    other = tmp_path / "other.csv"
    other.write_text("arch,top1\na,1\n")
    with pytest.raises(InputError, match="lacks the columns space, signature"):
        reader.read_table(other)


def test_curves_are_means_over_seeds(tmp_path):
    found = reader.read_table(write(tmp_path))
    archs, values = reader.curves(found, "reds")
    assert archs == list("abcd")
    np.testing.assert_allclose(values, [[1.5, 2.5], [11.5, 12.5], [21.5, 22.5], [31.0, 32.0]])
    archs, values = reader.curves(found, "blues", seed=1)
    assert archs == list("abc") and values[0].tolist() == [102.0, 103.0]
    with pytest.raises(InputError, match="task 'greens'"):
        reader.curves(found, "greens")


def test_one_row_an_architecture(tmp_path):
    found = reader.read_table(write(tmp_path))
    wide = reader.wide(found)
    assert list(wide.columns) == [
        "arch", "params", "flops", "reds_valid", "reds_test", "reds_valid_e1", "reds_valid_e2",
        "blues_valid", "blues_test", "blues_valid_e1", "blues_valid_e2",
    ]  # fmt: skip
    assert wide.loc[1].tolist() == ["b", 11, 21, 12.5, 13.0, 11.5, 12.5, 112.5, 113.0, 111.5, 112.5]
    assert math.isnan(reader.wide(found, seed=1)["reds_valid"][3])
    assert reader.final_columns(found) == ["reds_valid", "reds_test", "blues_valid", "blues_test"]


def test_unfinished_and_failed_trainings_have_no_accuracy(tmp_path):
    content = [r for r in rows() if not (r.arch == "a" and r.epoch == 2 and r.seed == 1)]
    content = [r._replace(valid=False, reason="NaN") if r.arch == "b" and r.seed == 0 else r for r in content]
    wide = reader.wide(reader.read_table(write(tmp_path, content))).set_index("arch")
    assert np.isnan(wide.loc["a", ["reds_valid", "reds_test", "reds_valid_e2"]].to_numpy(float)).all()
    assert wide.loc["a", "reds_valid_e1"] == 1.5
    assert np.isnan(wide.loc["b"].drop(["params", "flops"]).to_numpy(float)).all()
    assert np.isfinite(wide.loc[["c", "d"]].to_numpy(float)).all()


def test_targets_of_a_predictor(tmp_path):
    content = [r for r in rows() if r.arch != "d" or r.epoch == 1]
    path = write(tmp_path, content)
    archs, values = reader.targets(path, "reds_valid")
    assert archs == list("abc") and values.tolist() == [2.5, 12.5, 22.5]
    assert reader.targets(path, "reds_valid_e1")[0] == list("abcd")
    with pytest.raises(InputError, match=r"did you mean reds_valid_e\d\?"):
        reader.targets(path, "reds_valid_e7")


def test_agreement_of_seeds(tmp_path):
    found = reader.read_table(write(tmp_path))
    assert reader.seed_agreement(found, "reds") == {"count": 3, "spearman": 1.0, "kendall": 1.0}
    single = found[found["seed"] == 0]
    alone = reader.seed_agreement(single, "reds")
    assert alone["count"] == 0 and math.isnan(alone["spearman"])


def test_a_store_keeps_a_row_once(tmp_path):
    with EpochStore(tmp_path) as store:
        store.put([row("a"), row("b", valid=math.nan, good=False)])
        store.put([row("a", valid=60.0)])
        found = store.rows()
        assert [r.arch for r in found] == ["a", "b"] and found[0].valid_accuracy == 60.0
        assert math.isnan(found[1].valid_accuracy) and not found[1].valid and found[1].reason == "it is NaN"
    with EpochStore(tmp_path, process=3) as store:
        store.put([row("c"), row("d", task="blues")])
        store.begin({"packages": {}})
        assert [r.arch for r in store.rows()] == ["a", "b", "c", "d"]
        assert [r.arch for r in store.rows(task="blues", seed=0)] == ["d"]
        assert [run["process"] for run in store.runs()] == [3]
    with EpochStore(tmp_path, read_only=True) as store:
        assert len(store.rows()) == 4


def test_a_store_of_scores_is_none_of_a_benchmark(tmp_path):
    from nasjax.records import Store

    with pytest.raises(InputError, match="No benchmark in"):
        EpochStore(tmp_path, read_only=True)
    with Store.open(tmp_path / "benchmark.sqlite"):
        pass
    with pytest.raises(InputError, match="of another program"):
        EpochStore(tmp_path)


def test_the_record_is_plain_json(tmp_path):
    write(tmp_path)
    assert json.loads((tmp_path / table.ABOUT).read_text())["rows"] == 28
