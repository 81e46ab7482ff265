"""Tests of nasjax.proxies.saved_intervals."""

import json

import numpy as np
import pytest

from nasjax.proxies import lswag, parse, saved_intervals
from nasjax.proxies.profile import IntervalProfile
from nasjax.types import InputError

PROFILE = IntervalProfile(np.arange(10.0), np.ones(10), np.arange(10.0), (3, 6), 12)


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("NASJAX_INTERVALS", str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_what_is_saved_is_loaded(folder):
    file = saved_intervals.save("vit_small", PROFILE, {"space": "autoformer_small"})
    assert file == folder / "vit_small.json" and json.loads(file.read_text())["space"] == "autoformer_small"
    found = saved_intervals.load("vit_small")
    np.testing.assert_array_equal(found.mean, PROFILE.mean)
    assert found.interval == (3, 6)
    saved_intervals.save("vit_small", PROFILE._replace(interval=None), {})
    assert saved_intervals.load("vit_small").interval is None
    assert [f.name for f in folder.iterdir()] == ["vit_small.json"]


def test_proxies_read_it_by_name():
    saved_intervals.save("mine", PROFILE, {})
    for proxy in (lswag(interval="mine"), *parse("lswag:interval=mine", preset="paper")):
        # The bins stand in the configuration, so that scores do not depend on what a name means later.
        assert dict(proxy.options)["interval"] == (3, 6)
    saved_intervals.save("flat", PROFILE._replace(interval=None), {})
    assert dict(lswag(interval="flat").options)["interval"] is None


def test_a_missing_name_lists_the_others():
    saved_intervals.save("mine", PROFILE, {})
    with pytest.raises(InputError, match=r"named 'yours' in .*kept; there: mine\. Make it by .*--name=yours.*low-high"):
        lswag(interval="yours")


@pytest.mark.parametrize("name", ["auto", "None", "2-6", "", "a b", "../up", "-x"])
def test_names_that_mean_something_else_are_refused(name):
    with pytest.raises(InputError, match="is no name for a layer interval"):
        saved_intervals.save(name, PROFILE, {})


@pytest.mark.parametrize("content", ["{", "{}", '{"profile": {"mean": 3}}', "[]"])
def test_a_damaged_file_is_named(folder, content):
    folder.mkdir()
    (folder / "bad.json").write_text(content)
    with pytest.raises(InputError, match="bad.json is not a layer interval"):
        saved_intervals.load("bad")


def test_an_unwritable_folder_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NASJAX_INTERVALS", str(tmp_path / "file"))
    with pytest.raises(InputError, match="Cannot write .*NASJAX_INTERVALS"):
        saved_intervals.save("mine", PROFILE, {})
