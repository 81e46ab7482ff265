"""Networks of NAS-Bench-201 trained by nasjax.training, several in one program."""

import jax
import numpy as np

from nasjax.benchmark import BenchmarkConfig, build, prepare, read_table, standard_trainer
from nasjax.data.augment import AugmentConfig
from nasjax.spaces.registry import get_space
from nasjax.training import TrainConfig

CELLS = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|skip_connect~2|",
)


class Colours:
    """Images whose colour is their class."""

    num_classes = 3
    fingerprint = "colours"

    def __init__(self, seed):
        generator = np.random.default_rng(seed)
        self.labels = np.arange(40) % 3
        self.pixels = generator.integers(0, 100, (40, 8, 8, 3)).astype(np.uint8)
        self.pixels[np.arange(40), :, :, self.labels] += 80

    def images(self, indices):
        return self.pixels[indices]


def test_two_cells_learn_in_one_program(tmp_path):
    space = get_space("nasbench201", channels=4, cells=1, num_classes=3, image_size=8)
    data = prepare("colours", Colours(0), lambda: Colours(1))
    config = TrainConfig(epochs=3, batch_size=6, learning_rate=0.1, augment=AugmentConfig(crop_padding=1, flip=True))
    seen = []

    def trainer(task):
        seen.append(task.mean)
        return standard_trainer(config, mean=task.mean, std=task.std)

    options = {"key": jax.random.key(0), "config": BenchmarkConfig(block=2, steps=6), "devices": 1}
    table = read_table(build(space, CELLS, [data], trainer, workdir=tmp_path, **options))
    assert table["valid"].all() and len(table) == 6 and seen == [data.mean]
    curves = table.pivot(index="arch", columns="epoch", values="train_loss").loc[list(CELLS)].to_numpy()
    assert (curves[:, -1] < 0.7 * curves[:, 0]).all()
    final = table[table["epoch"] == 3]
    assert (final["test_accuracy"] > 60).all()
    assert final.set_index("arch").loc[CELLS[0], "params"] > final.set_index("arch").loc[CELLS[1], "params"]
