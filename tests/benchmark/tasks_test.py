"""Names of tasks, and the images held out."""

import numpy as np
import pytest

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


def test_targets_that_are_no_classes(toys):
    images = toys.images(0)
    images.labels = np.zeros((60, 4, 4))
    with pytest.raises(InputError, match="a class number an image"):
        tasks.prepare("masks", images, lambda: images)
