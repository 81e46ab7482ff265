"""DARTS against its golden file: outputs of one network. The command compares everything."""

import jax
import numpy as np
import pytest

from nasjax.testing import golden, kits


@pytest.mark.slow
def test_outputs_of_a_golden_architecture(shared):
    kit, index = kits.get("darts"), 4  # separable and dilated convolutions, pools, skips of both strides, none
    file, params = golden.load(shared / "golden" / "darts.json")
    (entry,) = (entry for entry in file["archs"] if entry["index"] == index)
    tensors, digest = golden.weights(params[str(index)]["params"], index)
    assert digest == entry["sha256"]
    with jax.enable_x64(True):
        images, labels = kit.batches(shared / "data", np.float64)
        space = kit.space(entry)
        arch = kit.arch(space, entry)
        variables = kit.variables(space, arch, tensors, np.float64)
        run = jax.jit(
            lambda v, arch, x: space.apply(v, arch, x)
        )
        output = run(variables, arch, images[0])
        loss = space.loss(output, labels[0])
    np.testing.assert_allclose(output.logits[:4], entry["f64"]["logits_train_first4"], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(loss, entry["f64"]["loss_train"], rtol=1e-9)


def test_scores_of_rounding_are_left_out(shared):
    file, _ = golden.load(shared / "golden" / "darts.json")
    left_out = [entry["index"] for entry in file["archs"] if kits.get("darts").rounding(entry)]
    assert left_out == [0, 1, 2]
    # The official code's own precisions tell the two kinds apart.
    for entry in file["archs"]:
        single, double = (entry[group]["naslib_jacov"] for group in ("scores_f32", "scores_f64"))
        assert (abs(single / double - 1) > 5e-5) == (entry["index"] in left_out)
