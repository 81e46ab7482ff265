"""The table of a device: every section has a command that its benchmark accepts, and a table of what it writes."""

import json

import numpy as np
import pytest

from benchmarks import device, device_tables, growth, whole

CPU = {"platform": "cpu", "kind": "cpu", "processor": "A (R) Chip AVX2", "cores": 2, "count": 1, "summary": "1 x cpu",
       "memory_gib": 24.0, "jax": "0.10.2", "python": "3.11.7", "torch": "2.13.0", "date": "2026-01-01"}  # fmt: skip
GPU = CPU | {"platform": "gpu", "kind": "NVIDIA H100 80GB", "count": 2}
PEAKS = {"compile": 3.0, "median": 0.5, "later_peak_gib": 0.4}
RESULTS = {
    "suite": {"rows": {"PyTorch forward+backward": {"seconds": 0.1, "compile": None},
                       "forward+backward": {"seconds": 0.2, "compile": 4.0},
                       **{name: {"seconds": 0.1, "compile": 1.0} for name in device.SUITE.split(",")},
                       "all together": {"seconds": 0.4, "compile": 5.0}},
              "start": {"first process": {"total": 12.0}}},
    "spaces": {"rows": {"darts": {"torch": {"median": 0.25, "peak_gib": 0.3}, "forward+backward": PEAKS,
                                  "lswag": PEAKS, "all": PEAKS | {"proxies": ["params"]}}}},
    "growth": {"rows": {"devices": {"1": {"per_second": 2.0, "first": 3.0, "later_peak_gib": None},
                                    "8": {"skipped": "there are 2 devices"}}}},
    "conv": [{"case": "3x3", "context": "scan", "nasjax_ms": 2.0, "lax_ms": 50.0}],
    "grasp": {"archs": 12134, "dense": {"first_fit": 12.0, "first_rank": 0.5, "fit": 9.0, "rank": 0.2, "tau": 0.8},
              "torch": None},
    "das": {"nasjax_ms": {"forward": 10.0}, "torch_ms": {"forward": 21.0}, "parts_ms": {"zoom": 2.0}, "peak_gib": 1.0},
    "training": {"one": {"seconds": [0.5, 0.4, 0.6], "torch_before": [0.25]},
                 "many": {"networks": 4, "steps": 5, "together": [10.0], "in_turn": [20.0]}},
    "whole": {"rows": {"cells": {"runs": {"fast": {"archs": 15625, "with_compile": 50.0, "without": None,
                                                   "peak_gib": 3.0}}, "spearman": {"lswag": 0.9998}}}},
}  # fmt: skip
RESULTS["proxies"] = RESULTS["suite"]
WANTED = {
    "suite": ["| lswag | 10 | 0.1 | 1 | 1 |", "Together 4.0 times", "4.0 times 16 forward+backwards in PyTorch"],
    "spaces": ["| darts | 0.25 | 0.5 (2.00) |", "0.30/0.40/0.40/0.40"],
    "growth": ["| devices | 1 | 2 | 3 | - |"],
    "conv": ["| 3x3 | scan | 2 | 50 | 25.0 |"],
    "grasp": ["| nasjax dense, with compiling | 12 | 0.5 | 0.8 |"],
    "das": ["| forward | 10 | 21 | 2.1 | - | - |"],
    "training": ["| nasjax, one network | 2 |", "| PyTorch, before | 4 |", "| 4 networks in one program | 2 |"],
    "whole": ["| cells | fast | 15625 | 50 | - | 3 |", "lswag 0.9998"],
}


def test_proxies_beside_those_of_pytorch():
    others = {"seconds": 1.2, "compile": None, "proxies": {"snip": 0.3}}
    rows = RESULTS["suite"]["rows"] | {device_tables.OTHERS: others}
    shown = device_tables.proxies({"rows": rows, "start": {}})
    assert "| snip | 10 | 0.1 | 1 | 1 | 0.3 |" in shown and "| swap | 10 | 0.1 | 1 | 1 | - |" in shown
    assert "Together 4.0 times faster" in shown and "3.00 times faster than one after another in PyTorch" in shown


def test_every_section_has_a_table():
    assert set(device_tables.TABLES) == set(device.SECTIONS) == set(RESULTS)
    about = {"command": "python", "seconds": 1.0, "load_before": 0.1}
    sections = {name: about | {"result": found} for name, found in RESULTS.items()}
    shown = device_tables.markdown({"device": CPU, "sections": sections})
    for name, lines in WANTED.items():
        own = shown.split(f"### {name}\n")[1].split("\n### ")[0]
        assert all(line in own for line in lines), own
    assert "there are 2 devices" not in shown


@pytest.mark.parametrize("about", [CPU, GPU], ids=["cpu", "gpu"])
@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", list(device.SECTIONS))
def test_commands_are_accepted(name, quick, about):
    from benchmarks import das, grasp, proxies, space_speed, training

    args = device.arguments(["--torch_python=/somewhere/python", *(["--quick"] if quick else [])])
    words = device.command(name, about, args)
    if words is None:
        assert (name == "whole" and not quick and about is CPU) or (name == "conv" and quick)
        return
    if name != "conv":  # which parses in its main
        modules = {"das": das, "grasp": grasp, "proxies": proxies, "space_speed": space_speed, "training": training,
                   "growth": growth, "whole": whole}  # fmt: skip
        modules[words[1].split(".")[1]].arguments([*words[2:], "--json=file"])


def test_a_suite_is_the_thirteen_and_three():
    from nasjax import get_space
    from nasjax.proxies import registry

    assert len(device.SUITE.split(",")) == device_tables.TORCH_PASSES
    columns = registry.column_names(registry.parse(f"{device.SUITE},{device.MORE}"))
    assert set(registry.column_names(registry.parse("all"))) - set(columns) <= {
        "te_ntk", "te_regions", "az_expressivity", "az_progressivity", "az_trainability", "dss"
    }  # fmt: skip
    for proxy in registry.parse(f"{device.SUITE},{device.MORE}"):
        proxy.check_space(get_space("nasbench201"))


def test_names_of_files_and_paths_left_out():
    assert device.slug(CPU) == "a-r-chip-avx2-2-cores" and device.slug(GPU) == "nvidia-h100-80gb-x2"
    kept = device.without_paths({"args": {"torch_python": "/a", "json": "/b", "steps": 3}, "one": 1})
    assert kept == {"args": {"steps": 3}, "one": 1}


def test_a_section_is_kept_before_the_next(tmp_path, monkeypatch, capsys):
    """What was measured stays when a later section fails, and is not measured again."""
    ran = []

    def run(name, words):
        ran.append(name)
        if name == "grasp" and len(ran) < 3:
            raise SystemExit("section grasp failed")
        return {"command": "python", "seconds": 1.0, "load_before": 0.0, "result": RESULTS[name]}

    monkeypatch.setattr(device, "run", run)
    monkeypatch.setattr(device, "describe", lambda python: CPU)
    argv = ["conv", "grasp", f"--out={tmp_path / 'sub' / 'found.json'}"]
    with pytest.raises(SystemExit, match="grasp failed"):
        device.main(argv)
    assert device.main(argv) == 0 and ran == ["conv", "grasp", "grasp"]
    found = json.loads((tmp_path / "sub" / "found.json").read_text())
    assert list(found["sections"]) == ["conv", "grasp"] and found["device"] == CPU
    assert device.main([f"--show={tmp_path / 'sub' / 'found.json'}"]) == 0
    assert "### grasp" in capsys.readouterr().out


def test_agreement_where_both_are_valid():
    values = {"scores": {"lswag": [1.0, 2.0, 3.0, float("nan")]}, "valid": {"lswag": [True, True, True, False]}}
    other = {"scores": {"lswag": [1.0, 3.0, 2.0, 9.0]}, "valid": {"lswag": [True] * 4}}
    assert np.isclose(whole.agreement({"fast": values, "highest": other})["lswag"], 0.5)


@pytest.mark.parametrize(
    ("module", "argv"),
    [(device, ["sweet"]), (growth, ["popul"]), (growth, ["--channels=0"]), (whole, ["--cells=1"]),
     (whole, ["--precisions=fast,half"]), (whole, ["vit"])],
)  # fmt: skip
def test_bad_arguments(module, argv, capsys):
    with pytest.raises(SystemExit):
        module.arguments(argv)
    assert "usage" in capsys.readouterr().err
