"""A plain PyTorch NAS-Bench-201 network, written for comparison of speed only."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.torch_nets.parts import Zero, relu_conv_bn

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


def operation(index: int, channels: int) -> nn.Module:
    """Operation by its number in the official order."""
    if index == 0:
        return Zero(channels)
    if index == 1:
        return nn.Identity()
    if index == 4:
        return nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    return relu_conv_bn(channels, channels, 1 if index == 2 else 3)


class Cell(nn.Module):
    """One cell."""

    def __init__(self, arch: list[int], channels: int):
        super().__init__()
        self.edges = nn.ModuleList(operation(op, channels) for op in arch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Last node."""
        nodes = [x]
        for target in (1, 2, 3):
            nodes.append(sum(self.edges[e](nodes[a]) for e, (a, b) in enumerate(EDGES) if b == target))
        return nodes[3]


class Residual(nn.Module):
    """Residual block of stride 2."""

    def __init__(self, ins: int):
        super().__init__()
        self.main = nn.Sequential(relu_conv_bn(ins, 2 * ins, 3, 2), relu_conv_bn(2 * ins, 2 * ins, 3))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(ins, 2 * ins, 1, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sum of both paths."""
        return self.main(x) + self.shortcut(x)


def network(
    arch: list[int],
    *,
    channels: int,
    cells: int,
    num_classes: int,
    in_channels: int,
    image_size: int,
    drop_dead: bool,
) -> nn.Module:
    """The network of an architecture int [6]."""
    del image_size
    if drop_dead:
        raise ValueError("drop_dead=True; the PyTorch network computes dead edges: set it to False")
    layers: list[nn.Module] = [nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)]
    for stage in range(3):
        width = channels * 2**stage
        layers += [Cell(arch, width) for _ in range(cells)]
        if stage < 2:
            layers.append(Residual(width))
    layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes)]
    return nn.Sequential(*layers)
