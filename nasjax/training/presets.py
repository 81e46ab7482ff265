"""Published training settings by name."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any

from nasjax.data.augment import AugmentConfig
from nasjax.data.augment_policies import DEIT_OPS
from nasjax.training.config import TrainConfig
from nasjax.types import InputError

_CIFAR = AugmentConfig(crop_padding=4, flip=True)
_PRESETS = {
    # Dong and Yang, NAS-Bench-201, ICLR 2020: settings "12 epochs" and "200 epochs" of the topology space.
    "nasbench201_12": TrainConfig(augment=_CIFAR),
    "nasbench201_200": TrainConfig(epochs=200, augment=_CIFAR),
    # Liu et al., DARTS, ICLR 2019, section 3.2 and code: the evaluation networks. Rates change every epoch.
    "darts_cifar": TrainConfig(
        epochs=600,
        batch_size=96,
        learning_rate=0.025,
        rhythm="epoch",
        nesterov=False,
        weight_decay=3e-4,
        clip=5.0,
        drop_path=0.2,
        drop_path_grows=True,
        augment=dataclasses.replace(_CIFAR, cutout=16),
    ),
    "darts_imagenet": TrainConfig(
        epochs=250,
        batch_size=128,
        schedule="exponential",
        rhythm="epoch",
        nesterov=False,
        weight_decay=3e-5,
        clip=5.0,
        label_smoothing=0.1,
        augment=AugmentConfig(resized_crop=(0.08, 1.0), flip=True, color_jitter=(0.4, 0.4, 0.4, 0.2)),
    ),
    # Chen et al., AutoFormer, ICCV 2021, section 4.1 and code: DeiT's settings with 20 epochs of warm-up.
    "autoformer": TrainConfig(
        epochs=500,
        batch_size=1024,
        optimizer="adamw",
        learning_rate=5e-4,
        learning_rate_batch=512,
        final_learning_rate=1e-5,
        warmup_epochs=20,
        warmup_learning_rate=1e-6,
        rhythm="epoch",
        weight_decay=0.05,
        decay_all=False,
        label_smoothing=0.1,
        drop_path=0.1,
        augment=AugmentConfig(
            resized_crop=(0.08, 1.0),
            flip=True,
            randaugment=(2, 9, 0.5),
            randaugment_ops=DEIT_OPS,
            randaugment_probability=0.5,
            randaugment_increasing=True,
            interpolation="bilinear",
            random_erasing=0.25,
            mixup=0.8,
            cutmix=1.0,
        ),
    ),
}


def names() -> tuple[str, ...]:
    """Names of the presets."""
    return tuple(_PRESETS)


def preset(name: str, **changes: Any) -> TrainConfig:
    """A published setting.

    Args:
      name: one of `names`.
      **changes: fields of `TrainConfig` that differ, such as ``batch_size``.

    Returns:
      the options.

    Raises:
      InputError: an unknown name or field, or a value that is not allowed.
    """
    if name not in _PRESETS:
        near = difflib.get_close_matches(str(name), _PRESETS, n=1, cutoff=0.3)
        advice = f"did you mean {near[0]!r}?" if near else "choose one of them"
        raise InputError(f"preset={name!r}; allowed: {', '.join(_PRESETS)}; do: {advice}")
    known = [field.name for field in dataclasses.fields(TrainConfig)]
    for field in changes:
        if field not in known:
            near = difflib.get_close_matches(field, known, n=1, cutoff=0.3)
            advice = f"did you mean {near[0]!r}?" if near else "choose one of them"
            raise InputError(f"training has no option {field!r}; allowed: {', '.join(known)}; do: {advice}")
    return dataclasses.replace(_PRESETS[name], **changes)
