import pytest

from nasjax.cli import demo
from nasjax.cli.options import parse
from nasjax.data import tables
from nasjax.types import InputError


def test_the_sample_is_of_known_accuracy_and_repeatable():
    known = set(tables.load("nasbench201")["arch"])
    archs = demo.sample(50, seed=1)
    assert len(set(archs)) == 50 and set(archs) <= known
    assert archs == demo.sample(50, seed=1) != demo.sample(50, seed=2)
    with pytest.raises(InputError, match="at most"):
        demo.sample(20_000)


@pytest.mark.slow
def test_a_small_demonstration_runs_to_the_report(tmp_path, capsys):
    flags = (f"--workdir={tmp_path}", "--number=4", "--channels=4", "--cells=1", "--batch_size=8",
             "--proxies=params,nwot")  # fmt: skip
    config, _ = parse(demo.DemoConfig, flags)
    demo.main(config)
    out = capsys.readouterr().out
    assert "Report:" in out and "Next: open" in out
    for name in ("scores.csv", "correlations.csv", "report.html", "run.flags", "config.json", "scores.sqlite"):
        assert (tmp_path / name).is_file(), name
    assert (tmp_path / "run.flags").read_text().startswith("# Repeats this run: python -m nasjax.cli.score --flagfile")
    page = (tmp_path / "report.html").read_text()
    scored, correlated = (page.index(f"python -m nasjax.cli.{name} --flagfile") for name in ("score", "correlate"))
    assert scored < correlated and "--proxies=params,nwot" in page


def test_an_unusable_directory_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    config, _ = parse(demo.DemoConfig, [f"--workdir={tmp_path / 'file'}"])
    with pytest.raises(InputError, match="Cannot write"):
        demo.main(config)
