"""What launch.das_train prints and writes."""

from __future__ import annotations

import csv
import functools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.console import Console

from nasjax import records, report
from nasjax.checkpoint import Checkpoints
from nasjax.cli import common
from nasjax.das import networks
from nasjax.das.crops import centre_crop
from nasjax.das.loop import Fitted
from nasjax.das.scenes import Scenes
from nasjax.das.segmentation import SegmentationConfig, Segmented, predict
from nasjax.das.train_figures import curves_figure, overlay_figure
from nasjax.das.variants import VARIANTS
from nasjax.das.videos import VideoMaker
from nasjax.report import charts
from nasjax.types import InputError, Variables

_NAMED = {"accuracy": "accuracy", "miou": "mean IoU"}


class Examples(NamedTuple):
    """A segmentation network and what it sees in some images.

    Attributes:
      trained: of the training.
      images: uint8 [n, height, width, 3].
      truth: int32 [n, height, width].
      predicted: int64 [n, height, width].
      class_names: a name a class, or empty.
    """

    trained: Segmented
    images: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    class_names: tuple[str, ...]

    @property
    def network(self) -> Any:
        """The Linen module."""
        return self.trained.network

    @property
    def fitted(self) -> Fitted:
        """Variables and history."""
        return self.trained.fitted


def with_examples(
    trained: Segmented, scenes: Scenes, maker: VideoMaker, config: SegmentationConfig, count: int
) -> Examples:
    """Segments some images, evenly spaced through the set.

    Args:
      trained: of the training.
      scenes: images to show.
      maker: images to videos.
      config: options of the training.
      count: how many.

    Returns:
      Network and pictures.
    """
    chosen = np.unique(np.linspace(0, len(scenes) - 1, min(count, len(scenes))).astype(int))
    shown = [centre_crop(*scenes[int(i)], config.crops) for i in chosen]
    images, truth = (np.stack([pair[i] for pair in shown]) for i in range(2))
    run = jax.jit(lambda variables, images: predict(trained.network, variables, images, maker, config=config))
    predicted = np.asarray(run(trained.fitted.variables, images)).argmax(-1)
    return Examples(trained, images, truth, predicted, scenes.class_names)


def write(
    workdir: pathlib.Path, result: Any, config: Any, seconds: float, *, repeat: report.Repeat | None = None
) -> pathlib.Path:
    """Writes history.csv, result.json, figures and report.html.

    Args:
      workdir: where to.
      result: ``Trained`` or ``Examples``.
      config: flags.
      seconds: that the run took.
      repeat: what was run, for the report.

    Returns:
      The report.

    Raises:
      InputError: a file cannot be written.
    """
    facts = summary(result, config)
    save_variables(workdir, result.fitted.variables)
    history = result.fitted.history
    names = list(dict.fromkeys(name for row in history for name in row))
    with records.replaced(workdir / "history.csv") as file:
        table = csv.DictWriter(file, names, lineterminator="\n")
        table.writeheader()
        table.writerows({name: repr(value) for name, value in row.items()} for row in history)
    with records.replaced(workdir / "result.json") as file:
        file.write(json.dumps({**facts, "seconds": round(seconds, 3), "history": history}, indent=1) + "\n")
    sections = [report.Section("Training", _charts(config.variant, history, measure(result)))]
    if isinstance(result, Examples):
        sections.append(_pixels(result))
    text = VARIANTS[config.variant]
    named = {name.replace("miou", "mean IoU").replace("train loss", "training loss"): value
             for name, value in _lines(facts).items()}  # fmt: skip
    shown = {name[:1].upper() + name[1:]: value for name, value in named.items()}
    return report.write_report(
        workdir / "report.html", title=f"{config.task.capitalize()} with {config.variant}",
        summary=f"{text[:1].upper()}{text[1:]}.", facts=shown | {"Time": common.duration(seconds)}, sections=sections,
        repeat=repeat,
    )  # fmt: skip


def _charts(variant: str, history: Sequence[Mapping[str, float]], name: str) -> list[report.Chart]:
    """Training loss and test measure over the epochs."""
    drawn = []
    columns = (("train_loss", "training loss", 1.0), (f"test_{name}", f"test {_NAMED[name]}, %", 100.0))
    for column, label, scale in columns:
        values = [scale * row.get(column, float("nan")) for row in history]
        drawn.append(charts.curves(
            "curves" if column == "train_loss" else f"curves_{name}", [row["epoch"] for row in history],
            {variant: values}, labels=("epoch", label), whole=True, height=340, alt=f"{label} by epoch",
            caption=f"{label.removesuffix(', %').capitalize().replace('iou', 'IoU')} after each epoch.",
            draw=functools.partial(_curves, {variant: history}, name),
        ))  # fmt: skip
    return drawn


def save_variables(workdir: pathlib.Path, variables: Variables) -> None:
    """Keeps weights beside the results, without the state of the optimiser.

    Args:
      workdir: of the training.
      variables: after the last epoch.
    """
    with Checkpoints(workdir / "weights", keep=1) as kept:
        steps = kept.steps()
        kept.save(max(steps, default=0) + 1, variables, {})


def load_variables(workdir: pathlib.Path, like: Variables) -> Variables:
    """Reads what ``save_variables`` wrote.

    Args:
      workdir: of the training.
      like: variables of the same structure.

    Returns:
      The weights.

    Raises:
      InputError: they are not there, or of another network.
    """
    with Checkpoints(workdir / "weights", keep=1, read_only=True) as kept:
        saved = kept.restore(like)
    shapes = [[np.shape(leaf) for leaf in jax.tree.leaves(tree)] for tree in (like, saved.arrays if saved else None)]
    if saved is None or shapes[0] != shapes[1]:
        raise InputError(f"{workdir}/weights holds no weights of this network; do: run launch.das_train there again")
    return saved.arrays


def show(console: Console, result: Any, config: Any, seconds: float) -> None:
    """Prints the result.

    Args:
      console: where to.
      result: ``Trained`` or ``Examples``.
      config: flags.
      seconds: that the run took.
    """
    facts = summary(result, config)
    for name, value in _lines(facts).items():
        console.print(f"{name:<20}{value}", markup=False, soft_wrap=True)
    resumed = f", {result.fitted.resumed} epochs by an earlier run" if result.fitted.resumed else ""
    console.print(f"{'time':<20}{common.duration(seconds)}{resumed}", markup=False, soft_wrap=True)


def summary(result: Any, config: Any) -> dict[str, Any]:
    """The numbers of a training.

    Args:
      result: ``Trained`` or ``Examples``.
      config: flags.

    Returns:
      name -> number or text; "class_iou" is a dictionary.
    """
    last = result.fitted.history[-1]
    name = f"test_{measure(result)}"
    facts: dict[str, Any] = {
        "variant": config.variant,
        name: next((row[name] for row in reversed(result.fitted.history) if name in row), float("nan")),
        "train_loss": last["train_loss"],
        "epochs": last["epoch"],
        "parameters": networks.count_params(result.fitted.variables.params),
        "seed": config.seed,
    }
    if isinstance(result, Examples):
        facts["class_iou"] = class_iou(result)
    else:
        facts["temporal_modules"] = result.network.num_temporal
        facts["frames"] = result.variant.maker.num_frames
        facts["network"] = result.describe()
    if result.fitted.stopped:
        facts["stopped"] = result.fitted.stopped
    return facts


def measure(result: Any) -> str:
    """The measure of a task.

    Args:
      result: ``Trained`` or ``Examples``.

    Returns:
      "accuracy" or "miou".
    """
    return "miou" if isinstance(result, Examples) else "accuracy"


def _pixels(result: Examples) -> report.Section:
    rows: Sequence[Sequence[Any]] = [
        (name, report.Bar(value or 0.0, "absent" if value is None else f"{100 * value:.1f}"))
        for name, value in class_iou(result).items()
    ]
    draw = functools.partial(_masks, result)
    caption = "Images of the test split; ignored pixels show the image."
    picture = report.Picture("masks", "images, masks and predictions", caption, draw,
                             functools.partial(_masks, result, narrow=True))  # fmt: skip
    return report.Section("Classes", [report.Table(("class", "IoU, %"), rows), picture])


def class_iou(result: Examples) -> Mapping[str, float | None]:
    """Intersection over union by class.

    Args:
      result: of segmentation.

    Returns:
      name -> share, None for a class that is absent.
    """
    rows = result.trained.class_iou
    names = result.class_names or tuple(f"class {i}" for i in range(len(rows)))
    return {name: None if np.isnan(value) else float(value) for name, value in zip(names, rows, strict=False)}


def _curves(histories: Mapping[str, Any], name: str, theme: Any) -> Any:
    return curves_figure(histories, measure=name, theme=theme)


def _masks(result: Examples, theme: Any, narrow: bool = False) -> Any:
    return overlay_figure(result.images, result.truth, result.predicted, class_names=result.class_names,
                          num_classes=len(result.trained.class_iou), theme=theme, narrow=narrow)  # fmt: skip


def _lines(facts: Mapping[str, Any]) -> dict[str, str]:
    """Facts as they are read, without tables."""
    plain = {name: value for name, value in facts.items() if not isinstance(value, dict)}
    return {name.replace("_", " "): _written(name, value) for name, value in plain.items()}


def _written(name: str, value: Any) -> str:
    if name in ("test_accuracy", "test_miou"):
        return f"{100 * value:.2f} %"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)
