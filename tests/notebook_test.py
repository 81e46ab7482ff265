"""Help for notebooks."""

import io
import re
import struct

import IPython.display
import jax
import pytest
from matplotlib.figure import Figure

import nasjax
from nasjax import notebook


def test_about_names_versions_and_devices():
    first, second = notebook.about().splitlines()
    assert re.match(r"nasjax \S+, jax \d+\.\d+\S*, flax \d\S*, optax \d\S*, Python 3\.\d+", first)
    assert f"jax {jax.__version__}," in first and f"nasjax {nasjax.__version__}," in first
    assert second == f"devices: {jax.local_device_count()} x {jax.local_devices()[0].device_kind}"


def test_show_hands_a_png_to_the_page(monkeypatch):
    given = []
    monkeypatch.setattr(IPython.display, "display", given.append)
    notebook.show(Figure(figsize=(4.0, 2.0)))
    (image,) = given
    assert image.data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", image.data[16:24]) == (576, 288)  # 144 pixels an inch,
    assert image.width == 384  # shown at 96


def test_progress_overwrites_its_line_and_ends_with_the_time():
    out = io.StringIO()
    with notebook.progress("Scoring", file=out) as shown:
        shown(0, 12_000)
        shown(1, 12_000)  # at once after the first: not worth a line
    lines = out.getvalue().split("\r")
    assert lines[0] == "" and lines[1] == "Scoring: 0 of 12,000, 0 s"
    assert re.fullmatch(r"Scoring: \d+\.\d s *\n", lines[2]) and len(lines) == 3
    assert len(lines[2]) > len(lines[1])  # covers it


def test_a_step_without_progress_still_tells_its_time():
    out = io.StringIO()
    with notebook.progress("Training", file=out):
        pass
    assert re.fullmatch(r"\rTraining: \d+\.\d s\n", out.getvalue())


def test_an_error_inside_a_step_passes_and_no_time_is_claimed():
    out = io.StringIO()
    with pytest.raises(ValueError, match="broken"), notebook.progress("Training", file=out):
        raise ValueError("broken")
    assert out.getvalue() == ""
