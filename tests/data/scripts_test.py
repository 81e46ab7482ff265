"""The scripts that make package data give what is shipped."""

import runpy

import numpy as np
import pytest


@pytest.mark.slow
def test_make_photos(root, tmp_path):
    pytest.importorskip("skimage", reason="scikit-image is needed only to make the photographs again")
    written = tmp_path / "photos.npz"
    runpy.run_path(str(root / "scripts" / "make_photos.py"))["main"](written)
    with np.load(written) as new, np.load(root / "nasjax" / "data" / "assets" / "photos.npz") as shipped:
        assert set(new.files) == set(shipped.files)
        for name in ("class_names", "y_train", "y_test"):
            np.testing.assert_array_equal(new[name], shipped[name])
        for name in ("x_train", "x_test"):  # another version of pillow may round otherwise
            np.testing.assert_allclose(new[name].astype(int), shipped[name].astype(int), atol=2)


def test_make_tables(root, shared, tmp_path, monkeypatch):
    monkeypatch.setenv("NASJAX_SHARED", str(shared))
    written = tmp_path / "nasbench201.csv.gz"
    runpy.run_path(str(root / "scripts" / "make_tables.py"))["main"](written)
    assert written.read_bytes() == (root / "nasjax" / "data" / "assets" / "nasbench201.csv.gz").read_bytes()


def test_make_proxy_tables(root, shared, tmp_path, monkeypatch):
    monkeypatch.setenv("NASJAX_SHARED", str(shared))
    runpy.run_path(str(root / "scripts" / "make_proxy_tables.py"))["main"](tmp_path)
    assets = root / "nasjax" / "data" / "assets"
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in assets.glob("proxies_*")}
    for written in tmp_path.iterdir():
        assert written.read_bytes() == (assets / written.name).read_bytes(), written.name


def test_make_hardware(root, shared, tmp_path, monkeypatch):
    monkeypatch.setenv("NASJAX_SHARED", str(shared))
    runpy.run_path(str(root / "scripts" / "make_hardware.py"))["main"](tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == [f"nasbench201_hw_{name}.csv.gz" for name in ("cifar10", "cifar100", "imagenet16")]
    for name in written:
        assert (tmp_path / name).read_bytes() == (root / "nasjax" / "data" / "assets" / name).read_bytes()


def test_assets_are_small_and_named_in_the_notice(root):
    sizes = {path.name: path.stat().st_size for path in (root / "nasjax" / "data" / "assets").iterdir()}
    assert sizes["photos.npz"] < 2_000_000
    assert sizes["nasbench201.csv.gz"] < 1_000_000
    assert sum(size for name, size in sizes.items() if name.startswith("proxies_")) < 1_500_000
    assert sum(size for name, size in sizes.items() if "_hw_" in name) < 700_000
    notice = (root / "NOTICE").read_text(encoding="utf-8")
    with np.load(root / "nasjax" / "data" / "assets" / "photos.npz") as photos:
        for name in [*sizes, *photos["class_names"]]:
            assert str(name) in notice
