"""A plain PyTorch NAS-Bench-Macro network, written for comparison of speed only."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.torch_nets.parts import conv_bn

STAGES = (2, 3, 3)
BLOCKS = {1: (3, 3), 2: (6, 5)}  # operation -> expansion, kernel


class Layer(nn.Module):
    """Identity, or an inverted residual block."""

    def __init__(self, op: int, ins: int, outs: int, stride: int):
        super().__init__()
        self.residual = stride == 1
        if op:
            expansion, kernel = BLOCKS[op]
            wide = expansion * ins
            self.conv = nn.Sequential(
                *conv_bn(ins, wide, 1),
                nn.ReLU(),
                *conv_bn(wide, wide, kernel, stride, groups=wide),
                nn.ReLU(),
                *conv_bn(wide, outs, 1),
            )
        else:
            self.conv = None
            self.downsample = nn.Identity() if self.residual else conv_bn(ins, outs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sum of block and input, or the block alone where it changes the shape."""
        if self.conv is None:
            return self.downsample(x)
        return x + self.conv(x) if self.residual else self.conv(x)


class Network(nn.Module):
    """Stem, eight layers, 1x1 convolution, mean, classifier."""

    def __init__(self, arch: list[int], channels: int, head_channels: int, num_classes: int, in_channels: int):
        super().__init__()
        self.stem = nn.Sequential(*conv_bn(in_channels, channels, 3), nn.ReLU())
        shapes, ins = [], channels
        for count in STAGES:
            shapes += [(ins, 2 * ins, 2), *[(2 * ins, 2 * ins, 1)] * (count - 1)]
            ins *= 2
        self.features = nn.Sequential(*(Layer(op, *shape) for op, shape in zip(arch, shapes, strict=True)))
        self.out = nn.Sequential(*conv_bn(ins, head_channels, 1), nn.ReLU())
        self.classifier = nn.Linear(head_channels, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.classifier(self.out(self.features(self.stem(x))).mean((2, 3)))


def network(
    arch: list[int], *, channels: int, head_channels: int, num_classes: int, in_channels: int, image_size: int
) -> nn.Module:
    """The network of an architecture int [8]."""
    del image_size
    return Network(arch, channels, head_channels, num_classes, in_channels)
