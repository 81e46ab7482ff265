"""Python examples of the pages and of README: every one runs, in order, in tiny form.

What a page leaves open (its own images, a finished run) is prepared by a function of that page's name. Spaces, images
and trainings are made small by replacing defaults, never by changing the text.
"""

import os
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nasjax
from nasjax import benchmark, das, grasp, training
from nasjax.proxies import registry as proxy_registry
from nasjax.spaces import registry as space_registry

# Blocks that take a minute to compile even so; the functions have tests of their own.
LONG = {("pruning", 0), ("pruning", 1), ("spaces", 2), ("das", 0), ("das_networks", 0)}
# Run elsewhere: tests/search/documentation_test.py; needs a published file.
ELSEWHERE = {("libra", 1), ("spaces", 0)}
SMALL = {
    "nasbench201": {"channels": 4, "cells": 1, "image_size": 8},
    "chain": {"channels": 4, "image_size": 8, "length": 5},
    "darts": {"channels": 2, "cells": 1, "image_size": 8},
}


def blocks(text):
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def pages(root):
    found = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    found = {path.stem: blocks(path.read_text(encoding="utf-8")) for path in found if path.stem != "searching"}
    return {name: code for name, code in found.items() if code}


PAGES = ("README", "add_proxy", "add_space", "benchmark", "das", "das_networks", "data", "grasp", "kronecker", "libra",
         "notebooks", "own_model", "proxies", "pruning", "reports", "resume", "score", "search", "spaces", "training",
         "tutorial")  # fmt: skip


def smaller(function, **small):
    """The function with options that win over those of the call."""
    return lambda *args, **own: function(*args, **(own | small))


@pytest.fixture
def tiny(monkeypatch, tmp_path, root):
    """Small spaces, few images, few steps; an empty directory with docs in it."""
    for registry, name in ((proxy_registry, "_FACTORIES"), (space_registry, "_SPACES")):
        monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
    whole, resnet, strong = nasjax.get_space, das.resnet, grasp.preset
    monkeypatch.setattr(nasjax, "get_space", lambda name, **own: whole(name, **(own | SMALL.get(name, {}))))
    monkeypatch.setattr(nasjax.data, "load", smaller(nasjax.data.load, batch_size=8, image_size=8))
    monkeypatch.setattr(nasjax.data, "load_dataset", smaller(nasjax.data.load_dataset, image_size=8))
    monkeypatch.setattr(nasjax.proxies, "profile_interval", smaller(nasjax.proxies.profile_interval, num_archs=2))
    few = {"steps": 2, "members": 2, "width": 8}
    monkeypatch.setattr(grasp, "preset", lambda name: strong(name).with_options(**few))
    monkeypatch.setattr(training, "preset", smaller(training.preset, epochs=1))
    monkeypatch.setattr(das, "resnet", lambda depth, **own: resnet(10, **(own | {"width": 4})))
    monkeypatch.setattr(das, "SearchConfig", smaller(das.SearchConfig, epochs=1))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").symlink_to(root / "docs")
    (tmp_path / "runs" / "libra").mkdir(parents=True)
    yield tmp_path
    for name in ("my_proxies", "chain_space"):  # whoever imports them next registers them again
        sys.modules.pop(name, None)


def pictures(count=16, side=8):
    return np.random.default_rng(0).integers(0, 255, (count, side, side, 3)).astype(np.uint8)


# What a page takes for granted: page -> names that its examples find, files made on the way.


def of_benchmark(folder):
    (folder / "runs" / "cells").mkdir()
    benchmark.kronecker_table().to_csv(folder / "runs" / "cells" / "benchmark.csv.gz", index=False)
    return {}


def of_das(folder):
    return {"images": jnp.asarray(pictures(), jnp.float32), "labels": jnp.arange(16) % 10}


def of_data(folder):
    train = {"x_train": pictures(300), "y_train": np.arange(300) % 10}
    np.savez(folder / "cifar10.npz", **train, x_test=pictures(), y_test=np.arange(16) % 10)
    return {}


def of_kronecker(folder):
    space = nasjax.get_space("kronecker")
    factors = {"outer": np.eye(2, k=1, dtype=bool), "inner": np.eye(3, k=1, dtype=bool)}
    return {**factors, "nasjax": nasjax, "arch": space.by_id([0])[0]}


def of_libra(folder):
    chosen = nasjax.search.Selection(("nwot", "params"), (1, 1), space="nasbench201")
    chosen.save(folder / "runs" / "libra" / "selection.json")
    return {}


def of_proxies(folder):
    own = {"space": nasjax.get_space("nasbench201"), "batches": nasjax.data.load("photos")}
    return {**own, "jax": jax, "nasjax": nasjax}


def of_pruning(folder):
    return {"jax": jax, "nasjax": nasjax, "space": nasjax.get_space("nasbench201")}


def of_score(folder):
    from PIL import Image

    for i, picture in enumerate(pictures(32, 12)):
        target = folder / "pets" / ("cat", "dog")[i % 2]
        target.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(target / f"{i}.png")
    return {}


def of_spaces(folder):
    arch = nasjax.get_space("darts").sample(jax.random.key(0), 1)[0]
    return {"jax": jax, "jnp": jnp, "nasjax": nasjax, "arch": arch, "images": jnp.ones((2, 8, 8, 3))}


PREPARE = {
    "benchmark": of_benchmark, "das": of_das, "das_networks": of_das, "data": of_data,
    "kronecker": of_kronecker, "libra": of_libra, "proxies": of_proxies,
    "pruning": of_pruning, "score": of_score, "spaces": of_spaces,
}  # fmt: skip


def test_every_page_with_examples_is_listed(root):
    found = pages(root)
    assert set(found) == set(PAGES)
    assert all(number < len(found[name]) for name, number in LONG | ELSEWHERE)


@pytest.mark.parametrize("page", PAGES)
def test_examples_of_a_page_run(page, root, tiny, request):
    names = {"__name__": "__main__", **PREPARE.get(page, lambda folder: {})(tiny)}
    ran = 0
    for number, code in enumerate(pages(root)[page]):
        if (page, number) in ELSEWHERE or ((page, number) in LONG and "NASJAX_LONG_TESTS" not in os.environ):
            continue
        exec(compile(code, f"{page}, block {number}", "exec"), names)
        ran += 1
    if not ran:
        pytest.skip("all examples of the page take minutes; NASJAX_LONG_TESTS=1 runs them")
