"""A directory with one sub-directory a class."""

import numpy as np
import pytest
from PIL import Image

import nasjax.data
from nasjax.data import folders
from nasjax.types import InputError


def make(root, classes=("bird", "cat"), number=5, size=(10, 10), mode="RGB"):
    """Random images, and the pixels of each in the order of the files."""
    generator = np.random.default_rng(0)
    pixels = []
    for name in classes:
        (root / name).mkdir(parents=True)
        for index in range(number):
            shape = (*size, 3) if mode == "RGB" else size
            pixels.append(generator.integers(0, 256, shape, dtype=np.uint8))
            Image.fromarray(pixels[-1]).save(root / name / f"{index}.png")
    return np.stack(pixels)


def load(root, **options):
    return nasjax.data.load(f"folder:{root}", **({"batch_size": 5} | options))


def test_files_in_order_and_classes_by_name(tmp_path):
    pixels = make(tmp_path / "data")
    batches = load(tmp_path / "data", seed=None, normalize=False)
    assert batches.class_names == ("bird", "cat")
    assert batches.labels.ravel().tolist() == [0] * 5 + [1] * 5
    np.testing.assert_allclose(batches.images.reshape(pixels.shape), pixels / 255, rtol=1e-6)


def test_normalised_by_the_statistics_of_the_folder(tmp_path):
    pixels = make(tmp_path / "data")
    batches = load(tmp_path / "data", batch_size=3, num_batches=1)
    np.testing.assert_allclose(batches.mean, (pixels / 255).mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(batches.std, (pixels / 255).std((0, 1, 2)), rtol=1e-5)
    given = load(tmp_path / "data", mean=(0.5,) * 3, std=(0.25,) * 3)
    assert given.mean == (0.5,) * 3


def test_same_batches_as_the_same_images_in_an_npz(tmp_path):
    pixels = make(tmp_path / "data")
    np.savez(tmp_path / "data.npz", x=pixels, y=np.repeat([0, 1], 5))
    assert load(tmp_path / "data", seed=3) == nasjax.data.load(f"npz:{tmp_path / 'data.npz'}", batch_size=5, seed=3)


def test_only_what_is_needed_is_read(tmp_path, monkeypatch):
    make(tmp_path / "data", number=8)
    seen = []
    original = folders.read
    monkeypatch.setattr(folders, "read", lambda files, size: seen.extend(files) or original(files, size))
    load(tmp_path / "data", batch_size=2, num_batches=1, normalize=False)
    assert len(seen) == 2


def test_splits_grey_images_and_resizing(tmp_path):
    make(tmp_path / "data" / "test", mode="L", size=(12, 16))
    batches = load(tmp_path / "data", split="test", image_size=8)
    assert (batches.image_size, batches.channels) == (8, 3)
    np.testing.assert_allclose(batches.images[..., 0], batches.images[..., 2], atol=1e-5)
    assert load(f"{tmp_path / 'data'}#test", image_size=8) == batches
    with pytest.raises(InputError, match="does not exist"):
        load(tmp_path / "data", split="valid")
    with pytest.raises(InputError, match="12 x 16"):
        load(tmp_path / "data", split="test")


def test_mixed_sizes_need_a_size(tmp_path):
    make(tmp_path / "data")
    Image.new("RGB", (20, 20), "red").save(tmp_path / "data" / "cat" / "big.png")
    with pytest.raises(InputError, match="20 x 20.*image_size=N"):
        load(tmp_path / "data")
    assert load(tmp_path / "data", image_size=10).image_size == 10


def test_empty_folders(tmp_path):
    with pytest.raises(InputError, match="is empty"):
        load(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(InputError, match="has no images"):
        load(tmp_path)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match="has no images"):
        load(tmp_path)


def test_images_without_classes(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="1 images but no class directories"):
        load(tmp_path)
    with pytest.raises(InputError, match="is no directory"):
        load(tmp_path / "a.png")


def test_damaged_image_is_named(tmp_path):
    make(tmp_path / "data")
    (tmp_path / "data" / "cat" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(InputError, match=r"3\.png' cannot be read as an image"):
        load(tmp_path / "data")


def test_counts_constants_and_classes(tmp_path):
    make(tmp_path / "data")
    with pytest.raises(InputError, match="needs 12 images, but .* has 10"):
        load(tmp_path / "data", batch_size=6)
    with pytest.raises(InputError, match="num_classes=2 or more"):
        load(tmp_path / "data", num_classes=1)
    assert load(tmp_path / "data", num_classes=10).num_classes == 10
    for name in "ab":
        (tmp_path / "flat" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), "blue").save(tmp_path / "flat" / name / "0.png")
    with pytest.raises(InputError, match="constant"):
        load(tmp_path / "flat", batch_size=1)
