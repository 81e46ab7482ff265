"""Images with masks: layouts, crops, ignored labels, bad input."""

import numpy as np
import pytest
from PIL import Image

from nasjax.das.crops import CropConfig, SceneFeed, centre_crop, train_crop
from nasjax.das.scenes import (
    CITYSCAPES_LABELS,
    IGNORE,
    Scenes,
    load_scenes,
    scenes_of_arrays,
    scenes_of_records,
    train_ids,
)
from nasjax.types import InputError

RNG = np.random.default_rng(0)


def arrays(n=3, height=8, width=10, classes=3):
    return RNG.integers(0, 256, (n, height, width, 3), np.uint8), RNG.integers(0, classes, (n, height, width))


def png(path, array, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array, mode).save(path) if mode is None else _palette(array).save(path)


def _palette(array):
    image = Image.fromarray(array, "L").convert("P")
    image.putdata([int(v) for v in array.ravel()])
    return image


def test_camvid_and_npz(tmp_path):
    x, y = arrays(classes=12)
    names = np.array([f"c{i}" for i in range(11)] + ["void"])
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:1], y_test=y[:1], class_names=names)
    scenes = load_scenes(f"camvid:{tmp_path / 'a.npz'}")
    assert len(scenes) == 3 and scenes.num_classes == 11 and scenes.class_names[-1] == "c10"
    image, mask = scenes[1]
    np.testing.assert_array_equal(image, x[1])
    np.testing.assert_array_equal(mask, np.where(y[1] == 11, IGNORE, y[1]))
    assert load_scenes(f"npz:{tmp_path / 'a.npz'}", split="test").num_classes == 12
    with pytest.raises(InputError, match="lacks x_val"):
        load_scenes(f"npz:{tmp_path / 'a.npz'}", split="val")


def test_voc_folder(tmp_path):
    root = tmp_path / "VOCdevkit" / "VOC2012"
    mask = np.array([[0, 20], [IGNORE, 5]], np.uint8)
    png(root / "SegmentationClass" / "a.png", mask, "P")
    png(root / "JPEGImages" / "a.jpg", np.zeros((2, 2, 3), np.uint8))
    listed = root / "ImageSets" / "Segmentation" / "val.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text("a\n")
    scenes = load_scenes(f"voc:{tmp_path}", split="test")
    np.testing.assert_array_equal(scenes[0][1], mask)
    assert scenes.num_classes == 21 and scenes.class_names[20] == "tv monitor"
    with pytest.raises(InputError, match="does not exist"):
        load_scenes(f"voc:{tmp_path}", split="train")
    listed.write_text("a\nb\n")
    with pytest.raises(InputError, match="2 of 4 files that val.txt asks for do not exist, such as .*b.jpg"):
        load_scenes(f"voc:{tmp_path}", split="val")
    listed.write_text("a\n")
    png(root / "SegmentationClass" / "a.png", np.zeros((2, 3), np.uint8))
    with pytest.raises(InputError, match=r"a of voc:.* mask \(2, 3\)"):
        load_scenes(f"voc:{tmp_path}", split="val")[0]
    png(root / "SegmentationClass" / "a.png", np.zeros((2, 2, 3), np.uint8))  # colours in place of numbers
    with pytest.raises(InputError, match=r"mask \(2, 2, 3\)"):
        load_scenes(f"voc:{tmp_path}", split="val")[0]
    (root / "SegmentationClass" / "a.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="cannot be read as an image"):
        load_scenes(f"voc:{tmp_path}", split="val")[0]


def test_cityscapes_folder(tmp_path):
    labels = np.array([[7, 33], [0, 26]], np.uint8)
    png(tmp_path / "leftImg8bit" / "train" / "bonn" / "bonn_0_leftImg8bit.png", np.zeros((2, 2, 3), np.uint8))
    png(tmp_path / "gtFine" / "train" / "bonn" / "bonn_0_gtFine_labelIds.png", labels)
    expected = [[0, 18], [IGNORE, 13]]
    scenes = load_scenes(f"cityscapes:{tmp_path}")
    np.testing.assert_array_equal(scenes[0][1], expected)
    trained = np.array([[0, 18], [IGNORE, 12]], np.uint8)
    png(tmp_path / "gtFine" / "train" / "bonn" / "bonn_0_gtFine_labelTrainIds.png", trained)
    np.testing.assert_array_equal(load_scenes(f"cityscapes:{tmp_path}")[0][1], trained)
    with pytest.raises(InputError, match="leftImg8bit"):
        load_scenes(f"cityscapes:{tmp_path}", split="test")
    png(tmp_path / "leftImg8bit" / "train" / "bonn" / "bonn_1_leftImg8bit.png", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(InputError, match="1 of 2 files .*bonn_1_gtFine_labelIds.png"):
        load_scenes(f"cityscapes:{tmp_path}")
    png(tmp_path / "gtFine" / "train" / "bonn" / "bonn_1_gtFine_labelIds.png", np.full((2, 2), 26001, np.uint16))
    with pytest.raises(InputError, match="bonn_1_gtFine_labelIds.png: label 26001; allowed: 0 to 33"):
        load_scenes(f"cityscapes:{tmp_path}")[1]


def test_records_of_tfds():
    image, mask = np.zeros((2, 2, 3), np.uint8), np.array([[7, 8], [9, 33]], np.uint8)[..., None]
    scenes = scenes_of_records([{"image_left": image, "segmentation_label": mask}], source="t", cityscapes=True)
    np.testing.assert_array_equal(scenes[0][1], [[0, 1], [IGNORE, 18]])
    plain = scenes_of_records([{"image": image, "label": mask}], source="t", num_classes=34, ignore=9)
    np.testing.assert_array_equal(plain[0][1], [[7, 8], [IGNORE, 33]])
    with pytest.raises(InputError, match="number of classes"):
        scenes_of_records([{"image": image, "label": mask}], source="t")
    with pytest.raises(InputError, match="need one of segmentation_label"):
        scenes_of_records([{"image": image, "label": 3}], source="t", num_classes=2)


def test_train_ids():
    ids = train_ids(np.arange(34))
    assert [int(ids[label]) for label in CITYSCAPES_LABELS] == list(range(19))
    assert (ids == IGNORE).sum() == 15
    np.testing.assert_array_equal(train_ids(np.array([-1, 255, 7])), [IGNORE, IGNORE, 0])
    for wrong in (34, 263, -2):
        with pytest.raises(InputError, match=f"label {wrong}"):
            train_ids(np.array([[7, wrong]]))


@pytest.mark.parametrize(
    ("change", "match"),
    [(lambda y: y + 7, "allowed: 0 to 2"), (lambda y: y * 0 + IGNORE, "every pixel"), (lambda y: y[:, :-1], "masks of"),
     (lambda y: y * 0.5, "masks of")],
)  # fmt: skip
def test_bad_masks(change, match):
    x, y = arrays()
    with pytest.raises(InputError, match=match):
        scenes_of_arrays(x, change(y), num_classes=3)


def test_one_bad_mask_is_seen_at_once():
    x, y = arrays()
    y[2, 3, 4] = 9
    with pytest.raises(InputError, match="image 2 of arrays: label 9"):
        scenes_of_arrays(x, y, num_classes=3)
    with pytest.raises(InputError, match="num_classes=300"):
        scenes_of_arrays(x, y + 290)


def test_ignored_labels_and_names(tmp_path):
    x, y = arrays(classes=4)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, class_names=list("abcd"))
    source = f"npz:{tmp_path / 'a.npz'}"
    assert load_scenes(source, ignore=3).class_names == ("a", "b", "c")
    middle = load_scenes(source, ignore=1)
    assert middle.num_classes == 4 and middle.class_names == ("a", "b", "c", "d")
    np.testing.assert_array_equal(middle[0][1], np.where(y[0] == 1, IGNORE, y[0]))
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y.astype(object))
    with pytest.raises(InputError, match="a.npz' cannot be read"):
        load_scenes(source)


@pytest.mark.parametrize("source", ["camvid", "city:a", "vok:a", "npz:absent.npz", "tfds:no_such_set"])
def test_bad_sources(source):
    with pytest.raises(InputError, match="do:"):
        load_scenes(source, num_classes=2)


PLAIN = CropConfig(size=(4, 6), base=0, rotate=0.0, flip=False, blur=0.0, test=(0, 0))


def test_plain_crops_are_parts_of_the_image():
    x, y = arrays(1)
    y = np.arange(80).reshape(8, 10)
    found = set()
    for seed in range(30):
        image, mask = train_crop(x[0], y, PLAIN, seed=(seed,))
        top, left = divmod(int(mask[0, 0]), 10)
        found.add((top, left))
        np.testing.assert_array_equal(mask, y[top : top + 4, left : left + 6])
        np.testing.assert_array_equal(image, x[0, top : top + 4, left : left + 6])
    assert len(found) > 10 and max(found)[0] == 4


def test_image_and_mask_move_together():
    """A mask that says which pixels are bright still does after scale, rotation and flip."""
    image = np.zeros((40, 40, 3), np.uint8)
    image[8:30, 14:34] = 255
    mask = (image[..., 0] > 0).astype(np.int32)
    config = CropConfig(size=(32, 32), base=40, rotate=30.0, blur=0.0)
    for seed in range(5):
        x, y = train_crop(image, mask, config, seed=(seed,))
        counts = y != IGNORE
        agree = ((x[..., 0] > 127) == (y == 1))[counts]
        assert agree.mean() > 0.93 and counts.any()


def test_what_lies_outside_is_ignored():
    config = CropConfig(size=(12, 12), base=6, scale=(1.0, 1.0), rotate=0.0, blur=0.0)
    _, mask = train_crop(np.zeros((6, 6, 3), np.uint8), np.ones((6, 6), np.int32), config, seed=(0,))
    assert (mask == 1).sum() == 36 and (mask == IGNORE).sum() == 108
    rotated = CropConfig(size=(6, 6), base=6, scale=(1.0, 1.0), rotate=45.0, blur=0.0)
    _, mask = train_crop(np.zeros((6, 6, 3), np.uint8), np.ones((6, 6), np.int32), rotated, seed=(3,))
    assert set(np.unique(mask)) == {1, IGNORE}


def test_an_image_smaller_than_the_crop_is_refused():
    x, y = arrays(1)
    with pytest.raises(InputError, match="smaller than the crop"):
        train_crop(x[0], y[0], CropConfig(size=(9, 9), base=0), seed=(0,))


def test_crops_of_evaluation():
    x, y = arrays(1)
    image, mask = centre_crop(x[0], y[0], CropConfig(test=(4, 4)))
    assert image.shape == (4, 4, 3) and mask.shape == (4, 4) and mask.dtype == np.int32
    np.testing.assert_array_equal(centre_crop(x[0], y[0], PLAIN)[0], x[0])
    wide = centre_crop(x[0, :, :4], y[0, :, :4], CropConfig(test=(4, 8)))
    assert wide[0].shape == (4, 8, 3) and (wide[1] == IGNORE).sum() == 16


def test_feed():
    x, y = arrays(5)
    scenes = scenes_of_arrays(x, y, num_classes=3)
    feed = SceneFeed(train_scenes=scenes, test_scenes=scenes, config=PLAIN, batch_size=2, seed=1)
    one, two, other = list(feed.train(0)), list(feed.train(0)), list(feed.train(1))
    assert feed.steps == len(one) == 2 and one[0][0].shape == (2, 4, 6, 3)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
    assert not all(np.array_equal(a[0], b[0]) for a, b in zip(one, other, strict=True))
    test = list(feed.test())
    assert [list(weights) for _, _, weights in test] == [[1, 1], [1, 1], [1, 0]]
    mixed = Scenes(2, lambda i: (x[i][: 8 - i], y[i][: 8 - i]), 3, source="mixed")
    with pytest.raises(InputError, match="images of mixed differ in size .7x10, 8x10."):
        SceneFeed(train_scenes=scenes, test_scenes=mixed, config=PLAIN, batch_size=2)
    with pytest.raises(InputError, match="batch_size=6"):
        SceneFeed(train_scenes=scenes, test_scenes=scenes, config=PLAIN, batch_size=6)


@pytest.mark.parametrize("fields", [{"size": (0, 3)}, {"scale": (2.0, 1.0)}, {"rotate": -1.0}, {"base": -1},
                                    {"test": (0, 4)}])
def test_bad_crops(fields):
    with pytest.raises(InputError, match="need|allowed"):
        CropConfig(**fields)
