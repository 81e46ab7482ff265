"""Whatever is given as architectures, what is none is refused by one clear error; so are sizes and precisions."""

import functools

import jax
import numpy as np
import pytest

from nasjax.spaces import checks, registry
from nasjax.types import InputError

DEEP = functools.reduce(lambda inner, _: [inner], range(50_000), 1)
GARBAGE = (
    None, True, -1, 10**30, 1.5, float("nan"), 1j, "", " ", "garbage", "[[[[", "1" * 4000, b"01201120", [], (), {},
    [[]], [None], [True], [1.5], [[1, 2], [3]], [[[[]]]], DEEP, {"a": 1}, {"matrix": 5, "ops": 5}, {"depth": None},
    ([1, 2], [0, -3]), [([1, 2], [0, -3])], [({}, {})], ({1}, {2}), [[1, [2, [3]]]], ["", ""], [object()], object(),
    np.zeros(0), np.zeros((0, 6), int), np.zeros((2, 3, 4)), np.zeros(3), np.full(6, -1), np.full(32, 99),
    np.array(5.5), np.array(["x", "y"]), np.array([None]), np.array([[1, 2], [3, 4]]), iter([None]), range(-3, 0), len,
)  # fmt: skip


@pytest.mark.parametrize("name", registry.names())
def test_what_is_no_architecture_is_refused(name):
    space = registry.get_space(name)
    for given in GARBAGE:
        with pytest.raises(InputError) as caught:
            space.decode(given)
        text = str(caught.value)
        assert "allowed" in text or "do:" in text, (given, text)
        assert len(text) < 10_000, given


@pytest.mark.parametrize("name", [n for n in registry.names() if n not in ("autoformer_base", "autoformer_small")])
def test_random_garbage_is_refused_or_read(name):
    """Cut, doubled and mixed encodings either name an architecture or raise the one error."""
    space = registry.get_space(name)
    rng = np.random.default_rng(0)
    texts = space.encode(np.asarray(space.sample(jax.random.key(0), 3)))
    for _ in range(40):
        text = texts[rng.integers(3)]
        place, other = rng.integers(0, len(text), 2)
        changed = text[:place] + rng.choice(list("0x|~_[(,-")) + text[other:]
        try:
            found = space.decode([changed])
        except InputError as error:
            assert len(str(error)) < 10_000
        else:
            assert space.encode(found)


def test_a_single_number_or_pair_names_what_is_wrong():
    with pytest.raises(InputError, match=r"nasbench101: 5 is no|5 is no NAS-Bench-101 cell"):
        registry.get_space("nasbench101").decode(5)
    with pytest.raises(InputError, match=r"matrix \[1, 2\]; allowed: a square matrix"):
        registry.get_space("nasbench101").decode([([1, 2], [0, -3])])
    with pytest.raises(InputError, match="autoformer_tiny: None is no|None is no AutoFormer"):
        registry.get_space("autoformer_tiny").decode(None)


def test_arrays_of_texts_are_encodings():
    space = registry.get_space("nasbench_macro")
    np.testing.assert_array_equal(space.decode(np.array(["01201201"])), space.decode("01201201"))
    np.testing.assert_array_equal(space.decode(np.array(["01201201"], object)), space.decode("01201201"))


@pytest.mark.parametrize("name", registry.names())
def test_precision_and_sizes_are_checked_by_the_constructor(name):
    kind = type(registry.get_space(name))
    with pytest.raises(InputError, match=f"{name}: precision='foo'; allowed are highest, high, default"):
        kind(precision="foo")
    for field in ("num_classes", "image_size", "in_channels"):
        for value in (0, -1, True, 2.5, "8", [8]):
            with pytest.raises(InputError, match=f"{name}: {field}=.*allowed is a positive integer"):
                kind(**{field: value})


def test_long_values_are_cut():
    assert checks.shown("x" * 500) == "'" + "x" * 119 + "..."
    assert checks.shown(DEEP) == "a list"
