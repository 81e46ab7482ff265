"""Tiny-ImageNet's folders: training images a directory a class, validation images by a text file."""

import numpy as np
import pytest
from PIL import Image

import nasjax.data
from nasjax.data import annotated
from nasjax.types import InputError


@pytest.fixture
def tiny(tmp_path):
    for name in ("n01", "n02", "n03"):
        (tmp_path / "train" / name / "images").mkdir(parents=True)
        (tmp_path / "train" / name / f"{name}_boxes.txt").write_text("")
        Image.fromarray(np.full((8, 8, 3), 40, np.uint8)).save(tmp_path / "train" / name / "images" / f"{name}_0.png")
    (tmp_path / "val" / "images").mkdir(parents=True)
    for i in range(3):
        Image.fromarray(np.full((8, 8, 3), 50 * i, np.uint8)).save(tmp_path / "val" / "images" / f"val_{i}.png")
    lines = ["val_2.png\tn03\t0\t0\t8\t8", "val_0.png\tn01\t0\t0\t8\t8", "val_1.png\tn03\t0\t0\t8\t8"]
    (tmp_path / "val" / annotated.ANNOTATIONS).write_text("\n".join(lines) + "\n")
    return tmp_path


def test_both_splits_number_classes_alike(tiny):
    train, val = (nasjax.data.load_dataset(f"folder:{tiny}", split=split) for split in ("train", "val"))
    assert train.class_names == val.class_names == ("n01", "n02", "n03")
    assert train.labels.tolist() == [0, 1, 2] and val.labels.tolist() == [2, 0, 2]
    assert val.images([0, 1, 2])[:, 0, 0, 0].tolist() == [100, 0, 50]


def test_bad_annotations(tiny):
    file = tiny / "val" / annotated.ANNOTATIONS
    for text, match in (("val_9.png\tn01\n", "is missing"), ("val_0.png\tn09\n", "no directory"), ("x\n", "damaged")):
        file.write_text(text)
        with pytest.raises(InputError, match=match):
            annotated.scan(tiny / "val")


def test_without_training_images_the_classes_are_those_that_occur(tiny):
    (tiny / "train").rename(tiny / "other")
    assert annotated.scan(tiny / "val")[2] == ("n01", "n03")
