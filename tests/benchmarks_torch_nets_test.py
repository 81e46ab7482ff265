"""The plain PyTorch networks of the benchmarks are those of the search spaces."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nasjax
from benchmarks import torch_nets
from nasjax import interop
from nasjax.spaces import registry

SMALL_FORMER = {"image_size": 12, "patch_size": 4, "num_classes": 5, "head_dim": 8, "max_distance": 1}
SPACES = {
    "nasbench201": ("nasbench201", {"channels": 4, "cells": 1, "image_size": 8}),
    "nasbench101": ("nasbench101", {"channels": 5, "stacks": 2, "cells": 2, "image_size": 9}),
    "nasbench_macro": ("nasbench_macro", {"channels": 4, "head_channels": 6, "image_size": 9}),
    "darts": ("darts", {"variant": "darts", "channels": 4, "cells": 4, "image_size": 8}),
    "naslib": ("darts", {"variant": "naslib", "channels": 4, "cells": 3, "image_size": 8}),
    "swap": ("darts", {"variant": "swap", "image_size": 8}),
    "transnas_micro": ("transnas_micro", {"channels": 4, "image_size": 40, "num_classes": 5}),
    "transnas_macro": ("transnas_macro", {"channels": 2, "image_size": 64, "num_classes": 5}),
    "micro segmentation": ("transnas_micro", {"channels": 2, "image_size": 32, "task": "segmentsemantic"}),
    "macro segmentation": ("transnas_macro", {"channels": 2, "image_size": 64, "task": "segmentsemantic"}),
    "kronecker": (
        "kronecker",
        {"channels": 4, "num_blocks": 4, "num_stages": 2, "min_vertices": 3, "max_vertices": 4, "image_size": 8},
    ),
    "autoformer_tiny": (
        "autoformer_tiny",
        SMALL_FORMER | {"embed_dims": (8,), "depths": (2, 3), "heads": (1, 2), "mlp_ratios": (1.5, 2.0)},
    ),
}
# Whose weights interop cannot read.
NO_WEIGHTS = ("nasbench201", "kronecker", "micro segmentation", "macro segmentation")


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="torch is in the extra 'benchmark', which is not installed")


def described(space, arch):
    if space.name == "kronecker":
        return space.specification(arch)
    return json.loads(space.encode(arch[None])[0]) if space.name == "nasbench101" else arch.tolist()


def test_every_space_has_a_network():
    assert set(torch_nets._MODULES) == set(registry.names())


@pytest.mark.parametrize("name", SPACES)
def test_parameters_and_multiply_adds(torch, name):
    from benchmarks.torch_nets.parts import multiply_adds

    space = nasjax.get_space(SPACES[name][0], **SPACES[name][1])
    archs = np.asarray(space.sample(jax.random.key(1), 4))
    for arch, params, flops in zip(archs, space.num_params(archs), space.flops(archs), strict=True):
        net = torch_nets.build(space.name, described(space, arch), space.options)
        images = torch.randn(1, 3, space.image_size, space.image_size)
        assert sum(p.numel() for p in net.parameters()) == params
        assert multiply_adds(net, images) == flops


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SPACES if name not in NO_WEIGHTS])
def test_same_outputs_from_the_same_weights(torch, x64, name):
    space = nasjax.get_space(SPACES[name][0], **SPACES[name][1])
    images = np.random.default_rng(0).standard_normal((4, space.image_size, space.image_size, 3))
    torch.manual_seed(0)
    arch = np.asarray(space.sample(jax.random.key(3), 1))[0]
    net = torch_nets.build(space.name, described(space, arch), space.options).double()
    with torch.no_grad():
        wanted = net(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    tensors = {k: v.numpy() for k, v in net.state_dict().items() if not k.endswith(("running_mean", "running_var"))}
    variables = interop.from_torch(space, arch, tensors)
    bound = space.bind(space.signature(arch[None])[0])
    found = bound.apply(variables, jnp.asarray(arch), jnp.asarray(images)).logits
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)
