"""TE-NAS over a population."""

import numpy as np
import pytest

from nasjax.proxies.te_nas import te_nas
from nasjax.types import InputError


def test_members_and_their_rank_sum():
    proxy = te_nas()
    assert [m.name for m in proxy.members] == ["te_ntk", "te_regions"]
    np.testing.assert_array_equal(proxy.combine(np.array([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]])), [4.0, 3.0, 5.0])


def test_the_preset_is_that_of_the_members():
    paper = te_nas(preset="paper")
    assert dict(paper.options) == {"preset": "paper"}
    assert [dict(m.options)["init"] for m in paper.members] == ["kaiming_fan_out", "kaiming_fan_in"]
    with pytest.raises(InputError, match="'best'"):
        te_nas(preset="best")
