"""The benchmark of the input pipeline on a few images."""

import json

import pytest

from benchmarks import pipeline


def test_every_source_and_an_augmentation(tmp_path, capsys):
    argv = ["--images=24", "--batch_size=8", "--image_size=8", "--epochs=1", "--step_ms=1", "--augmentations=none"]
    assert pipeline.main([*argv, f"--json={tmp_path / 'a'}"]) == 0
    out = capsys.readouterr().out
    assert "24 images 8x8, batch 8" in out and all(kind in out for kind in pipeline.SOURCES)
    rows = json.loads((tmp_path / "a").read_text())["rows"]
    assert [row.get("source") for row in rows] == ["npz", "folder", "tfds", None]
    assert all(row["first"] > 0 and row["later"] > 0 and 0 <= row["waiting"] <= 1 for row in rows[:3])
    assert rows[3]["images_per_second"] > 0


@pytest.mark.parametrize("flag", ["--sources=disk", "--augmentations=mixdown", "--images=9", "--epochs=0"])
def test_bad_flags(flag):
    with pytest.raises(SystemExit):
        pipeline.main([flag])
