"""Whole data sets from every source: the same images as in batches, and mistakes said by name."""

import types

import numpy as np
import pytest
from PIL import Image

import nasjax.data
from nasjax.data import Dataset, SphericalConfig, load_dataset, readers, spherical
from nasjax.types import InputError


@pytest.fixture
def npz(tmp_path):
    generator = np.random.default_rng(0)
    arrays = {"x_train": generator.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8), "y_train": np.arange(12) % 4}
    arrays |= {"x_test": arrays["x_train"][:5], "y_test": arrays["y_train"][:5]}
    np.savez(tmp_path / "a.npz", **arrays)
    return f"npz:{tmp_path / 'a.npz'}", arrays


def folder(root, number=4, size=(8, 8)):
    pixels = np.random.default_rng(1).integers(0, 256, (2 * number, *size, 3), dtype=np.uint8)
    for index, image in enumerate(pixels):
        directory = root / ("bird", "cat")[index // number]
        directory.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(directory / f"{index}.png")
    return f"folder:{root}", pixels


def test_arrays(npz):
    source, arrays = npz
    dataset = load_dataset(source)
    assert (len(dataset), dataset.num_classes, dataset.image_size, dataset.channels) == (12, 4, 8, 3)
    batch = dataset.batch([7, 0, 7])
    np.testing.assert_array_equal(batch.images, arrays["x_train"][[7, 0, 7]])
    assert batch.images.dtype == np.uint8 and batch.labels.dtype == np.int32
    np.testing.assert_array_equal(dataset.labels, arrays["y_train"])
    assert len(load_dataset(source + "#test")) == len(load_dataset(source, split="test")) == 5
    scored = nasjax.data.load(source, batch_size=6)
    np.testing.assert_allclose((dataset.mean, dataset.std), (scored.mean, scored.std), rtol=1e-5)
    assert "12 images 8x8x3, 4 classes" in repr(dataset)


def test_resized_like_batches(npz):
    scored = nasjax.data.load(npz[0], batch_size=12, num_batches=1, image_size=6, seed=None, normalize=False)
    dataset = load_dataset(npz[0], image_size=6)
    np.testing.assert_allclose(dataset.images(range(12)) / 255, scored.images[0], atol=1e-6)


def test_folders_are_read_when_asked_and_kept(tmp_path, monkeypatch):
    source, pixels = folder(tmp_path / "data")
    calls = []
    original = readers.folders.read
    monkeypatch.setattr(readers.folders, "read", lambda files, size: calls.extend(files) or original(files, size))
    dataset = load_dataset(source, threads=1)
    for _ in range(2):
        np.testing.assert_array_equal(dataset.images([5, 0]), pixels[[5, 0]])
    assert sorted({file.name for file in calls}) == ["0.png", "5.png"] and dataset.class_names == ("bird", "cat")
    assert dataset.labels.tolist() == [0] * 4 + [1] * 4
    read = len(calls)
    again = load_dataset(source, cache=False, threads=3)
    for _ in range(2):
        np.testing.assert_array_equal(again.images(range(8)), pixels)
    assert len(calls) - read >= 16


def test_sources_that_are_built_in():
    photos = load_dataset("photos#test", num_images=30)
    assert len(photos) == 30 and photos.image_size == 32
    noise = load_dataset("noise:classes=3", num_images=9, image_size=8, seed=2)
    assert len(noise) == 9 and set(noise.labels) <= {0, 1, 2}
    assert noise.fingerprint != load_dataset("noise:classes=3", num_images=9, image_size=8, seed=3).fingerprint
    with pytest.raises(InputError, match="noise has no split"):
        load_dataset("noise#test")


def test_fingerprints(npz, tmp_path):
    dataset = load_dataset(npz[0])
    assert dataset.fingerprint == load_dataset(npz[0]).fingerprint
    others = [load_dataset(npz[0], image_size=4), load_dataset(npz[0] + "#test"), dataset.subset([1, 2])]
    others += [dataset.subset([2, 1]), load_dataset(npz[0], spherical=True), load_dataset(npz[0], task="autoencoder")]
    assert len({dataset.fingerprint, *(other.fingerprint for other in others)}) == 7
    source, _ = folder(tmp_path / "data")
    before = load_dataset(source).fingerprint
    (tmp_path / "data" / "cat" / "7.png").unlink()
    assert load_dataset(source).fingerprint != before


def test_parts(npz):
    dataset = load_dataset(npz[0])
    train, valid = dataset.hold_out(0.25, seed=1)
    assert (len(train), len(valid)) == (9, 3)
    together = np.concatenate([train.images(range(9)), valid.images(range(3))])
    assert {image.tobytes() for image in together} == {image.tobytes() for image in npz[1]["x_train"]}
    np.testing.assert_array_equal(dataset.hold_out(0.25, seed=1)[1].labels, valid.labels)
    assert dataset.hold_out(0.25, seed=2)[1].fingerprint != valid.fingerprint
    np.testing.assert_array_equal(train.subset([2]).images([0]), train.images([2]))
    for share in (0, 1, 0.01, 1.5):
        with pytest.raises(InputError, match="held out"):
            dataset.hold_out(share)
    few = load_dataset(npz[0], num_images=5, seed=3)
    np.testing.assert_array_equal(few.labels, load_dataset(npz[0], num_images=5, seed=3).labels)
    with pytest.raises(InputError, match="num_images=13 needs 13 images, but .* has 12"):
        load_dataset(npz[0], num_images=13)


def test_on_a_sphere(npz):
    config = SphericalConfig(bandwidth=5, seed=3)
    dataset = load_dataset(npz[0], spherical=config)
    assert dataset.image_size == 10
    expected = spherical.project(npz[1]["x_train"], config)
    np.testing.assert_array_equal(dataset.images([11, 4]), expected[[11, 4]])
    np.testing.assert_array_equal(dataset.subset([4]).images([0]), expected[[4]])
    np.testing.assert_array_equal(dataset.labels, npz[1]["y_train"])
    assert load_dataset(npz[0], spherical=True).image_size == 60


def test_labels_outside_the_classes(npz, tmp_path):
    with pytest.raises(InputError, match="go up to 3, but there are 3 classes"):
        load_dataset(npz[0], num_classes=3)
    assert load_dataset(npz[0], num_classes=7).num_classes == 7
    np.savez(tmp_path / "b.npz", x=npz[1]["x_test"], y=np.array([0, 1, -1, 0, 0]))
    with pytest.raises(InputError, match="go down to -1"):
        load_dataset(f"npz:{tmp_path / 'b.npz'}")


def test_unreadable_images_are_named(tmp_path):
    source, _ = folder(tmp_path / "data")
    (tmp_path / "data" / "cat" / "6.png").write_bytes(b"broken")
    dataset = load_dataset(source)
    assert dataset.images([0, 7]).shape == (2, 8, 8, 3)
    with pytest.raises(InputError, match=r"6\.png' cannot be read as an image"):
        dataset.images([0, 6])
    Image.new("RGB", (9, 9)).save(tmp_path / "data" / "cat" / "6.png")
    with pytest.raises(InputError, match=r"6\.png' is 9 x 9, but .*0\.png' is 8 x 8; .*image_size=N"):
        load_dataset(source, cache=False).images([0, 6])


def test_spaces_that_do_not_fit(npz):
    dataset = load_dataset(npz[0])
    space = {"name": "nasbench201", "image_size": 8, "in_channels": 3, "num_classes": 4}
    dataset.check_fits(types.SimpleNamespace(**space))
    dataset.check_fits(types.SimpleNamespace(**space | {"num_classes": 10}))
    for changed, match in (
        ({"image_size": 32}, "8 pixels a side, space nasbench201 expects 32; .*image_size=8, or load .*image_size=32"),
        ({"in_channels": 1}, "3 channels, .* expects 1; .*in_channels=3"),
        ({"num_classes": 3}, "4 classes, .* tells 3 apart; .*num_classes=4"),
    ):
        with pytest.raises(InputError, match=match):
            dataset.check_fits(types.SimpleNamespace(**space | changed))


def test_bad_numbers(npz):
    dataset = load_dataset(npz[0])
    for indices, match in (
        ([12], "image 12 of .*; allowed: 0..11"),
        ([-1], "image -1"),
        ([], "one or more"),
        ([0.5], "whole numbers"),
    ):
        with pytest.raises(InputError, match=match):
            dataset.batch(indices)
    for option in ("image_size", "num_images", "threads"):
        with pytest.raises(InputError, match=f"{option}=0"):
            load_dataset(npz[0], **{option: 0})


def test_arrays_at_hand(npz):
    images, labels = npz[1]["x_train"], npz[1]["y_train"]
    dataset = Dataset.from_arrays(images, labels, class_names="abcd")
    assert (dataset.num_classes, dataset.kind, dataset.class_names) == (4, "class", tuple("abcd"))
    np.testing.assert_array_equal(dataset.batch([3]).labels, labels[[3]])
    assert dataset.fingerprint != Dataset.from_arrays(images, labels + 1).fingerprint
    soft = Dataset.from_arrays(images, np.full((12, 5), 0.2))
    assert soft.num_classes == 5 and soft.labels.dtype == np.float32
    maps = Dataset.from_arrays(images, images[..., 0] % 6, kind="pixel classes")
    assert maps.num_classes == 6 and maps.batch([0]).labels.shape == (1, 8, 8)
    assert Dataset.from_arrays(images, labels, image_size=4).image_size == 4
    for options, match in (
        ({"labels": None}, "no labels"),
        ({"labels": labels[:3]}, "3 labels for 12"),
        ({"labels": labels, "num_classes": 2}, "2 classes"),
        ({"labels": labels, "kind": "classes"}, "pixel classes"),
        ({"labels": np.full(12, np.nan), "kind": "values"}, "NaN"),
    ):
        with pytest.raises(InputError, match=match):
            Dataset.from_arrays(images, **options)
