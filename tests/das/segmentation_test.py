"""Segmentation: mean IoU against scikit-learn, losses, networks, training on tiny masks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from nasjax.das.config import DASConfig
from nasjax.das.crops import CropConfig, SceneFeed
from nasjax.das.genotype import Gene, Genotype
from nasjax.das.heads import pooled_to, resized
from nasjax.das.scenes import IGNORE, scenes_of_arrays
from nasjax.das.segmentation import (
    SegmentationConfig,
    _task,
    confusion,
    evaluate,
    fused,
    iou,
    make_network,
    pixel_loss,
    train_segmentation,
)
from nasjax.das.temporal import TemporalConfig
from nasjax.das.train_figures import class_colors, overlay, overlay_figure
from nasjax.das.videos import VideoMaker
from nasjax.types import InputError

RNG = np.random.default_rng(0)
PLAIN = CropConfig(size=(16, 16), base=0, rotate=0.0, blur=0.0, test=(0, 0))
SMALL = SegmentationConfig(network="resnet10", width=8, stem="cifar", output_stride=2, epochs=3, batch_size=4,
                           learning_rate=0.1, temporal=TemporalConfig(kind="tsm"), crops=PLAIN)  # fmt: skip


def squares(n, seed=0):
    """Bright squares on dark ground; the mask says where, and ignores a corner."""
    rng = np.random.default_rng(seed)
    images, masks = np.zeros((n, 16, 16, 3), np.uint8), np.zeros((n, 16, 16), np.int32)
    for i in range(n):
        top, left = rng.integers(0, 9, 2)
        masks[i, top : top + 7, left : left + 7] = 1
    images[masks == 1] = 220
    masks[:, :2, :2] = IGNORE
    return scenes_of_arrays(images, masks, num_classes=2)


def test_confusion_and_mean_iou_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    truth, found = RNG.integers(0, 5, (3, 6, 7)), RNG.integers(0, 5, (3, 6, 7))
    truth[truth == 3] = 2
    found[found == 3] = 4  # class 3 is absent
    counts = RNG.random(truth.shape) > 0.2
    masks = np.where(counts, truth, IGNORE)
    matrix = np.asarray(confusion(jnp.asarray(found), jnp.asarray(masks), 5))
    expected = metrics.confusion_matrix(truth[counts], found[counts], labels=range(5))
    np.testing.assert_array_equal(matrix, expected)
    shares = iou(matrix)
    assert np.isnan(shares[3])
    wanted = metrics.jaccard_score(truth[counts], found[counts], labels=[0, 1, 2, 4], average=None)
    np.testing.assert_allclose(shares[[0, 1, 2, 4]], wanted)


def test_pixels_that_do_not_count_change_no_loss():
    logits = jnp.asarray(RNG.normal(size=(2, 3, 3, 4)), jnp.float32)
    masks = jnp.asarray(RNG.integers(0, 4, (2, 3, 3))).at[0, 0].set(IGNORE)
    total, count = pixel_loss(logits, masks)
    logp = np.asarray(jax.nn.log_softmax(logits))
    rows = [-logp[(*place, label)] for place, label in np.ndenumerate(np.asarray(masks)) if label != IGNORE]
    assert count == 15 and float(total) == pytest.approx(sum(rows), rel=1e-5)
    gradient = jax.grad(lambda logits: pixel_loss(logits, masks)[0])(logits)
    assert not np.asarray(gradient[0, 0]).any() and np.asarray(gradient[1]).all()
    empty, none = pixel_loss(logits, jnp.full_like(masks, IGNORE))
    assert empty == 0 and none == 0


def test_pooling_to_cells_and_resizing():
    x = RNG.normal(size=(1, 5, 7, 2)).astype(np.float32)
    cells = pooled_to(jnp.asarray(x), 3)
    np.testing.assert_allclose(cells[0, 1, 2], x[0, 1:4, 4:7].mean((0, 1)), rtol=1e-5)  # as torch's adaptive pooling
    np.testing.assert_allclose(pooled_to(jnp.asarray(x), 1)[0, 0, 0], x.mean((1, 2))[0], rtol=1e-5)
    line = jnp.arange(4.0)[None, None, :, None] * jnp.ones((1, 2, 1, 1))
    expected = ndimage.zoom(np.arange(4.0), 2, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(resized(line, (2, 8))[0, 0, :, 0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("head", "stem", "stride", "expected"),
    [("pspnet", "deep", None, 4), ("pspnet", "cifar", 2, 16), ("deeplab", "deep", None, 8),
     ("deeplab", "cifar", 4, 32)],
)  # fmt: skip
def test_resolution_of_the_maps(head, stem, stride, expected):
    config = SegmentationConfig(head=head, network="resnet10", width=8, stem=stem, output_stride=stride, head_width=8,
                                temporal=TemporalConfig(kind="tsm"))  # fmt: skip
    network = make_network(config, 5)
    video = jax.ShapeDtypeStruct((2, 3, 32, 32, 3), jnp.float32)
    found = jax.eval_shape(lambda video: network.init_with_output(jax.random.key(0), video)[0], video)
    assert found.logits.shape == (2, 3, expected, expected, 5)
    assert (found.auxiliary is not None) == (head == "pspnet")
    assert network.backbone.num_temporal == 4


def test_frames_are_averaged_in_place_or_moved_back():
    config = DASConfig(num_frames=3, num_nodes=1, num_inputs=1)
    maker = VideoMaker(Genotype((Gene(0, 0, "translate_x", 0.25),), config))
    maps = jnp.asarray(RNG.normal(size=(1, 3, 4, 4, 2)), jnp.float32)
    np.testing.assert_allclose(fused(maps, (4, 4), maker, unwarp=False), maps.mean(1), rtol=1e-6)
    back = np.zeros_like(maps)
    back[:, 1] = maps[:, 1]
    back[:, ::2, :, :3] = maps[:, ::2, :, 1:]  # shifted to the right by one pixel: back to the left
    np.testing.assert_allclose(fused(maps, (4, 4), maker, unwarp=True), back.mean(1), atol=1e-6)
    large = fused(maps, (8, 8), maker, unwarp=False)
    np.testing.assert_allclose(large, resized(maps, (8, 8)).mean(1), atol=1e-6)


@pytest.fixture(scope="module")
def trained():
    return train_segmentation(squares(8), squares(5, 1), VideoMaker(None, 2), key=jax.random.key(0), config=SMALL,
                              backbone={"stages": (1, 1)})  # fmt: skip


def test_training_finds_the_squares(trained):
    history = trained.fitted.history
    assert history[-1]["train_loss"] < 0.8 * history[0]["train_loss"]
    assert history[-1]["test_miou"] == pytest.approx(np.nanmean(trained.class_iou), abs=1e-6)
    assert {"test_loss", "test_accuracy", "train_accuracy"} <= set(history[0])


def test_evaluation_does_not_depend_on_the_batch(trained):
    scenes, total = squares(5, 1), []
    for size in (4, 3):
        feed = SceneFeed(train_scenes=scenes, test_scenes=scenes, config=PLAIN, batch_size=size)
        total.append(evaluate(trained.network, trained.fitted.variables, feed, VideoMaker(None, 2), config=SMALL))
    assert total[0].sum() == 5 * (256 - 4)
    np.testing.assert_array_equal(*total)


def test_overlays():
    image, mask = np.full((2, 3, 3), 100, np.uint8), np.array([[0, 1, IGNORE], [1, 1, 0]])
    colors = class_colors(2)
    shown = overlay(image, mask, 2, opacity=0.5)
    np.testing.assert_array_equal(shown[0, 2], [100, 100, 100])
    np.testing.assert_array_equal(shown[0, 1], np.round(50 + colors[1] / 2))
    assert len({tuple(c) for c in class_colors(21)}) == 21
    figure = overlay_figure(image[None], mask[None], mask[None] % 2, num_classes=2, class_names=("a",))
    assert len(figure.axes) == 3 and [t.get_text() for t in figure.legends[0].get_texts()] == ["a", "class 1"]


@pytest.mark.parametrize(
    "fields",
    [{"head": "unet"}, {"network": "mobilenet_v2"}, {"output_stride": 3}, {"epochs": 0}, {"learning_rate": 0.0}],
)
def test_bad_configuration(fields):
    with pytest.raises(InputError, match="allowed"):
        SegmentationConfig(**fields)


def test_nothing_to_evaluate_is_said():
    own = _task(SMALL, None, VideoMaker(None, 2), 2, 1, False)
    with pytest.raises(InputError, match="every pixel that is evaluated is ignored"):
        own.summary({"loss": np.float32(0), "pixels": np.float32(0), "confusion": np.zeros((2, 2), np.int32)})


def test_unwarp_without_a_genotype():
    config = SegmentationConfig(crops=PLAIN, batch_size=2, unwarp=True)
    with pytest.raises(InputError, match="unwarp needs a genotype"):
        train_segmentation(squares(2), squares(2), VideoMaker(None, 2), key=jax.random.key(0), config=config)
