"""Tables of the benchmarks of DAS, and what they refuse."""

import numpy as np
import pytest

from benchmarks import das_camvid, das_cifar


def row(variant, seed, accuracy):
    names = ("train_loss", "seconds", "area_trained", "radius50_trained", "radius90_trained", "area_fresh",
             "radius50_fresh", "radius90_fresh")  # fmt: skip
    return {"variant": variant, "seed": seed, "accuracy": accuracy, **dict.fromkeys(names, 2.0)}


def test_mean_and_deviation_over_seeds():
    table = das_cifar.summarise([row("das", 0, 0.5), row("2d", 0, 0.4), row("das", 1, 0.7)])
    assert [(line["variant"], line["seeds"]) for line in table] == [("das", 2), ("2d", 1)]
    assert table[0]["accuracy"] == pytest.approx((0.6, np.sqrt(0.02)))
    assert table[1]["accuracy"] == (0.4, 0.0) and table[0]["area_fresh"] == (2.0, 0.0)


def test_what_is_refused(capsys):
    cases = ((das_cifar, "--variants=3d"), (das_cifar, "--equal_compute=das"), (das_camvid, "--variants=3d"))
    for module, extra in cases:
        given = ["--data=a", "--workdir=b", extra, *(["--genotype=g"] if module is das_camvid else [])]
        with pytest.raises(SystemExit):
            module.arguments(given)
        assert extra.split("=")[1] in capsys.readouterr().err


def test_recipe_of_the_benchmark():
    args = das_cifar.arguments(["--data=a", "--workdir=b", "--epochs=8", "--image_size=16"])
    config = das_cifar.train_config(args, args.epochs)
    assert config.recipe.milestones == (2, 4, 6) and config.recipe.augment.crop_padding == 2
    assert dict(config.options) == {"width": 8, "stages": (1, 1, 1), "dropout": 0.0} and config.frames == 4
