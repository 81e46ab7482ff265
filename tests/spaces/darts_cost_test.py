"""Tests of nasjax.spaces.darts_cost and nasjax.spaces.darts_plan."""

import csv
import gzip
import json

import jax
import numpy as np
import pytest

from nasjax.spaces.darts import Darts
from nasjax.spaces.darts_plan import Entry, Sizes

SKIPS = {cell: [("skip_connect", e % 2) for e in range(8)] for cell in ("normal", "reduce")}
DARTS_V2 = {
    "normal": [("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 1),
               ("skip_connect", 0), ("skip_connect", 0), ("dil_conv_3x3", 2)],
    "reduce": [("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 1), ("max_pool_3x3", 0),
               ("skip_connect", 2), ("skip_connect", 2), ("max_pool_3x3", 1)],
}  # fmt: skip


def segments(variant, cells):
    return Sizes(variant, 4, cells, 10, 3, False).segments()


def test_skeleton_by_hand():
    found = segments("darts", 8)
    names = ["stage0", "reduction0", "stage1", "reduction1", "stage2"]
    assert [s.name for s in found] == names and [s.cells for s in found] == [(0, 1), (2,), (3, 4), (5,), (6, 7)]
    assert [s.channels for s in found] == [4, 8, 8, 16, 16]
    assert found[0].entries == ((Entry(12, False),) * 2, (Entry(12, False), Entry(16, False)))
    assert found[2].entries[0] == (Entry(16, True), Entry(32, False)) and found[2].widths() == (32, 32)


def test_short_networks():
    # The only cell is a reduction cell, and reads the images.
    (only,) = segments("swap", 1)
    assert only.reduction and only.channels == 8 and only.entries == ((Entry(3, False),) * 2,)
    # Two reductions in a row: the second one's older input is cut.
    first, second = segments("darts", 2)
    assert first.reduction and second.reduction and second.entries == ((Entry(12, True), Entry(32, False)),)
    assert [s.name for s in segments("darts", 3)] == ["stage0", "reduction0", "reduction1"]
    assert Sizes("darts", 4, 1, 10, 3, False).num_reductions() == 1


def test_the_skeleton_for_imagenet():
    found = segments("imagenet", 14)
    assert [s.name for s in found] == ["stage0", "reduction0", "stage1", "reduction1", "stage2"]
    assert [s.cells for s in found] == [(0, 1, 2, 3), (4,), (5, 6, 7, 8), (9,), (10, 11, 12, 13)]
    # The first cell reads the last two outputs of the stem, of which the older is twice as large.
    assert found[0].entries[:2] == ((Entry(4, True), Entry(4, False)), (Entry(4, False), Entry(16, False)))
    assert Sizes("imagenet", 4, 14, 10, 3, False).halvings() == 5


def test_the_published_network():
    # 3.3 million parameters in the paper, with the auxiliary head away; 3 349 342 by the official code.
    assert Darts().num_params(Darts().decode(DARTS_V2)[0]) == 3349342


def test_the_published_network_for_imagenet():
    # 4.7 million in the paper; 4 718 752 by the official code, which leaves the auxiliary head out of its count.
    space = Darts(variant="imagenet")
    assert (space.channels, space.cells, space.num_classes, space.image_size) == (48, 14, 1000, 224)
    arch = space.decode(DARTS_V2)[0]
    assert space.num_params(arch) == 4718752
    head = 768 * 128 + 2 * 128 + 4 * 128 * 768 + 768 * 1000 + 1000  # its second convolution has no norm
    assert Darts(variant="imagenet", auxiliary=True).num_params(arch) == 4718752 + head
    # The network that remains without operations, by hand: the stem sees 112, 56 and 28 pixels.
    bare = Darts(variant="imagenet", channels=2, cells=1, num_classes=3, image_size=32)
    none = {cell: [("none", 0)] * 8 for cell in ("normal", "reduce")}
    arch = bare.decode(none)[0]
    stem, entries = (27, 9 * 2, 9 * 4), 2 * 2 * 4
    assert bare.num_params(arch) == sum(stem) + 2 * (1 + 2 + 2) + entries + 2 * 2 * 4 + 16 * 3 + 3
    assert bare.flops(arch) == 27 * 256 + 18 * 64 + 36 * 16 + entries * 16 + 48


def test_parameters_by_hand():
    space = Darts(channels=2, cells=1, num_classes=3)  # a reduction cell of 4 channels behind a stem of 6
    arch = space.decode(SKIPS)[0]
    entries = 2 * (6 * 4 + 2 * 4)
    assert space.num_params(arch) == 27 * 6 + 12 + entries + 8 * (4 * 4 + 2 * 4) + 16 * 3 + 3
    # The entries see 32x32 pixels, the skips put out 16x16.
    assert space.flops(arch) == (27 * 6 + 2 * 6 * 4) * 1024 + 8 * 16 * 256 + 48


@pytest.mark.parametrize(
    "options",
    [{"variant": "naslib", "cells": 3}, {"variant": "swap"}, {"cells": 5}, {"variant": "imagenet", "cells": 4}],
)
def test_parameters_are_those_of_the_variables(options):
    space = Darts(**{"channels": 6, **options, "auxiliary": options.get("variant") == "naslib"})
    shapes = jax.eval_shape(lambda: space.init(jax.random.key(0), space.decode(SKIPS)[0])).params
    masks, tables = (jax.jit(f) for f in (space.weight_mask, lambda arch: space.layers(arch)._replace(names=())))
    for arch in np.asarray(space.sample(jax.random.key(1), 3)):
        mask = masks(arch)
        held = jax.tree.map(lambda m, w: int(np.broadcast_to(m, w.shape).sum()), mask, shapes["weights"])
        # Norms exist where a layer does: of each pair of convolutions on an edge, and of each entry.
        table = tables(arch)._replace(names=space.layer_names())
        sizes = {segment.name: segment for segment in space._sizes.segments()}
        channels = {c: s.channels for s in sizes.values() for c in s.cells}
        ends = (".op.2", ".op.6", "conv_1") if space.variant != "naslib" else ()
        normed = 0
        for name, active in zip(table.names, table.active, strict=True):
            cell = name.split(".")
            if active and cell[0] == "cells":
                entry = cell[2].startswith("preprocess") and not name.endswith("conv_2")
                normed += channels[int(cell[1])] * (entry or (cell[2] == "_ops" and name.endswith(ends or ("?",))))
        c = space.channels
        stem = {"swap": 0, "imagenet": c // 2 + 2 * c}.get(space.variant, 3 * c)
        extra = 0
        if space.auxiliary:
            own = jax.tree.leaves((shapes["auxiliary"], shapes["bias"]["auxiliary"]))
            extra = sum(int(np.prod(a.shape)) for a in own) + 2 * (128 + 768)
        expected = sum(jax.tree.leaves(held)) + 2 * (normed + stem) + space.num_classes + extra
        assert space.num_params(arch) == expected
    archs = space.sample(jax.random.key(2), 4)
    np.testing.assert_array_equal(space.num_params(archs), [space.num_params(a) for a in np.asarray(archs)])
    np.testing.assert_array_equal(space.flops(archs), [space.flops(a) for a in np.asarray(archs)])


def test_golden_counts(shared):
    file = json.loads((shared / "golden" / "darts.json").read_text())
    space = Darts(channels=16, cells=8)
    for entry in file["archs"]:
        (arch,) = space.decode([entry["arch"]])
        assert space.num_params(arch) == entry["params"] and space.flops(arch) == entry["macs_conv_linear"]
        assert Darts().num_params(arch) == entry["params_C36_L20_noaux"]
        assert space.layers(arch).depth == entry["lswag_f64"]["D"]


def test_parameters_of_the_published_tables(shared):
    # NAS-Bench-Suite-Zero gives millions, to six digits; its networks have no auxiliary head.
    space = Darts(variant="naslib")
    with gzip.open(shared / "data" / "nbsz_nasbench301.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    counts = space.num_params(space.decode([row["arch"] for row in rows]))
    np.testing.assert_allclose(counts / 1e6, [float(row["params"]) for row in rows], atol=5.1e-6)


def test_genotypes_of_the_published_table(shared):
    space = Darts(variant="swap")
    with gzip.open(shared / "data" / "darts_swap_cifar10.csv.gz", "rt") as file:
        texts = [row["genotype"] for row in csv.DictReader(file)]
    assert space.encode(space.decode(texts)) == texts
