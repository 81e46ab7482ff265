"""Folders of the TransNAS tasks: every target as its network wants it, every broken file by name."""

import numpy as np
import pytest
from PIL import Image

from nasjax.data import load_dataset, task_folders
from nasjax.spaces import transnas_tasks
from nasjax.types import InputError

NAMES = ("a/one", "a/two", "three")
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 6, 9, 3), dtype=np.uint8)


def save(root, folder, values):
    for name, value in zip(NAMES, values, strict=True):
        file = root / folder / f"{name}.x"
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim >= 2:
            Image.fromarray(value).save(file.with_suffix(".png"))
        else:
            np.save(file.with_suffix(".npy"), value)


@pytest.fixture
def root(tmp_path):
    save(tmp_path, "images", PIXELS)
    return tmp_path


def read(root, task, **options):
    dataset = load_dataset(f"folder:{root}", task=task, image_size=6, **options)
    return dataset, dataset.batch(np.arange(len(dataset)))


def fits(task, dataset, batch):
    """The space's own check accepts the targets."""
    entry = transnas_tasks.TASKS[task]
    transnas_tasks.check_targets(entry, task, batch.labels[None], batch.images[None], dataset.num_classes)


def test_forms_are_those_of_the_space():
    kinds = {name: (task.outputs, task.targets) for name, task in transnas_tasks.TASKS.items()}
    assert {name: (form.outputs, form.kind) for name, form in task_folders.FORMS.items()} == kinds


@pytest.mark.parametrize("task", ["class_scene", "class_object"])
def test_classes(root, task):
    save(root, task, [3, 0, 62])
    dataset, batch = read(root, task)
    assert batch.labels.tolist() == [3, 0, 62] and dataset.num_classes == task_folders.FORMS[task].outputs
    np.testing.assert_array_equal(batch.images, PIXELS[:, :, 1:7])
    np.testing.assert_array_equal(dataset.labels, batch.labels)
    fits(task, dataset, batch)


def test_probabilities(root):
    soft = np.random.default_rng(0).dirichlet(np.ones(100), 3)
    save(root, "class_object", soft)
    dataset, batch = read(root, "class_object")
    np.testing.assert_allclose(batch.labels, soft, rtol=1e-6)
    fits("class_object", dataset, batch)


def test_layouts_of_rooms(root):
    values = np.random.default_rng(0).standard_normal((3, 9))
    save(root, "room_layout", values)
    dataset, batch = read(root, "room_layout")
    np.testing.assert_allclose(batch.labels, values, rtol=1e-6)
    assert (dataset.kind, dataset.num_classes) == ("values", 9)
    fits("room_layout", dataset, batch)


def test_segmentation(root):
    maps = np.random.default_rng(0).integers(0, 17, (3, 12, 18), dtype=np.uint8)
    save(root, "segmentsemantic", maps)
    dataset, batch = read(root, "segmentsemantic")
    np.testing.assert_array_equal(batch.labels, maps[:, 1::2, 4:15:2])
    fits("segmentsemantic", dataset, batch)


def test_normals_and_images_as_targets(root):
    save(root, "normal", 255 - PIXELS)
    dataset, batch = read(root, "normal")
    np.testing.assert_allclose(batch.labels, 1 - 2 * (batch.images / 255), atol=1e-6)
    fits("normal", dataset, batch)
    save(root, "normal", list((PIXELS / 255).astype(np.float32)))
    (root / "normal" / "three.png").unlink()  # the .npy of that name takes over
    _, mixed = read(root, "normal")
    np.testing.assert_allclose(mixed.labels[2], 2 * (mixed.images[2] / 255) - 1, atol=1e-6)
    dataset, batch = read(root, "autoencoder")
    np.testing.assert_allclose(batch.labels, 2 * (batch.images / 255) - 1, atol=1e-6)
    fits("autoencoder", dataset, batch)


def test_jigsaw_of_any_source(root):
    dataset, batch = read(root, "jigsaw", num_classes=24)
    assert dataset.num_classes == 24 and batch.images.shape == (3, 6, 6, 3)
    np.testing.assert_array_equal(batch.labels, dataset.labels)
    photos = load_dataset("photos", task="jigsaw", num_classes=24, num_images=10, seed=3)
    assert (photos.image_size, len(photos)) == (30, 10)
    np.testing.assert_array_equal(photos.batch([4, 2]).images, photos.images(np.arange(10))[[4, 2]])
    assert load_dataset("photos", task="autoencoder").kind == "image"


def test_splits(root):
    for name in ("train", "test"):
        save(root / name, "images", PIXELS)
        save(root / name, "class_scene", [1, 2, 3 if name == "train" else 4])
    assert load_dataset(f"folder:{root}#test", task="class_scene", image_size=6).labels.tolist() == [1, 2, 4]


@pytest.mark.parametrize(
    ("task", "values", "match"),
    [
        ("class_scene", [3, 0, 63], r"three\.npy' holds class 63; allowed: 0..62"),
        ("class_scene", [3, -1, 0], r"two\.npy' holds class -1"),
        ("class_scene", [3, 0.5, 0], r"two\.npy' holds float64\[\]; allowed: a class number, or prob"),
        ("class_object", [3, np.ones(100), 0], r"two\.npy' holds float32\[100\], but .*one\.npy' int32\[\]"),
        (
            "room_layout",
            [np.zeros(9), np.zeros(9), np.zeros(8)],
            r"three\.npy' holds float64\[8\]; allowed: floats \[9\]",
        ),
        ("room_layout", [np.zeros(9), np.full(9, np.nan), np.zeros(9)], r"two\.npy' .* NaN"),
        ("segmentsemantic", np.full((3, 6, 9), 17, np.uint8), r"one\.png' holds class 17"),
        ("segmentsemantic", PIXELS, r"one\.png' holds uint8\[6, 9, 3\]; allowed: class numbers"),
        ("normal", [np.zeros((6, 9)), np.zeros((6, 9)), np.zeros((6, 9))], r"one\.npy' holds float64\[6, 9\]"),
    ],
)
def test_bad_targets_are_named(root, task, values, match):
    save(root, task, values)
    with pytest.raises(InputError, match=match):
        read(root, task)[0].labels  # noqa: B018


def test_what_is_missing_is_named(root, tmp_path):
    with pytest.raises(InputError, match="room_layout' does not exist; allowed: DIR/images/NAME.png with DIR/room"):
        read(root, "room_layout")
    save(root, "class_scene", [1, 2, 3])
    (root / "class_scene" / "a" / "two.npy").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"two\.npy' cannot be read"):
        read(root, "class_scene")
    (root / "class_scene" / "a" / "two.npy").unlink()
    with pytest.raises(InputError, match=r"two\.png' has no target '.*two\.npy'"):
        read(root, "class_scene")
    (root / "images" / "three.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"three\.png' cannot be read as an image"):
        read(root, "jigsaw")
    with pytest.raises(InputError, match="images' does not exist"):
        load_dataset(f"folder:{root / 'images'}", task="jigsaw")
    (tmp_path / "none" / "images").mkdir(parents=True)
    with pytest.raises(InputError, match="has no images"):
        load_dataset(f"folder:{tmp_path / 'none'}", task="jigsaw")
    with pytest.raises(InputError, match="task='scenes'; allowed: class_object"):
        load_dataset("photos", task="scenes")
    with pytest.raises(InputError, match="task='normal' with 'photos'; allowed: folder:DIR"):
        load_dataset("photos", task="normal")


def test_maps_of_another_size(root):
    save(root, "segmentsemantic", np.zeros((3, 12, 12), np.uint8))
    with pytest.raises(InputError, match=r"one\.png' is 12 x 12, its image is 6 x 9; .*image_size=N"):
        load_dataset(f"folder:{root}", task="segmentsemantic")
