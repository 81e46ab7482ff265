"""Names of tasks, and the images held out."""

import numpy as np
import pytest
from PIL import Image

from nasjax.benchmark import tasks
from nasjax.types import InputError


def test_named_tasks():
    names = "ImageNet, CIFAR-10,cifar100,Pets,SVHN,Spherical-CIFAR-100"
    found = tasks.parse(names)
    assert [task.name for task in found] == list(tasks.NAMED)
    assert [task.source for task in found][-1] == "tfds:cifar100" and found[-1].spherical
    assert found[0].test == "validation" and found[0].image_size == 224
    assert [task.image_size for task in tasks.parse(names, image_size=16)] == [16] * 6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cifar10=npz:/data/sub.npz", tasks.Task("cifar10", "npz:/data/sub.npz", image_size=32)),
        ("npz:/data/my-set.npz", tasks.Task("my_set", "npz:/data/my-set.npz")),
        ("folder:/data/cats/", tasks.Task("cats", "folder:/data/cats/")),
        ("photos", tasks.Task("photos", "photos")),
        ("tfds:svhn_cropped", tasks.Task("svhn_cropped", "tfds:svhn_cropped")),
        ("birds=folder:d#training#held", tasks.Task("birds", "folder:d", "training", "held")),
        ("Spherical-CIFAR-100=npz:c.npz", tasks.Task("spherical_cifar100", "npz:c.npz", image_size=60, spherical=True)),
    ],
)
def test_tasks_of_ones_own(text, expected):
    assert tasks.parse(text) == [expected]


@pytest.mark.parametrize(
    ("text", "message"),
    [("cifar11", "did you mean cifar1"), ("a=photos,a=noise", "different names"), (" , ", "one or more")],
)
def test_names_that_are_none(text, message):
    with pytest.raises(InputError, match=message):
        tasks.parse(text)


def test_a_tenth_of_every_class_is_held_out():
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    kept, held = tasks.hold_out(labels, 0.1, 0)
    assert len(held) == 10 and sorted([*kept, *held]) == list(range(100))
    assert np.all(np.abs(np.bincount(labels[held]) - [5, 3, 2]) <= 1)
    assert np.array_equal(held, tasks.hold_out(labels, 0.1, 0)[1])
    assert not np.array_equal(held, tasks.hold_out(labels, 0.1, 1)[1])
    with pytest.raises(InputError, match="both parts hold an image"):
        tasks.hold_out(labels[:3], 0.1, 0)


def test_preparing_reads_no_test_image(toys):
    def forbidden():
        raise AssertionError("the test images were opened")

    images = toys.images(0)
    data = tasks.prepare("reds", images, forbidden)
    assert (data.num_classes, data.image_size, data.channels) == (3, 4, 3)
    expected = images.pixels[data.train_rows].astype(float).mean((0, 1, 2)) / 255
    np.testing.assert_allclose(data.mean, expected, rtol=1e-5)


def test_a_task_is_opened_by_its_source(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
    labels = np.arange(40) % 4
    file = tmp_path / "subset.npz"
    np.savez(file, x_train=pixels, y_train=labels, x_test=pixels[:8, ::-1], y_test=labels[:8])
    flat = tasks.load(tasks.parse(f"cifar100=npz:{file}", image_size=8)[0])
    assert (flat.image_size, flat.num_classes, len(flat.valid_rows)) == (8, 4, 4)
    np.testing.assert_array_equal(flat.train.images(np.arange(3)), pixels[:3])
    np.testing.assert_array_equal(flat.open_test().images(np.arange(3)), pixels[:3, ::-1])
    assert flat.open_test() is flat.open_test()
    sphere = tasks.load(tasks.parse(f"Spherical-CIFAR-100=npz:{file}", image_size=12)[0])
    assert sphere.name == "spherical_cifar100" and sphere.image_size == 12
    assert sphere.fingerprint != flat.fingerprint and (np.asarray(sphere.train.images(np.arange(1))) == 0).any()
    with pytest.raises(InputError, match="image_size=7 of spherical_cifar100; allowed: even"):
        tasks.load(tasks.parse(f"Spherical-CIFAR-100=npz:{file}", image_size=7)[0])


def test_a_test_split_that_is_missing_is_seen_at_once(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
    np.savez(tmp_path / "alone.npz", x_train=pixels, y_train=np.arange(40) % 4)
    with pytest.raises(InputError, match="has no split 'test'; allowed: train"):
        tasks.load(tasks.parse(f"npz:{tmp_path}/alone.npz")[0])
    Image.fromarray(pixels[0]).save(_made(tmp_path / "images" / "train" / "a") / "0.png")
    with pytest.raises(InputError, match="images/test' does not exist"):
        tasks.load(tasks.parse(f"folder:{tmp_path}/images")[0])


def _made(path):
    path.mkdir(parents=True)
    return path


def test_targets_that_are_no_classes(toys):
    images = toys.images(0)
    images.labels = np.zeros((60, 4, 4))
    with pytest.raises(InputError, match="a class number an image"):
        tasks.prepare("masks", images, lambda: images)
