"""AutoFormer against its golden file."""

import jax
import numpy as np
import pytest

from nasjax.testing import golden, kits


@pytest.mark.slow
def test_a_golden_architecture_of_mixed_blocks(shared):
    kit, index = kits.get("autoformer"), 3
    file, params = golden.load(shared / "golden" / "autoformer.json")
    (entry,) = (entry for entry in file["archs"] if entry["index"] == index)
    tensors, digest = golden.weights(params[str(index)]["params"], index)
    assert digest == entry["sha256"]
    with jax.enable_x64(True):
        computer = golden.Computer(kit, *kit.batches(shared / "data", np.float64))
        found = computer(entry, tensors)
    assert set(kit.claimed) <= {quantity.name for quantity in found}
    assert not [(q.name, q.where, q.error, q.tolerance) for q in found if not q.passes]
