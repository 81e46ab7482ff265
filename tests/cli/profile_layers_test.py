"""launch.profile_layers: results, reuse by name, going on after a stop, bad input."""

import json

import numpy as np
import pytest

from nasjax.cli import profile_layers
from nasjax.cli.options import parse
from nasjax.proxies import lswag
from nasjax.proxies.profile import IntervalProfile
from nasjax.types import InputError

TINY = ("--channels=2", "--cells=1", "--image_size=8", "--data=noise", "--batch_size=4", "--chunk=2", "--engine=jit")
PROFILE = IntervalProfile(np.array([*np.linspace(-7, -5, 9), np.nan]), np.full(10, 0.3), np.arange(10.0), (7, 8), 12)


@pytest.fixture(autouse=True)
def places(monkeypatch, tmp_path):
    monkeypatch.setenv("NASJAX_INTERVALS", str(tmp_path / "intervals"))
    monkeypatch.setenv("NASJAX_CACHE", "off")
    return tmp_path


def run(workdir, *flags):
    config, _ = parse(profile_layers.ProfileConfig, [f"--workdir={workdir}", *TINY, *flags])
    profile_layers.main(config)


@pytest.mark.slow
def test_a_run_is_kept_by_name_and_goes_on(places, capsys):
    run(places / "run", "--num_archs=3", "--name=tiny")
    out = capsys.readouterr().out
    kept = json.loads((places / "intervals" / "tiny.json").read_text())
    assert kept["space"] == "nasbench201" and kept["space_options"]["channels"] == 2
    assert "--proxies=lswag:interval=tiny" in out and "Depth, %" in out
    profile = IntervalProfile.from_json(kept["profile"])
    assert profile.num_archs == 3 and np.isfinite(profile.mean).any()
    assert dict(lswag(interval="tiny").options)["interval"] == profile.interval
    assert json.loads((places / "run" / "result.json").read_text())["profile"] == kept["profile"]
    assert (places / "run" / "interval.png").read_bytes().startswith(b"\x89PNG")
    assert "Which layers carry the signal?" in (places / "run" / "report.html").read_text()

    # Everything is in the store: nothing is computed again, and the numbers are the same.
    (places / "intervals" / "tiny.json").unlink()
    run(places / "run", "--num_archs=3", "--name=tiny")
    assert json.loads((places / "intervals" / "tiny.json").read_text()) == kept
    assert "3/3" in capsys.readouterr().err


def test_other_options_need_another_directory(places):
    (places / "run").mkdir()
    (places / "run" / "config.json").write_text('{"num_archs": 2}')
    with pytest.raises(InputError):
        run(places / "run", "--num_archs=3")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--name=2-6",), "is no name for a layer interval"),
        (("--num_archs=0",), "--num_archs=0"),
        (("--space=nasbench2001",), "nasbench201"),
        (("--num_batches=1",), "num_batches=1; allowed is 2 or more"),
    ],
)
def test_bad_input(places, flags, message):
    with pytest.raises(InputError, match=message):
        run(places / "run", *flags)
    assert not (places / "intervals").exists()


def test_results_of_a_profile(places):
    files = profile_layers.write_results(places, PROFILE, "mine", {"space": "toy", "data": "noise"})
    assert [f.name for f in files] == ["report.html", "result.json"]
    page = files[0].read_text()
    assert "Chosen: bins 7-8, layers from 70 to 90 % of the depth." in page and page.count(">yes<") == 2
    assert "90-100" not in page.replace("from 70 to 90", "")
    assert profile_layers.verdict(PROFILE._replace(interval=None)) == "No bin stands out: all layers are kept."


def test_unwritable_results(places):
    with pytest.raises(InputError, match="Cannot write"):
        profile_layers.write_results(places / "absent", PROFILE, "mine", {"space": "toy", "data": "noise"})
