"""launch.das_search as people run it: results, resume, bad input."""

import json

import numpy as np
import pytest
from flax import linen as nn
from PIL import Image

from nasjax import das
from nasjax.cli import common, das_search
from nasjax.report import page as pages

TINY = ("--num_images=20", "--image_size=8", "--batch_size=5", "--preset=single_edge", "--frames=2", "--epochs=1",
        "--ops=identity,rotate", "--shown=2")  # fmt: skip


class Tiny(nn.Module):
    """A layer over frames."""

    @nn.compact
    def __call__(self, video, train=False):
        return nn.Dense(10)(video.reshape(*video.shape[:2], -1)).mean(1)


@pytest.fixture(scope="module", autouse=True)
def tiny_network():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(das_search, "make_network", lambda config, classes: das.linen_network(Tiny(), name="tiny"))
        yield


@pytest.fixture
def run_here(capsys):
    """The command within this process."""

    def run_here(*argv):
        with pytest.raises(SystemExit) as end:
            common.run(das_search.main, das_search.DASSearchConfig, argv=[str(word) for word in argv])
        seen = capsys.readouterr()
        return end.value.code, seen.out, seen.err

    return run_here


def test_results_and_a_second_run(run_here, tmp_path, monkeypatch):
    workdir = tmp_path / "run"
    code, out, err = run_here(f"--workdir={workdir}", *TINY, "--seeds=2")
    assert code == 0, err
    assert "Seed 0: 0<-0" in out and "Report:" in out and "Searching: 4/4" in err
    genotype = das.Genotype.load(workdir / "genotype.json")
    assert genotype.config.ops == ("identity", "rotate") and len(genotype.config.mean) == 3
    results = json.loads((workdir / "result.json").read_text())
    assert len(results) == 2 and results[0]["genotype"][0][:3] == list(genotype.genes[0][:3])
    page = (workdir / "report.html").read_text()
    for part in ("The frames", "The choices", "All seeds", "accuracy without it"):
        assert part in page
    with Image.open(workdir / "frames.png") as image:
        assert np.asarray(image.convert("RGB")).std() > 20
    flags = (workdir / "run.flags").read_text()
    assert "--flagfile=" in flags and "--seeds=2" in flags
    picture = (workdir / "frames.png").read_bytes()
    monkeypatch.setattr(pages, "png", lambda figure: picture)  # drawing takes longer than all the rest
    code, again, _ = run_here(f"--flagfile={workdir / 'run.flags'}")
    assert code == 0 and "earlier run" in again
    assert json.loads((workdir / "result.json").read_text()) == results
    code, _, err = run_here(f"--workdir={workdir}", *TINY, "--seeds=2", "--alpha_lr=0.1")
    assert code == 2 and "alpha_lr" in err


@pytest.mark.parametrize(
    ("flags", "words"),
    [(("--ops=spin",), "spin"), (("--frames=0",), "frames"), (("--num_images=8",), "batch_size"),
     (("--data=npz:none.npz",), "none.npz"), (("--preset=big",), "Allowed"), (("--schedule=up",), "symmetric"),
     (("--weight_lr=-1",), "weight_lr"), (("--devices=3",), "multiples of 3")],
)  # fmt: skip
def test_bad_input_is_one_message(run_here, tmp_path, flags, words):
    code, _, err = run_here(f"--workdir={tmp_path / 'run'}", *TINY, *flags)
    assert code == 2 and words in err and "Traceback" not in err
    assert not (tmp_path / "run" / "config.json").exists()


def test_help(run_here):
    code, out, _ = run_here("--helpshort")
    assert code == 0 and "--interval" in out and "frames" in out
