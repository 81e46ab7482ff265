"""Tests of nasjax.spaces.kronecker_codec: integers and JSON."""

import json

import numpy as np
import pytest

from nasjax.spaces import kronecker_codec as codec
from nasjax.spaces.kronecker import Kronecker
from nasjax.types import InputError

SPACE = Kronecker(channels=4, num_blocks=4, num_stages=2, min_vertices=1, max_vertices=4, image_size=8)
BY_BLOCK = Kronecker(
    channels=4, num_blocks=2, num_stages=1, min_vertices=1, max_vertices=3, image_size=8, ops_by_block=True
)
GOOD = {"vertices": 3, "edges": [[0, 1], [0, 2]], "ops": ["conv3x3", "maxpool3x3", "identity"]}


def test_an_architecture_is_its_numbers():
    (arch,) = SPACE.decode(GOOD)
    # Vertices; edges 01, 02, 12, 03, 13, 23; operations.
    assert arch.tolist() == [3, 1, 1, 0, 0, 0, 0, 0, 2, 3, 0]
    assert arch.dtype == np.int32
    assert SPACE.encode(arch) == [
        '{"vertices":3,"edges":[[0,1],[0,2]],"ops":["conv3x3","maxpool3x3","identity"]}'
    ]


@pytest.mark.parametrize("space", [SPACE, BY_BLOCK])
def test_json_out_and_in(space):
    archs = space.by_id(range(12))
    texts = space.encode(archs)
    for forms in (texts, np.array(texts), [json.loads(text) for text in texts], archs, archs.tolist(), range(12)):
        np.testing.assert_array_equal(space.decode(forms), archs)
    whole = [json.loads(json.dumps(space.specification(arch))) for arch in archs]
    np.testing.assert_array_equal(space.decode(whole), archs)
    assert whole[0]["outer"] == [[b, b + 1] for b in range(space.num_blocks - 1)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edges": [[1, 0], [0, 2]]}, "edge 1 -> 0; allowed: from a lower to a higher.*no cycle"),
        ({"edges": [[0, 1], [1, 3]]}, "edge 1 -> 3"),
        ({"edges": [[0, 1]]}, "falls apart"),
        ({"ops": ["conv3x3", "conv5x5", "identity"]}, "operation 'conv5x5'; allowed: conv3x3, conv1x1"),
        ({"ops": ["conv3x3", "identity"]}, "allowed for ops: 3 operations"),
        ({"vertices": 5}, "5 vertices; allowed: 1 to 4"),
        ({"num_blocks": 6}, "of another space: num_blocks is 6, here 4"),
        ({"outer_loops": False}, "of another space: outer_loops"),
        ({"colour": 1}, "a part 'colour'; allowed: vertices"),
        ({"edges": [[0, 1, 2]]}, "no architecture"),
        ({"edges": None}, "no architecture"),
    ],
)
def test_what_is_no_architecture_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        SPACE.decode(GOOD | change)


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ([3, 1, 1, 0, 0, 0, 0, 0, 2, 3], "allowed: 11 integers"),
        ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "0 vertices; allowed: 1 to 4"),
        ([3, 1, 1, 0, 0, 0, 0, 0, 2, 4, 0], "operations 0 to 3"),
        ([3, 2, 1, 0, 0, 0, 0, 0, 2, 3, 0], "edges 0 or 1"),
        ([3, 1, 1, 0, 0, 0, 1, 0, 2, 3, 0], "beyond its 3 vertices"),
        ([3, 1, 1, 0, 0, 0, 0, 0, 2, 3, 1], "beyond its 3 vertices"),
        ([3, 1, 0, 0, 0, 0, 0, 0, 2, 3, 0], "falls apart"),
    ],
)
def test_arrays_are_checked(arch, message):
    with pytest.raises(InputError, match=message):
        SPACE.decode(np.array(arch))


@pytest.mark.parametrize("given", ["{", "[1", 1.5, None, {}, [], -1, {"vertices": 1}, "hello"])
def test_nonsense_is_one_error(given):
    with pytest.raises(InputError, match="kronecker"):
        SPACE.decode(given)


def test_canonical_encodings_are_architectures():
    for space in (SPACE, BY_BLOCK):
        for arch in space.by_id(range(20)):
            text = space.canonical(arch)
            (other,) = space.decode(text)
            assert space.canonical(other) == text
            assert space.num_params(other) == space.num_params(arch)
    swapped = GOOD | {"ops": ["conv3x3", "identity", "maxpool3x3"]}
    assert SPACE.canonical(SPACE.decode(GOOD)[0]) == SPACE.canonical(SPACE.decode(swapped)[0])
    assert codec.EXAMPLE.strip("'") == SPACE.encode(SPACE.decode(json.loads(codec.EXAMPLE.strip("'"))))[0]
