"""Figures of a search show what it did."""

import jax
import numpy as np
import pytest

from nasjax import das
from nasjax.das import figures, selection


@pytest.fixture(scope="module")
def result():
    cell = das.preset("geometric5", num_frames=2)
    alphas = np.random.default_rng(0).normal(size=(4, 14, 5)).cumsum(0).astype(np.float32)
    magnitudes = np.asarray(das.sample_magnitudes(jax.random.key(0), cell))
    chosen, kept = selection.by_argmax(alphas[-1], cell)
    genotype = das.Genotype.of_choice(cell, chosen, magnitudes, kept=kept)
    history = [{"epoch": e, "train_loss": 2.0 - e, "valid_loss": 2.1 - e, "train_accuracy": 0.5, "valid_accuracy": 0.4}
               for e in range(3)]  # fmt: skip
    events = [selection.Event(1, 0, -1, 2, (0.5,) * 5, (1.0,) * 5)]
    return das.SearchResult(genotype, genotype, cell, das.SearchConfig(epochs=1), magnitudes, alphas, history, events,
                            {}, {}, 1.0)  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_alphas(result, theme):
    figure = figures.alpha_figure(result, theme=theme)
    panels = [axis for axis in figure.axes if axis.get_visible()]
    assert len(panels) == 14 and panels[0].get_title() == "input 0 to node 0"
    rings = [line for axis in panels for line in axis.lines if line.get_marker() == "o"]
    assert len(rings) == len(result.genotype.genes) == 8
    sums = np.sum([line.get_ydata() for line in panels[3].lines if line.get_marker() != "o"], 0)
    np.testing.assert_allclose(sums, 1, rtol=1e-5)


def test_course_and_entropy(result):
    lines = figures.course_figure(result).axes[0].lines
    np.testing.assert_allclose(lines[0].get_ydata(), [2, 1, 0])
    assert len(lines) == 3  # both halves, and where choices begin
    entropy = figures.entropy_figure(result).axes[0].lines
    assert len(entropy) == 15
    np.testing.assert_allclose(entropy[-1].get_ydata(), result.entropy.mean(1))


def test_frames():
    videos = np.random.default_rng(0).random((2, 3, 8, 8, 3)) * 2 - 0.5
    figure = figures.frames_figure(videos, (1, 0, 1))
    assert len(figure.axes) == 6 and figure.axes[1].get_title() == "level 0"
    np.testing.assert_allclose(figure.axes[4].images[0].get_array(), np.clip(videos[1, 1], 0, 1))
    grey = figures.frames_figure(videos[..., :1], (1, 0, 1))
    assert grey.axes[0].images[0].get_array().shape == (8, 8)
    for channels, shape in ((2, (8, 8)), (4, (8, 8, 3))):
        wide = figures.frames_figure(np.repeat(videos[..., :1], channels, -1), (1, 0, 1))
        assert wide.axes[0].images[0].get_array().shape == shape
