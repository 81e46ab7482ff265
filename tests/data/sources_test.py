"""Every source gives batches; every bad source says what is wrong before anything is read twice."""

import numpy as np
import pytest

import nasjax.data
from nasjax.types import InputError


def write(path, **arrays):
    np.savez(path, **arrays)
    return f"npz:{path}"


def some(number=12, seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (number, 8, 8, 3), dtype=np.uint8)
    return images, np.arange(number) % 4


def test_photos_are_built_in():
    batches = nasjax.data.load("photos", batch_size=64, num_batches=4)
    assert (batches.num_batches, batches.batch_size, batches.image_size, batches.channels) == (4, 64, 32, 3)
    assert batches.num_classes == 10
    assert batches.images.dtype == np.float32
    assert set(batches.class_names) >= {"chelsea", "coffee", "retina", "camera"}
    assert len(np.unique(batches.labels)) == 10
    assert batches == nasjax.data.load("photos", num_batches=4)
    assert batches != nasjax.data.load("photos", num_batches=4, seed=1)


def test_photos_are_varied_and_their_splits_are_apart():
    train = nasjax.data.load("photos", batch_size=640, num_batches=1, seed=None, normalize=False)
    test = nasjax.data.load("photos#test", batch_size=160, num_batches=1, seed=None, normalize=False)
    assert (np.bincount(train.labels.ravel()) == 64).all()
    assert (np.bincount(test.labels.ravel()) == 16).all()
    crops = {image.tobytes() for batches in (train, test) for image in batches.images[0]}
    assert len(crops) == 800
    assert (train.images[0].std(axis=(1, 2)).max(axis=1) > 0.01).all()


def test_photos_have_their_size_and_options():
    assert nasjax.data.load("photos", image_size=16, batch_size=4).image_size == 16
    assert nasjax.data.load("photos", split="test", batch_size=4) == nasjax.data.load("photos#test", batch_size=4)
    with pytest.raises(InputError, match="no split 'valid'.*test, train"):
        nasjax.data.load("photos#valid")
    with pytest.raises(InputError, match="has 640"):
        nasjax.data.load("photos", batch_size=641)
    with pytest.raises(InputError, match="photos has no options"):
        nasjax.data.load("photos:cats")


def test_noise_is_neither_white_nor_constant():
    batches = nasjax.data.load("noise", batch_size=32, num_batches=2, dtype="float64")
    assert (batches.image_size, batches.num_classes) == (32, 10)
    # The correlation of neighbours is the transform of the power spectrum; that of white noise would be 0.
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(32), np.fft.fftfreq(32)))
    power = np.where(frequency > 0, np.maximum(frequency, 1e-9) ** -2.0, 0.0)
    expected = (power * np.cos(2 * np.pi * np.fft.fftfreq(32)[None, :])).sum() / power.sum()
    right = np.roll(batches.images, 1, axis=3)
    assert np.corrcoef(batches.images.ravel(), right.ravel())[0, 1] == pytest.approx(expected, abs=0.05)
    assert nasjax.data.load("noise:alpha=2.5:classes=7", batch_size=4).num_classes == 7
    with pytest.raises(InputError, match="noise has no split"):
        nasjax.data.load("noise#test")


def test_npz_without_splits(tmp_path):
    images, labels = some()
    source = write(tmp_path / "a.npz", x=images, y=labels, class_names=np.asarray(["a", "b", "c", "d", "e"]))
    batches = nasjax.data.load(source, batch_size=6, seed=None)
    assert batches.source == source
    assert batches.class_names == ("a", "b", "c", "d", "e")
    assert batches.num_classes == 5
    np.testing.assert_array_equal(batches.labels.ravel(), labels)
    with pytest.raises(InputError, match="without a split"):
        nasjax.data.load(source + "#test", batch_size=2)


def test_npz_splits(tmp_path):
    train, test = some(12, 1), some(8, 2)
    both = write(tmp_path / "b.npz", x_train=train[0], y_train=train[1], x_test=test[0], y_test=test[1])
    assert nasjax.data.load(both, batch_size=12, num_batches=1, seed=None).labels.size == 12
    chosen = nasjax.data.load(both + "#test", batch_size=8, num_batches=1, seed=None, normalize=False)
    np.testing.assert_allclose(chosen.images[0], test[0] / 255, rtol=1e-6)
    assert nasjax.data.load(both + "#test", split="test", batch_size=2)
    with pytest.raises(InputError, match="disagree"):
        nasjax.data.load(both + "#test", split="train", batch_size=2)
    single = write(tmp_path / "c.npz", x_test=test[0], y_test=test[1])
    assert nasjax.data.load(single, batch_size=4).num_batches == 2
    several = write(tmp_path / "d.npz", x_a=test[0], y_a=test[1], x_b=test[0], y_b=test[1])
    with pytest.raises(InputError, match="several splits: a, b"):
        nasjax.data.load(several, batch_size=4)


def test_npz_file_may_have_a_hash_in_its_name(tmp_path):
    images, labels = some()
    source = write(tmp_path / "run#3", x=images, y=labels)
    assert source.endswith("run#3")  # numpy adds .npz
    assert nasjax.data.load(source + ".npz", batch_size=4)
    (tmp_path / "run#3.npz").rename(tmp_path / "run#4")
    assert nasjax.data.load(f"npz:{tmp_path / 'run#4'}", batch_size=4)


def test_npz_below_the_data_directory(tmp_path, monkeypatch):
    write(tmp_path / "a.npz", x=some()[0], y=some()[1])
    monkeypatch.setenv("NASJAX_DATA", str(tmp_path))
    assert nasjax.data.load("npz:a.npz", batch_size=4)


def test_names_of_images_are_not_names_of_classes(tmp_path):
    images, _ = some(3)
    source = write(tmp_path / "a.npz", x=images, y=np.asarray([4, 0, 9]), class_names=np.asarray(["a", "b", "c"]))
    batches = nasjax.data.load(source, batch_size=3, num_batches=1)
    assert batches.num_classes == 10
    assert batches.class_names == ()
    more = nasjax.data.load(source, batch_size=3, num_batches=1, num_classes=12)
    assert more.num_classes == 12


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"x": some()[0]}, "no labels: array 'y' is missing"),
        ({"y": some()[1]}, "no images: found y"),
        ({"images": some()[0], "labels": some()[1]}, "no images: found images, labels"),
        ({"x": some()[0], "y": some()[1][:5]}, "5 labels for 12 images"),
        ({"x": some()[0][0], "y": some()[1]}, "shape"),
        ({"x": some()[0].astype(np.int32), "y": some()[1]}, "dtype int32"),
        ({"x": some()[0][:, :6], "y": some()[1]}, "6 x 8"),
        ({"x": np.zeros((12, 8, 8, 3), np.uint8), "y": some()[1]}, "constant"),
        ({"x": np.full((12, 8, 8, 3), np.nan), "y": some()[1]}, "NaN"),
        ({"x": np.zeros((0, 8, 8, 3)), "y": np.zeros(0, int)}, "no images"),
        ({"x": some()[0], "y": some()[1] - 1}, "-1"),
        ({"x": some()[0], "y": some()[1].astype(float)}, "dtype float64"),
        ({"x": np.asarray([None, 3]), "y": some()[1]}, "cannot be read"),
        ({"x": some()[0], "y": some()[1], "class_names": np.asarray(["a", "b"])}, "2 classes"),
    ],
)
def test_bad_npz_content(tmp_path, arrays, match):
    source = write(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError, match=match) as caught:
        nasjax.data.load(source, batch_size=4)
    assert "bad.npz" in str(caught.value)


def test_what_is_no_npz(tmp_path):
    for name, content in (("text.npz", b"not a zip"), ("empty.npz", b""), ("half.npz", b"PK\x03\x04half")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="no .npz file, or is damaged"):
            nasjax.data.load(f"npz:{tmp_path / name}")
    np.save(tmp_path / "one.npy", some()[0])
    with pytest.raises(InputError, match="no .npz file"):
        nasjax.data.load(f"npz:{tmp_path / 'one.npy'}")
    with pytest.raises(InputError, match="is a directory.*folder:"):
        nasjax.data.load(f"npz:{tmp_path}")
    with pytest.raises(InputError, match="does not exist"):
        nasjax.data.load(f"npz:{tmp_path / 'absent.npz'}")


def test_a_damaged_member(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=some(200)[0], y=some(200)[1])
    content = bytearray(path.read_bytes())
    content[2000:2100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        nasjax.data.load(f"npz:{path}", batch_size=4)


def test_zip_of_something_else(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(InputError, match="no images: found readme.txt"):
        nasjax.data.load(f"npz:{tmp_path / 'a.npz'}")


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("photo", "did you mean 'photos'"),
        ("Noise", "did you mean 'noise'"),
        ("cifar", "unknown image source 'cifar'; allowed: photos, npz:FILE"),
        ("", "unknown image source"),
        ("data.npz", "write 'npz:data.npz'"),
        ("npz:", "names no path"),
        ("folder", "names no path"),
        ("tfds:", "names no name"),
        (3, "no text"),
    ],
)
def test_unknown_sources(source, match):
    with pytest.raises(InputError, match=match):
        nasjax.data.load(source)


@pytest.mark.parametrize("source", ["photos", "noise", "npz:absent.npz", "folder:absent"])
@pytest.mark.parametrize("option", ["batch_size", "num_batches", "image_size", "seed"])
def test_negative_counts_are_seen_first(source, option):
    with pytest.raises(InputError, match=f"{option}=-2"):
        nasjax.data.load(source, **{option: -2})


def test_reference_images(shared):
    batches = nasjax.data.load(f"npz:{shared / 'data' / 'cifar10_subset.npz'}#test", batch_size=100, num_batches=10)
    assert batches.num_classes == 10
    np.testing.assert_allclose(batches.mean, nasjax.data.CIFAR10_MEAN, atol=0.02)
    np.testing.assert_allclose(batches.std, nasjax.data.CIFAR10_STD, atol=0.02)
    assert (np.bincount(batches.labels.ravel()) == 100).all()
    with pytest.raises(InputError, match="segmentation"):
        nasjax.data.load(f"npz:{shared / 'data' / 'camvid_96x128.npz'}", batch_size=2, image_size=32)
