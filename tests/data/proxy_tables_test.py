"""Published tables of proxies: what they hold, and that they are what was published."""

import numpy as np
import pandas as pd
import pytest

from nasjax import get_space
from nasjax.data import proxy_tables
from nasjax.types import InputError

ROWS = {
    "nasbench201_cifar10": (7108, 13),
    "nasbench201_cifar100": (563, 12),
    "nasbench201_imagenet16": (7108, 13),
    "nasbench301": (543, 12),
    "nasbench101": (361, 11),
    "transnas_micro_class_scene": (1606, 13),
    "transnas_micro_class_scene_early": (539, 11),
    "transnas_micro_autoencoder": (539, 11),
    "transnas_macro_class_scene": (662, 10),
    "transnas_macro_jigsaw": (725, 10),
}
PUBLISHED = {
    "nasbench201_cifar10": ("nasbench201_proxies_cifar10", None),
    "nasbench201_cifar100": ("nbsz_nasbench201", "cifar100"),
    "nasbench201_imagenet16": ("nasbench201_proxies_imagenet16", None),
    "nasbench301": ("nbsz_nasbench301", None),
    "nasbench101": ("nbsz_nasbench101", None),
    "transnas_micro_class_scene": ("transnasbench101_micro_class_scene_proxies", None),
    "transnas_micro_normal": ("nbsz_transnas_micro", "normal"),
    "transnas_macro_room_layout": ("nbsz_transnas_macro", "room_layout"),
}


@pytest.mark.parametrize("name", proxy_tables.names())
def test_every_table(name):
    found = proxy_tables.load(name)
    assert found.name == name
    if name in ROWS:
        assert (len(found.table), len(found.proxies)) == ROWS[name]
    assert list(found.table.columns) == ["arch", *found.accuracies, *found.proxies]
    assert found.table["arch"].is_unique and found.table["arch"].notna().all()
    assert {"params", "flops", "jacov"} <= set(found.proxies)
    numbers = found.table[[*found.accuracies, *found.proxies]]
    assert np.isfinite(numbers[list(found.accuracies)]).all(axis=None)
    assert numbers.nunique().gt(1).all() and not np.isinf(numbers).any(axis=None)


@pytest.mark.parametrize(
    "name", ["nasbench301", "transnas_micro_jigsaw", "transnas_macro_normal", "nasbench201_cifar100"]
)
def test_architectures_are_written_as_the_space_writes_them(name):
    found = proxy_tables.load(name)
    archs = list(found.table["arch"][:20])
    space = get_space(found.space)
    assert space.encode(space.decode(archs)) == archs


def test_architectures_of_nasbench101_are_read_by_the_space():
    table = proxy_tables.load("nasbench101").table
    archs = get_space("nasbench101").decode(list(table["arch"]))
    counted = [get_space("nasbench101", channels=128, cells=3).num_params(arch) for arch in archs[:5]]
    assert len(archs) == 361 and np.corrcoef(counted, table["params"][:5])[0, 1] > 0.99


def test_all_tasks_of_both_transnas_spaces():
    names = proxy_tables.names()
    assert sum(name.startswith("transnas_micro") for name in names) == 8
    assert sum(name.startswith("transnas_macro") for name in names) == 5


@pytest.mark.parametrize("name", PUBLISHED)
def test_numbers_are_the_published_ones(shared, name):
    file, task = PUBLISHED[name]
    reference = pd.read_csv(shared / "data" / f"{file}.csv.gz", dtype={"arch": "str"})
    if task:
        reference = reference[reference["task"] == task].reset_index(drop=True)
    found = proxy_tables.load(name, published=True)
    columns = list(found.proxies)
    pd.testing.assert_frame_equal(found.table[columns], reference[columns], check_dtype=False)
    if "arch_index" in reference and "val_accuracy" not in reference:
        truth = pd.read_csv(shared / "data" / "nasbench201.csv.gz").set_index("arch_index").loc[reference["arch_index"]]
        assert found.table["arch"].tolist() == truth["arch_string"].tolist()
        for accuracy in found.accuracies:
            assert found.table[accuracy].tolist() == truth[accuracy].tolist()
    else:
        accuracy = "val_accuracy" if "val_accuracy" in reference else "class_scene_valid"
        assert found.table[found.accuracies[0]].tolist() == reference[accuracy].tolist()


def test_the_mark_for_no_value_is_nan_unless_asked_for():
    cleaned = proxy_tables.load("nasbench201_cifar10").table
    raw = proxy_tables.load("nasbench201_cifar10", published=True).table
    marked = raw[["epe_nas", "jacov", "nwot", "zen"]] == proxy_tables.MISSING
    assert marked.sum().tolist() == [1, 1, 1, 1]
    assert cleaned.isna().sum().sum() == 4
    assert (cleaned[marked.columns].isna() == marked).all(axis=None)


def test_a_table_may_be_changed_without_changing_the_next():
    table = proxy_tables.load("nasbench101").table
    table["params"] = 0
    assert proxy_tables.load("nasbench101").table["params"].min() > 0


def test_unknown_names():
    with pytest.raises(InputError, match="did you mean nasbench201_cifar10"):
        proxy_tables.load("nasbench201_cifar1")
    with pytest.raises(InputError, match="allowed: nasbench201_cifar10, .*transnas_macro_normal; do: choose"):
        proxy_tables.load("zzz")
