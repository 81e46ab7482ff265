"""Data sets of the GRASP-GCN benchmark, and the table that comes with the package."""

import dataclasses
import gzip
import hashlib
import json
import runpy

import numpy as np
import pytest

from nasjax import benchmark
from nasjax.benchmark import grasp, shipped, tasks
from nasjax.benchmark.table import COLUMNS
from nasjax.spaces.kronecker import Kronecker
from nasjax.types import InputError


@dataclasses.dataclass
class Grey:
    """Images of 28 pixels, as Fashion-MNIST has them."""

    labels: np.ndarray
    num_classes: int = 2
    fingerprint: str = "grey"

    def images(self, indices):
        return np.full((len(indices), 28, 28, 1), 7, np.uint8) + np.asarray(indices, np.uint8)[:, None, None, None]


@pytest.fixture
def data():
    return tasks.prepare("fashion_mnist", Grey(np.arange(20) % 2), lambda: Grey(np.arange(4) % 2))


def test_names_of_data_sets():
    text = grasp.named("CIFAR-10, Fashion-MNIST,fashion_mnist=npz:f.npz,tiny_imagenet=folder:d#train#val")
    assert text == "CIFAR-10,fashion_mnist=tfds:fashion_mnist,fashion_mnist=npz:f.npz,tiny_imagenet=folder:d#train#val"
    (tiny,) = tasks.parse("tiny_imagenet=folder:d#train#val")
    assert (tiny.name, tiny.train, tiny.test) == ("tiny_imagenet", "train", "val")
    for missing in ("Tiny-ImageNet", "tiny_imagenet"):
        with pytest.raises(InputError, match="tiny_imagenet=folder:DIR"):
            grasp.named(missing)


def test_images_of_28_pixels_get_two_zeros_around(data):
    found = grasp.fitted(data, None)
    assert (found.image_size, data.image_size) == (32, 28) and found.fingerprint != data.fingerprint
    for images in (found.train, found.open_test()):
        some = images.images(np.array([1, 3]))
        assert some.shape == (2, 32, 32, 1) and some[0, 2, 2, 0] == 8
        assert some[:, 2:30, 2:30].all() and not some[:, :2].any() and not some[:, :, 30:].any()
    assert grasp.fitted(data, 28) is data  # asked for


def test_the_space_fits_each_data_set(data):
    space = Kronecker(channels=4)
    grey = grasp.space_on(space, grasp.fitted(data, None))
    assert (grey.in_channels, grey.image_size, grey.num_classes, grey.stem_stride) == (1, 32, 2, 1)
    assert grasp.space_on(space, data._replace(image_size=64)).stem_stride == 2


def written(epochs):
    """A table of some epochs of a training of two, and its description."""
    values = {"arch": '"{""a"":1}"', "task": "cifar10", "seed": 0, "epochs": 2, "valid": "true"}
    rows = [",".join(COLUMNS)]
    for epoch in range(1, epochs + 1):
        own = values | {"epoch": epoch, "valid_accuracy": 10.0 * epoch}
        rows.append(",".join(str(own.get(name, "")) for name in COLUMNS))
    content = gzip.compress("\n".join(rows).encode())
    spaces = {"cifar10": Kronecker(channels=4, image_size=16).options}
    return content, {"sha256": hashlib.sha256(content).hexdigest(), "benchmark": {"space options": spaces}}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose table is of two epochs."""
    content, about = written(2)
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "kronecker.csv.gz").write_bytes(content)
    (tmp_path / "assets" / "kronecker.json").write_text(json.dumps(about))
    monkeypatch.setattr(shipped.importlib.resources, "files", lambda package: tmp_path)
    shipped._about.cache_clear()
    yield tmp_path / "assets"
    shipped._about.cache_clear()


def test_the_shipped_table_is_checked(package):
    archs, curves = benchmark.curves(benchmark.kronecker_table(), "cifar10")
    assert archs == ['{"a":1}'] and curves.tolist() == [[10.0, 20.0]]
    assert benchmark.kronecker_space("cifar10") == Kronecker(channels=4, image_size=16)
    with pytest.raises(InputError, match="task='mnist'; allowed: cifar10"):
        benchmark.kronecker_space("mnist")
    (package / "kronecker.csv.gz").write_bytes(b"other")
    with pytest.raises(InputError, match="is not the table that kronecker.json describes"):
        benchmark.kronecker_table()
    (package / "kronecker.csv.gz").unlink()
    with pytest.raises(InputError, match="lacks kronecker.csv.gz"):
        benchmark.kronecker_table()


def test_a_finished_benchmark_becomes_package_data(root, tmp_path, package):
    make = runpy.run_path(str(root / "scripts" / "make_kronecker.py"))["main"]
    workdir = tmp_path / "run"
    workdir.mkdir()
    for epochs, change, message in (
        (1, {}, "1 of 1 trainings have not ended"), (2, {"flags": [str(workdir)]}, "directories of this machine"),
    ):  # fmt: skip
        content, about = written(epochs)
        (workdir / "benchmark.csv.gz").write_bytes(content)
        (workdir / "benchmark.json").write_text(json.dumps(about | change))
        with pytest.raises(SystemExit, match=message):
            make(workdir, package)
    (workdir / "benchmark.json").write_text(json.dumps(about | {"space": "kronecker"}))
    make(workdir, package)
    shipped._about.cache_clear()
    assert benchmark.kronecker_about()["space"] == "kronecker"
    assert benchmark.kronecker_table()["epoch"].tolist() == [1, 2]


def test_what_is_shipped():
    """Every training came to its end, on both tasks, and the architectures are those of the space's ids."""
    table = benchmark.kronecker_table()
    assert set(table["task"]) == {"cifar10", "cifar100"}
    last = table[table["epoch"] == table["epochs"]]
    assert len(last) == len(table.drop_duplicates(["arch", "task", "seed"])) and last["valid"].all()
    archs = list(dict.fromkeys(table["arch"]))
    assert len(archs) >= 40 and set(table["seed"]) == {0, 1}
    for task in ("cifar10", "cifar100"):
        space = benchmark.kronecker_space(task)
        own = last[(last["task"] == task) & (last["seed"] == 0)].set_index("arch").loc[archs]
        np.testing.assert_array_equal(space.num_params(space.decode(archs)), own["params"])
        np.testing.assert_array_equal(space.flops(space.decode(archs)), own["flops"])
        assert len({space.canonical(arch) for arch in space.decode(archs)}) == len(archs)
