"""The PyTorch proxies that the benchmark times are the proxies of the golden file."""

import math

import numpy as np
import pytest

import nasjax
from nasjax.testing import golden

GOLDEN = {"jacob_cov": "naslib_jacov", "synflow": "naslib_synflow_log", "zico": "zico", "swap": "swap_S64",
          "lswag": "lswag.abs_all_x_psi_all"}  # fmt: skip
NASLIB = ("epe_nas", "grad_norm", "grasp", "plain", "snip", "zen", "nwot", "fisher", "l2_norm")
TOLERANCE = {"fisher": 1e-4}  # its sum goes through float32 in the reference
NETWORKS = (1, 4)  # the check of the edges' order, and one with a dead node


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="torch is in the extra 'benchmark', which is not installed")


@pytest.mark.slow
@pytest.mark.parametrize("index", NETWORKS)
def test_equal_the_official_numbers(torch, shared, index):
    from benchmarks import torch_proxies
    from benchmarks.torch_nets import nasbench201

    entries, parameters = golden.load(shared / "golden" / "nasbench201.json")
    entry = next(e for e in entries["archs"] if e["index"] == index)
    space = nasjax.get_space("nasbench201", drop_dead=False)
    net = nasbench201.network(space.decode([entry["arch"]])[0].tolist(), **space.options).double()
    tensors, digest = golden.weights(parameters[str(index)]["params"], index)
    assert digest == entry["sha256"]
    own = list(net.parameters())
    for p, array in zip(own, tensors.values(), strict=True):
        with torch.no_grad():
            p.copy_(torch.from_numpy(array.astype(np.float64)))
    images, labels = golden.cifar_batches(shared / "data", np.float64)
    batches = [
        (torch.from_numpy(x.transpose(0, 3, 1, 2).copy()), torch.from_numpy(y.astype(np.int64)))
        for x, y in zip(images, labels, strict=True)
    ]
    g = np.random.default_rng([2026, 1001])
    noise = tuple(torch.from_numpy(g.standard_normal((64, 3, 32, 32), dtype=np.float32)).double() for _ in range(2))
    found = {name: run(net, batches) for name, run in torch_proxies.PROXIES.items() if name != "zen"}
    found["zen"] = torch_proxies.zen(net, batches, noise=noise)
    for name, key in (GOLDEN | {name: f"naslib_{name}" for name in NASLIB}).items():
        assert math.isclose(found[name], golden.reference(entry, key), rel_tol=TOLERANCE.get(name, 1e-6)), name
    assert (found["params"], found["flops"]) == (entry["params"], entry["macs_conv_linear"])


def test_every_proxy_of_the_suite_is_there(torch):
    from benchmarks import device, torch_proxies

    assert set(torch_proxies.PROXIES) == set(device.SUITE.split(","))
    assert len(GOLDEN) + len(NASLIB) + 2 == len(torch_proxies.PROXIES)
