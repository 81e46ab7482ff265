import types

import numpy as np
import pytest

from nasjax.cli import intervals
from nasjax.types import InputError

PROFILE = types.SimpleNamespace(mean=np.linspace(-7, -5, 10), deviation=np.full(10, 0.3), interval=(7, 9))


def test_a_figure_each(tmp_path):
    files = intervals.write(tmp_path, {"lswag": PROFILE, "lswag:interval=auto:var_of=abs": PROFILE})
    assert [file.name for file in files] == ["interval_lswag.png", "interval_lswag_interval_auto_var_of_abs.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
    assert intervals.write(tmp_path, {}) == []


def test_unwritable_place(tmp_path):
    with pytest.raises(InputError, match="Cannot write"):
        intervals.write(tmp_path / "absent", {"lswag": PROFILE})
