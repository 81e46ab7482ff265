"""Figures of trainings and of what they lead to: curves, receptive fields, segmented images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from nasjax.das.scenes import IGNORE
from nasjax.figure_style import PALETTES, PHONE, Palette, Theme, sheet, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nasjax.das.receptive_field import Field

_DECADES = 3  # of a heat map: what is a thousand times weaker than the peak is background


def curves_figure(
    histories: Mapping[str, Sequence[Mapping[str, float]]], *, measure: str, theme: Theme = "light"
) -> Figure:
    """Draws loss and a measure over epochs, a line a training.

    Args:
      histories: name -> rows of ``nasjax.das.loop.Fitted.history``.
      measure: "accuracy" or "miou".
      theme: colours.

    Returns:
      The figure.
    """
    palette = PALETTES[theme]
    figure = sheet((9.6, 3.4), palette)
    axes = figure.subplots(1, 2)
    drawn = (("train_loss", "training loss"), (f"test_{measure}", f"test {measure}, %"))
    for axis, (name, title) in zip(axes, drawn, strict=True):
        style(axis, palette)
        factor = 1 if name.endswith("loss") else 100
        for i, (label, rows) in enumerate(histories.items()):
            points = [(row["epoch"], factor * row[name]) for row in rows if name in row]
            axis.plot(*zip(*points, strict=True), color=palette.accents[i % len(palette.accents)], label=label,
                      linestyle=("-", "--", ":")[i // len(palette.accents) % 3], linewidth=1.6,
                      marker="o" if len(points) == 1 else "")  # fmt: skip
        axis.set_title(title, loc="left", fontsize=10.5, color=palette.ink)
        axis.set_xlabel("epoch", color=palette.ink, fontsize=9.5)
    if len(histories) > 1:
        axes[1].legend(fontsize=8.5, frameon=False, labelcolor=palette.ink)
    return figure


def field_figure(fields: Mapping[str, Field], *, theme: Theme = "light", narrow: bool = False) -> Figure:
    """Draws receptive fields as heat maps, with the circles that hold 50 and 90 per cent of the mass.

    Args:
      fields: name -> field.
      theme: colours.
      narrow: for a phone, `nasjax.figure_style.PHONE` inches wide.

    Returns:
      The figure: every map in parts of its peak, logarithmic.
    """
    palette = PALETTES[theme]
    columns = min(2 if narrow else 4, len(fields))
    lines = -(-len(fields) // columns)
    size = (PHONE, (PHONE / columns + 0.4) * lines + 0.5) if narrow else (2.7 * columns + 0.6, 3.0 * lines)
    figure = sheet(size, palette)
    axes = np.atleast_1d(figure.subplots(lines, columns, squeeze=False)).ravel()
    colors = LinearSegmentedColormap.from_list("field", [palette.paper, palette.accents[0], palette.ink])
    image = None
    for axis, (name, field) in zip(axes, fields.items(), strict=False):
        shown = np.clip(field.map / field.map.max(), 10.0**-_DECADES, 1)
        image = axis.imshow(shown, cmap=colors, norm=LogNorm(10.0**-_DECADES, 1), interpolation="nearest")
        for radius in (field.radius50, field.radius90):
            place = (field.centre[1], field.centre[0])
            axis.add_patch(Circle(place, radius, fill=False, color=palette.paper, linewidth=3))
            axis.add_patch(Circle(place, radius, fill=False, color=palette.accents[1], linewidth=1.6,
                                  linestyle=(0, (3, 2))))  # fmt: skip
        axis.set_title(name, loc="left", fontsize=10, fontweight="bold", color=palette.ink)
        text = f"radius {field.radius50:.1f} / {field.radius90:.1f} px"
        axis.set_xlabel(text if narrow else f"area {field.area} px, {text}", fontsize=8.5, color=palette.muted)
        axis.set_xlim(-0.5, field.map.shape[1] - 0.5)
        axis.set_ylim(field.map.shape[0] - 0.5, -0.5)
        _bare(axis, palette)
    for axis in axes[len(fields) :]:
        axis.set_visible(False)
    if image is not None:
        where: dict[str, Any] = {"location": "bottom", "shrink": 0.8, "aspect": 30} if narrow else {"shrink": 0.7}
        bar = figure.colorbar(image, ax=list(axes), pad=0.01, label="share of the peak", **where)
        (bar.ax.xaxis if narrow else bar.ax.yaxis).label.set(color=palette.muted, fontsize=8.5)
        bar.ax.tick_params(colors=palette.muted, labelsize=8)
        bar.outline.set_visible(False)
    return figure


def overlay_figure(
    images: np.ndarray,
    truth: np.ndarray,
    predicted: np.ndarray,
    *,
    class_names: Sequence[str] = (),
    num_classes: int,
    theme: Theme = "light",
    narrow: bool = False,
) -> Figure:
    """Draws images, their masks and what was predicted, in the colours of the classes.

    Args:
      images: uint8 [n, height, width, 3].
      truth: int [n, height, width]; ignored pixels show the image.
      predicted: int [n, height, width].
      class_names: a name a class, for the legend.
      num_classes: classes.
      theme: colours.
      narrow: for a phone, `nasjax.figure_style.PHONE` inches wide.

    Returns:
      The figure, an image a row.
    """
    palette, colors = PALETTES[theme], class_colors(num_classes)
    count, (height, width) = len(images), images.shape[1:3]
    wide = PHONE if narrow else 9.6
    figure = sheet((wide, wide / 3 * count * height / width + 0.9), palette)
    axes = figure.subplots(count, 3, squeeze=False)
    for row, image, true, found in zip(axes, images, truth, predicted, strict=True):
        for axis, mask in zip(row, (None, true, found), strict=True):
            axis.imshow(image if mask is None else overlay(image, mask, num_classes), interpolation="nearest")
            _bare(axis, palette)
    for axis, title in zip(axes[0], ("image", "mask", "prediction"), strict=True):
        axis.set_title(title, loc="left", fontsize=10.5, color=palette.ink)
    there = [int(c) for c in np.union1d(truth[truth != IGNORE], predicted)]
    marks = [_patch(colors[c]) for c in there]
    names = [class_names[c] if c < len(class_names) else f"class {c}" for c in there]
    look: dict[str, Any] = {"ncols": 2 if narrow else 6, "frameon": False, "fontsize": 8.5, "labelcolor": palette.ink}
    figure.legend(marks, names, loc="outside lower center", **look)
    return figure


def overlay(image: np.ndarray, mask: np.ndarray, num_classes: int, *, opacity: float = 0.6) -> np.ndarray:
    """An image under the colours of its classes.

    Args:
      image: uint8 [height, width, 3].
      mask: int [height, width]; ignored pixels show the image alone.
      num_classes: classes.
      opacity: of the colours.

    Returns:
      uint8 [height, width, 3].
    """
    colors = class_colors(num_classes)[np.where(mask == IGNORE, 0, mask)]
    mixed = (1 - opacity) * image + opacity * colors
    return np.where((mask == IGNORE)[..., None], image, np.round(mixed)).astype(np.uint8)


def class_colors(num_classes: int) -> np.ndarray:
    """Colours that are far apart for neighbouring numbers.

    Args:
      num_classes: how many.

    Returns:
      uint8 [num_classes, 3].
    """
    import colorsys

    turns = [(0.58 + i * 0.618034) % 1 for i in range(num_classes)]
    rows = [colorsys.hls_to_rgb(turn, (0.45, 0.65)[i % 2], (0.75, 0.55)[i // 2 % 2]) for i, turn in enumerate(turns)]
    return np.round(255 * np.asarray(rows)).astype(np.uint8)


def _patch(color: np.ndarray) -> Any:
    from matplotlib.patches import Patch

    return Patch(facecolor=tuple(color / 255))


def _bare(axis: Axes, palette: Palette) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set_color(palette.grid)
