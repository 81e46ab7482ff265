"""Finds which layers of a search space L-SWAG should read, without training and without accuracies.

Draws random architectures, measures how far the gradients of every layer spread over mini-batches, and looks for a
spike over the depth. The interval is kept by name: --proxies=lswag:interval=NAME of launch.score reads it.

Examples:
  python -m launch.profile_layers --workdir=runs/profile --num_archs=64
  python -m launch.profile_layers --workdir=runs/tiny --space=autoformer_tiny --image_size=224 --name=tiny_photos

Every finished block is saved in the workdir: stopped at any moment, the same command goes on from there.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from typing import Any

import jax
import numpy as np
from rich.table import Table as RichTable

import nasjax
from nasjax import parallel, records, report
from nasjax.cli import common, repeat, report_parts
from nasjax.cli.common import option
from nasjax.cli.score import ScoreConfig, claimed, make_space
from nasjax.proxies import saved_intervals
from nasjax.proxies.profile import IntervalProfile, profile_interval

_HOW = "How to profile"


def _shared(name: str) -> Any:
    """An option that launch.score has too."""
    field = ScoreConfig.__dataclass_fields__[name]
    return dataclasses.field(default=field.default, metadata=field.metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProfileConfig(common.PluginsConfig, common.RunConfig):
    """Options of launch.profile_layers."""

    space: str = _shared("space")
    channels: int | None = _shared("channels")
    cells: int | None = _shared("cells")
    space_options: str = _shared("space_options")
    num_classes: int | None = _shared("num_classes")
    data: str = _shared("data")
    batch_size: int = _shared("batch_size")
    num_batches: int = _shared("num_batches")
    image_size: int | None = _shared("image_size")
    num_archs: int = option(1000, "Random architectures to measure; 1000 as in the paper.", section=_HOW, minimum=1)
    init: str = option("torch", "Initialisation law; torch is the default of the official code.", section=_HOW)
    threshold: float = option(1.0, "How far above the median, in median absolute deviations, a spike begins.",
                              section=_HOW)
    name: str = option("", "Name under which the interval is kept; that of the space by default.", section="Output")


def main(config: ProfileConfig) -> None:
    """Measures, prints the bins, and keeps the interval.

    Args:
      config: what to profile, and how.

    Raises:
      InputError: anything is wrong with the configuration, the data or the working directory.
    """
    name = saved_intervals.check_name(config.name or config.space)
    batches = nasjax.data.load(config.data, batch_size=config.batch_size, num_batches=config.num_batches,
                               image_size=config.image_size, seed=config.seed)
    options: Any = config  # it shares those that make a space
    space = make_space(options, batches)
    about = {
        "space": space.name,
        "space_options": dict(space.options),
        "data": config.data,
        "images": f"sha256 {batches.fingerprint[:16]}",
        "batches": f"{config.num_batches} x {config.batch_size}",
        "init": config.init,
        "precision": config.precision,
        "seed": config.seed,
    }
    common.enable_compile_cache()
    workdir, begin = pathlib.Path(config.workdir), time.monotonic()
    with common.exclusive(workdir), claimed(workdir, common.compared(config) | about) as store:
        common.write_run_flags(workdir, config)
        common.note(f"{config.num_archs:,} random architectures of {space.name} on {config.data},"
                    f" {parallel.device_summary()}.")
        with common.progress("Profiling") as progress:
            profile = profile_interval(
                space, batches, key=jax.random.key(config.seed), num_archs=config.num_archs,
                num_batches=config.num_batches, init=config.init, threshold=config.threshold, store=store,
                progress=progress, engine=config.engine, batching=config.batching, chunk=config.chunk,
                devices=config.devices, precision=config.precision,
            )  # fmt: skip
    files = write_results(workdir, profile, name, about, repeat=repeat.repeat(config, workdir))
    kept = saved_intervals.save(name, profile, about)
    console = common.stdout()
    console.print(_printed(profile))
    console.print(f"{verdict(profile)} Found in {common.duration(time.monotonic() - begin)}.", soft_wrap=True)
    console.print(f"Report: {files[0]}\nKept in {kept}; use it by --proxies=lswag:interval={name}", markup=False,
                  soft_wrap=True)


def verdict(profile: IntervalProfile) -> str:
    """The interval in words."""
    if profile.interval is None:
        return "No bin stands out: all layers are kept."
    low, high = profile.interval
    return f"Chosen: bins {low}-{high}, layers from {10 * low} to {10 * (high + 1)} % of the depth."


def write_results(
    workdir: pathlib.Path, profile: IntervalProfile, name: str, about: dict[str, Any], *,
    repeat: report.Repeat | None = None,
) -> list[pathlib.Path]:  # fmt: skip
    """Writes report.html with the figure, and result.json.

    Args:
      workdir: where to.
      profile: statistics and the chosen interval.
      name: of the interval.
      about: what it belongs to, for the record.
      repeat: what was run, for the report.

    Returns:
      The files; the report first.

    Raises:
      InputError: the directory cannot be written.
    """
    files = [workdir / "report.html", workdir / "result.json"]
    with records.replaced(files[1]) as file:
        file.write(json.dumps({"name": name, **about, "profile": profile.to_json()}, indent=2) + "\n")
    picture = report_parts.depth_profile(
        profile, alt=f"Mean of log sigma over {profile.num_archs:,} networks by depth. {verdict(profile)}",
    )
    facts = {"Space": str(about["space"]), "Architectures": f"{profile.num_archs:,}", "Images": str(about["data"])}
    report.write_report(
        files[0], title="Which layers carry the signal?", summary=verdict(profile), facts=facts,
        sections=[report.Section("Gradients over the depth", [picture, _table(profile)])],
        repeat=repeat,
    )  # fmt: skip
    return files


_COLUMNS = ("Depth, %", "mean log sigma", "deviation", "z", "chosen")


def _rows(profile: IntervalProfile) -> list[tuple[str, ...]]:
    low, high = (0, len(profile.mean) - 1) if profile.interval is None else profile.interval
    return [
        (f"{10 * b}-{10 * (b + 1)}", *(f"{values[b]:.3f}" for values in (profile.mean, profile.deviation, profile.z)),
         "yes" if low <= b <= high else "")
        for b in range(len(profile.mean))
        if np.isfinite(profile.mean[b])
    ]  # fmt: skip


def _table(profile: IntervalProfile) -> report.Table:
    rows = [[cell.replace("-", "\N{MINUS SIGN}") if cell.startswith("-") else cell for cell in row]
            for row in _rows(profile)]  # fmt: skip
    return report.Table(("Depth, %", "mean log σ", "deviation", "z", "chosen"), rows,
                        "By tenth of the depth; z is the distance from the median in median absolute deviations.")


def _printed(profile: IntervalProfile) -> RichTable:
    table = RichTable(box=None, pad_edge=False)
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column == "Depth, %" else "right")
    for row in _rows(profile):
        table.add_row(*row)
    return table


def run() -> None:
    """Entry point of ``python -m launch.profile_layers``."""
    common.run(main, ProfileConfig, kept="every finished block of architectures")


if __name__ == "__main__":
    run()
