"""Tests of nasjax.testing.parity and nasjax.testing.golden."""

import hashlib
import json
import re

import jax
import numpy as np
import pytest

from nasjax.testing import golden, kits, parity
from nasjax.types import InputError

CLAIMED = kits.get("nasbench201").claimed
PARAMS = [["stem.0.weight", [4, 3, 3, 3], "weight"], ["stem.1.weight", [4], "norm_weight"], ["stem.1.bias", [4], "b"]]


def write(folder, **changes):
    """A small golden file of made-up content."""
    _, digest = golden.weights(PARAMS, 3)
    content = {
        "meta": {"space": "nasbench201"},
        "archs": [{"index": 3, "sha256": digest, "arch": "made up"}],
    } | changes
    path = folder / "nasbench201.json"
    path.write_text(json.dumps(content))
    (folder / "nasbench201_params.json").write_text(json.dumps({"3": {"params": PARAMS}}))
    return path


@pytest.fixture
def stub(monkeypatch, tmp_path):
    """Replaces the computation: every claimed quantity is found and exact, unless overwritten."""
    quantities = {name: golden.Quantity(name, 1.0, 1.0, 1e-6) for name in CLAIMED}
    monkeypatch.setattr(golden, "Computer", lambda kit, *batches: lambda entry, tensors: list(quantities.values()))
    np.savez(tmp_path / "cifar.npz", x_train=np.zeros((128, 32, 32, 3), np.uint8), y_train=np.arange(128) % 10)
    return quantities


def run(folder, path=None):
    return parity.main([str(path or folder / "nasbench201.json"), f"--data={folder / 'cifar.npz'}"])


# Quantities.


@pytest.mark.parametrize(
    ("value", "expected", "error"),
    [
        (1.0, 1.0, 0.0),
        (1.1, 1.0, 0.1),
        (-np.inf, -np.inf, 0.0),
        (np.nan, np.nan, 0.0),
        (np.nan, 1.0, np.inf),
        (np.inf, 1.0, np.inf),
        (1.0, np.inf, np.inf),
        ([1.0, 100.0], [2.0, 100.0], 0.01),
        ([1.0, 2.0], [1.0], np.inf),
        (0.5, 0.0, 0.5),
    ],
)
def test_relative_error(value, expected, error):
    quantity = golden.Quantity("x", value, expected, 0.01)
    assert quantity.error == pytest.approx(error)
    assert quantity.passes == (error <= 0.01)


def test_numbers_of_json():
    assert golden.number("nan") != golden.number("nan") and golden.number("-inf") == -np.inf
    assert golden.number(None) is None
    np.testing.assert_array_equal(golden.number([1, "inf"]), [1, np.inf])


def test_weights_by_the_recipe():
    tensors, digest = golden.weights([*PARAMS, ["token", [2, 2], "special"]], 3)
    rng = np.random.default_rng([2026, 3])
    kernel = rng.standard_normal((4, 3, 3, 3), dtype=np.float32) * np.float32(np.sqrt(2 / 27))
    np.testing.assert_array_equal(tensors["stem.0.weight"], kernel)
    np.testing.assert_array_equal(tensors["stem.1.weight"], np.ones(4))
    np.testing.assert_array_equal(tensors["stem.1.bias"], np.zeros(4))
    token = rng.standard_normal((2, 2), dtype=np.float32) * np.float32(0.02)
    np.testing.assert_array_equal(tensors["token"], token)
    assert digest == hashlib.sha256(b"".join(t.tobytes() for t in tensors.values())).hexdigest()
    assert golden.weights(PARAMS, 4)[1] != golden.weights(PARAMS, 3)[1]


def test_images_of_the_kit(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (130, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "cifar.npz", x_train=x, y_train=np.arange(130))
    images, labels = golden.cifar_batches(tmp_path / "cifar.npz", np.float64)
    assert images.shape == (2, 64, 32, 32, 3) and images.dtype == np.float64 and labels.dtype == np.int32
    np.testing.assert_array_equal(labels.ravel(), np.arange(128))
    np.testing.assert_allclose(images[1, 0], (x[64] / 255 - golden.MEAN) / golden.STD, rtol=1e-5, atol=1e-6)


# The command.


def test_everything_in_tolerance(stub, tmp_path, capsys):
    write(tmp_path)
    assert run(tmp_path) == 0
    out = capsys.readouterr().out
    assert "nasbench201.json: 1 architectures, float64" in out and "OUTSIDE" not in out
    assert all(name in out for name in CLAIMED)


def test_a_falsified_number_is_outside_and_names_the_first_layer(stub, tmp_path, capsys, monkeypatch):
    write(tmp_path)
    name = "layer grad_norm_batch1"
    layers = [golden.Quantity(name, 1.0, wrong, 1e-6, f"cells.{i}") for i, wrong in enumerate((1.0, 1.1, 1.2))]
    others = [q for q in stub.values() if q.name != name]
    monkeypatch.setattr(golden, "Computer", lambda *data: lambda *network: [*others, *layers])
    assert run(tmp_path) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "OUTSIDE" in line]
    assert len(lines) == 1
    assert name in lines[0] and "OUTSIDE (2 of 3)" in lines[0] and lines[0].endswith("first layer off: cells.1")
    assert "1.67e-01" in lines[0]


def test_a_claimed_quantity_that_is_missing(stub, tmp_path, capsys):
    write(tmp_path)
    del stub["zico"]
    assert run(tmp_path) == 1
    assert "missing: zico" in capsys.readouterr().out


def test_weights_that_differ_from_their_hash(stub, tmp_path, capsys):
    write(tmp_path, archs=[{"index": 3, "sha256": "0" * 64, "arch": "made up"}])
    assert run(tmp_path) == 1
    assert "index 3: weights differ" in capsys.readouterr().out


def test_float32_is_an_option(stub, tmp_path, capsys):
    write(tmp_path)
    assert parity.main([str(tmp_path / "nasbench201.json"), f"--data={tmp_path / 'cifar.npz'}", "--float32"]) == 0
    assert "float32" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{not json", "not JSON"),
        ("{}", "not a golden file"),
        ('{"archs": [], "meta": {}}', "not a golden file"),
        ('{"archs": [], "meta": {"space": "nowhere"}}', "space 'nowhere' has no golden kit; allowed: .*nasbench201"),
    ],
)
def test_files_that_are_of_no_use(stub, tmp_path, capsys, text, match):
    write(tmp_path).write_text(text)
    assert run(tmp_path) == 2
    assert re.search(match, capsys.readouterr().err)


def test_files_that_are_absent(stub, tmp_path, capsys):
    assert run(tmp_path) == 2
    assert "no such file" in capsys.readouterr().err
    write(tmp_path)
    (tmp_path / "nasbench201_params.json").unlink()
    assert run(tmp_path) == 2
    assert "nasbench201_params.json" in capsys.readouterr().err
    write(tmp_path)
    (tmp_path / "cifar.npz").unlink()
    assert run(tmp_path) == 2
    assert "--data" in capsys.readouterr().err
    with pytest.raises(InputError):
        golden.load(tmp_path / "nowhere.json")


# The shared golden file.


@pytest.fixture(scope="module")
def computer(shared):
    with jax.enable_x64(True):
        kit = kits.get("nasbench201")
        return golden.Computer(kit, *kit.batches(shared / "data", np.float64))


@pytest.mark.slow
@pytest.mark.parametrize("index", [1, 9])
def test_golden_architectures(shared, computer, x64, index):
    file, params = golden.load(shared / "golden" / "nasbench201.json")
    (entry,) = (entry for entry in file["archs"] if entry["index"] == index)
    tensors, digest = golden.weights(params[str(index)]["params"], index)
    assert digest == entry["sha256"]
    found = computer(entry, tensors)
    assert set(CLAIMED) <= {quantity.name for quantity in found}
    off = [(q.name, q.where, q.error, q.tolerance) for q in found if not q.passes]
    assert not off
