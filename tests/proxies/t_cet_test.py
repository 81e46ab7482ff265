"""T-CET against NumPy, on a linear network."""

import jax
import numpy as np
import pytest

from nasjax.proxies import get, passes
from nasjax.proxies.base import NOT_FINITE, Facts
from nasjax.proxies.t_cet import AgreementPass, log_determinants
from nasjax.spaces.nasbench201 import NasBench201
from nasjax.types import InputError, Variables

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(6, 12)), RNG.normal(size=(12, 1))
X, T = RNG.normal(size=(2, 5, 6)), RNG.integers(-2, 3, (2, 5))


def kernel(outputs):
    """One entry a pair of images: in how many outputs both are above zero, or both are not."""
    found = np.zeros((len(outputs),) * 2)
    for i, row in enumerate(outputs):
        for j, other in enumerate(outputs):
            found[i, j] = sum((a > 0) == (b > 0) for a, b in zip(row, other, strict=True))
    return found


def test_the_formula_by_numpy(run_linear, linear_space, x64):
    proxy = get("t_cet", saliency="snip")
    stats = {p: run_linear(p, A, B, X, T) for p in proxy.passes}
    value = proxy.finish(Facts(linear_space.layers(None), 0, 0, stats))
    hidden, out = X[0] @ A, X[0] @ A @ B
    kernels = [kernel(hidden), kernel(out)]
    np.testing.assert_array_equal(stats[AgreementPass()]["kernels"], kernels)
    assert np.linalg.matrix_rank(kernels[0]) == 5 and np.linalg.matrix_rank(kernels[1]) < 5
    error = (out[:, 0] - T[0]) / 5
    saliency = np.abs(A * (X[0].T @ (error[:, None] * B.T)))
    # The only output tells two kinds of image apart at most: its kernel is singular and adds nothing.
    expected = np.linalg.slogdet(kernels[0])[1] * saliency.sum() / saliency.std(ddof=1)
    assert value.score == value.raw == pytest.approx(expected, rel=1e-10)


def test_outputs_that_are_no_numbers_make_it_invalid(run_linear, linear_space, x64):
    proxy, x = get("t_cet", saliency="snip"), X.copy()
    x[0, 2, 1] = np.nan
    stats = {p: run_linear(p, A, B, x, T) for p in proxy.passes}
    value = proxy.finish(Facts(linear_space.layers(None), 0, 0, stats))
    assert np.isnan(value.score) and value.note == NOT_FINITE


def test_entries_that_belong_to_no_output_do_not_count(linear_space, x64):
    class Padded:
        """The outputs of the linear network with zeros behind."""

        name = "padded"

        def layer_outputs(self, variables, arch, images, visit, *, norm="batch"):
            wide = lambda values: visit(np.pad(values, ((0, 0), (0, 0), (0, 3))), np.array([3]))  # noqa: E731
            return linear_space.layer_outputs(variables, arch, images, wide, norm=norm)

    images = X[:, :, None, None]
    run = lambda space: AgreementPass().measure(space, Variables({"a": A, "b": B}, {}), None, images, None)  # noqa: E731
    np.testing.assert_array_equal(run(Padded())["kernels"], run(linear_space)["kernels"])


def test_kernels_may_be_singular():
    whole = np.diag([2.0, 3.0, 4.0])
    twins = np.array([[5.0, 5, 1], [5, 5, 1], [1, 1, 5]])
    found = log_determinants(np.stack([whole, twins, np.full((3, 3), 7.0), np.zeros((3, 3))]))
    np.testing.assert_allclose(found, [np.log(24), 0, 0, 0], rtol=1e-12)


def test_the_saliency_of_synflow_and_presets():
    for preset in ("nbsz", "paper"):
        proxy = get("t_cet", preset=preset)
        assert dict(proxy.options) == {"init": "torch", "saliency": "synflow"}
        assert passes.SynflowPass() in proxy.passes
    assert passes.GradientPass(num_batches=1) in get("t_cet", saliency="snip").passes
    with pytest.raises(InputError, match="t_cet: saliency='grasp'; allowed are synflow, snip"):
        get("t_cet", saliency="grasp")


def test_a_space_that_does_not_show_its_layers_is_refused():
    class Bare:
        name = "bare"

    with pytest.raises(InputError, match=r"layer_outputs\(\), which the space 'bare'"):
        AgreementPass().check_space(Bare())


def test_kernels_of_a_cell_are_in_the_order_of_its_layers(x64):
    space = NasBench201(channels=2, cells=1, num_classes=3, image_size=8)
    arch = np.array([3, 0, 1, 2, 0, 4])
    images, labels = RNG.normal(size=(1, 4, 8, 8, 3)), np.zeros((1, 4), int)

    @jax.jit
    def run(key):
        variables = space.init(key, arch)
        return AgreementPass().measure(space, variables, arch, images, labels)["kernels"]

    kernels, table = np.asarray(run(jax.random.key(0))), space.layers(arch)
    assert len(kernels) == len(table.names)
    # An image agrees with itself in all outputs: channels times positions.
    edges, outputs = 6, [2 * 64, 4 * 16, 8 * 4]
    sizes = [2 * 64, *[outputs[0]] * edges, *[outputs[1]] * (3 + edges), *[outputs[2]] * (3 + edges), 3]
    np.testing.assert_array_equal(np.diagonal(kernels, axis1=1, axis2=2).T, np.tile(sizes, (4, 1)))
    # Layers that the cell lacks give nothing to tell images apart by; the classifier's three outputs may not, either.
    apart = np.array([(k != k[0, 0]).any() for k in kernels[:-1]])
    np.testing.assert_array_equal(apart, table.active[:-1])
