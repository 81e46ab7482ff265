"""Plain PyTorch networks of the search spaces, written for comparison of speed only.

But for nasbench201, the modules bear the names of the tensors that `nasjax.interop.from_torch` reads, so that the same
weights can be run on both sides.
"""

from __future__ import annotations

import importlib
from typing import Any

# Space -> module with a function network(arch, **options).
_MODULES = {
    "autoformer_base": "autoformer",
    "autoformer_small": "autoformer",
    "autoformer_tiny": "autoformer",
    "darts": "darts",
    "kronecker": "kronecker",
    "nasbench101": "nasbench101",
    "nasbench201": "nasbench201",
    "nasbench_macro": "nasbench_macro",
    "transnas_macro": "transnas",
    "transnas_micro": "transnas",
}


def build(space: str, arch: Any, options: dict[str, Any]) -> Any:
    """The network of one architecture.

    Args:
      space: registered name of the space.
      arch: the architecture as a list of numbers; of nasbench101 {"matrix": ..., "ops": ...}, pruned, of
        kronecker its specification.
      options: all options of the space, as ``space.options`` gives them.

    Returns:
      torch.nn.Module of images [batch, channels, height, width].
    """
    return importlib.import_module(f"benchmarks.torch_nets.{_MODULES[space]}").network(arch, **options)
