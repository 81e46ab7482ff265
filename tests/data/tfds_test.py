"""Data sets of tensorflow-datasets: written from arrays, read at random, mocked, and not prepared."""

import sys

import numpy as np
import pytest
import tensorflow_datasets

import nasjax.data
from nasjax.data import load_dataset, tfds, tfds_write
from nasjax.types import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)
LABELS = np.arange(10) % 3


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("tfds")
    splits = {"train": (PIXELS[:7], LABELS[:7]), "test": (PIXELS[7:], LABELS[7:])}
    return tfds_write.write(root, splits, name="tiny", class_names=("bird", "cat", "dog"))


def test_arrays_come_back(written):
    dataset = load_dataset(f"tfds:{written}")
    assert (len(dataset), dataset.num_classes, dataset.image_size) == (7, 3, 8)
    assert dataset.class_names == ("bird", "cat", "dog")
    # tfds shuffles examples when it writes them.
    batch = dataset.batch(range(7))
    place = {image.tobytes(): label for image, label in zip(PIXELS, LABELS, strict=True)}
    assert [place[image.tobytes()] for image in batch.images] == batch.labels.tolist() == dataset.labels.tolist()
    np.testing.assert_array_equal(dataset.images([5, 2]), batch.images[[5, 2]])
    assert "tensorflow" not in sys.modules


def test_splits_and_parts(written):
    assert len(load_dataset(f"tfds:{written}#test")) == 3
    assert (
        len(load_dataset(f"tfds:{written}#train[:3]")) == len(load_dataset(f"tfds:{written}", split="train[4:]")) == 3
    )
    with pytest.raises(InputError, match="no split 'valid'; allowed: test, train"):
        load_dataset(f"tfds:{written}#valid")


def test_batches_to_score_with(written):
    batches = nasjax.data.load(f"tfds:{written}", batch_size=3, num_batches=2, seed=4)
    assert batches.num_classes == 3 and batches.images.shape == (2, 3, 8, 8, 3)
    dataset = load_dataset(f"tfds:{written}")
    np.testing.assert_allclose((batches.mean, batches.std), (dataset.mean, dataset.std))
    small = nasjax.data.load(f"tfds:{written}", batch_size=7, num_batches=1, image_size=4, seed=None, normalize=False)
    np.testing.assert_allclose(small.images[0] * 255, load_dataset(f"tfds:{written}", image_size=4).images(range(7)))
    with pytest.raises(InputError, match="needs 8 images, but .* has 7"):
        nasjax.data.load(f"tfds:{written}", batch_size=4)


def test_by_name_below_the_data_directory(written, monkeypatch):
    monkeypatch.setenv("NASJAX_DATA", str(written.parents[1]))
    assert len(load_dataset("tfds:tiny#test")) == 3


def test_fingerprints(written):
    dataset = load_dataset(f"tfds:{written}")
    assert dataset.fingerprint == load_dataset(f"tfds:{written}").fingerprint
    assert dataset.fingerprint != load_dataset(f"tfds:{written}#test").fingerprint


@pytest.mark.parametrize(("name", "size", "classes"), [("cifar10", None, 10), ("oxford_iiit_pet", 16, 37)])
def test_published_data_sets_as_tfds_mocks_them(name, size, classes):
    with tensorflow_datasets.testing.mock_data(num_examples=4):
        dataset = load_dataset(f"tfds:{name}", image_size=size)
        assert dataset.num_classes == classes and dataset.image_size == (size or 32)
        batch = dataset.batch([3, 1])
        assert batch.images.dtype == np.uint8 and batch.images.shape == (2, dataset.image_size, dataset.image_size, 3)
        np.testing.assert_array_equal(dataset.labels[[3, 1]], batch.labels)
        assert nasjax.data.load(f"tfds:{name}", batch_size=2, image_size=8).num_classes == classes


def test_images_of_several_sizes():
    with (
        tensorflow_datasets.testing.mock_data(num_examples=4),
        pytest.raises(InputError, match=r"imagenet2012.*(image_size=N|square)"),
    ):
        load_dataset("tfds:imagenet2012", cache=False).images(range(4))


def test_not_prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("NASJAX_DATA", raising=False)
    (tmp_path / "mnist").mkdir()
    monkeypatch.setenv("NASJAX_DATA", str(tmp_path))
    with pytest.raises(
        InputError, match=r"'mnist' is not prepared in .*file_format='array_record', data_dir=DIR\)\.down"
    ):
        load_dataset("tfds:mnist")
    with pytest.raises(InputError, match="not prepared"):
        nasjax.data.load("tfds:mnist")
    assert not list((tmp_path / "mnist").iterdir())


def test_prepared_as_tfrecord(written, tmp_path):
    """The usual format of tfds needs TensorFlow; here only the description of one is needed."""
    directory = tmp_path / "tiny" / "1.0.0"
    directory.mkdir(parents=True)
    for file in written.glob("*.json"):
        text = file.read_text(encoding="utf-8").replace("array_record", "tfrecord")
        (directory / file.name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"is prepared as tfrecord .*array_record, which is read without TensorFlow"):
        load_dataset(f"tfds:{directory}")


def test_unknown_names_and_directories(tmp_path):
    with pytest.raises(InputError, match="no data set 'cifar11'"):
        load_dataset("tfds:cifar11")
    with pytest.raises(InputError, match="holds no data set"):
        load_dataset(f"tfds:{tmp_path}")
    with pytest.raises(InputError, match="does not exist"):
        load_dataset(f"tfds:{tmp_path / 'absent'}")


def test_data_sets_without_images():
    with (
        tensorflow_datasets.testing.mock_data(num_examples=2),
        pytest.raises(InputError, match="0 features of the kind image"),
    ):
        load_dataset("tfds:penguins")


def test_damaged_examples_are_numbered(written, monkeypatch):
    records = tfds.open_records(str(written), None)

    class Broken:
        def __getitem__(self, index):
            raise ValueError("bad record")

    object.__setattr__(records, "examples", Broken())
    with pytest.raises(InputError, match=r"example 3 of 'tiny/1\.0\.0#train' cannot be read \(bad record\)"):
        tfds.read(records, 3, None)


@pytest.mark.parametrize(
    ("images", "labels", "match"),
    [
        (PIXELS / 255, LABELS, "float64 with 3 channels"),
        (PIXELS, LABELS[:4], "4 labels for 10 images"),
        (PIXELS, LABELS - 1, "go down to -1"),
    ],
)
def test_arrays_that_cannot_be_written(tmp_path, images, labels, match):
    with pytest.raises(InputError, match=match):
        tfds_write.write(tmp_path, {"train": (images, labels)})
    assert not list(tmp_path.iterdir())
