"""A plain PyTorch NAS-Bench-101 network, written for comparison of speed only."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from benchmarks.torch_nets.parts import conv_bn

KERNELS = {"conv3x3-bn-relu": 3, "conv1x1-bn-relu": 1}


class Rectified(nn.Module):
    """Convolution, batch norm, rectifier."""

    def __init__(self, ins: int, outs: int, kernel: int):
        super().__init__()
        self.conv_bn_relu = nn.Sequential(*conv_bn(ins, outs, kernel), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same height and width."""
        return self.conv_bn_relu(x)


def widths_of(matrix: list[list[int]], channels: int) -> list[int]:
    """Channels of every vertex but the input: shares of the concatenation, others as wide as their widest reader."""
    output = len(matrix) - 1
    ends = [v for v in range(1, output) if matrix[v][output]]
    widths = [0] * output + [channels]
    for place, v in enumerate(ends):
        share, extra = divmod(channels, len(ends))
        widths[v] = share + (place < extra)
    for v in range(output - 1, 0, -1):
        if v not in ends:
            widths[v] = max(widths[t] for t in range(v + 1, output) if matrix[v][t])
    return widths


class Cell(nn.Module):
    """A cell: vertices sum what they read, the output concatenates."""

    def __init__(self, matrix: list[list[int]], ops: list[str], ins: int, outs: int):
        super().__init__()
        self.matrix, self.widths = matrix, widths_of(matrix, outs)
        output = len(matrix) - 1
        self.input_op = nn.ModuleDict(
            {str(v): Rectified(ins, self.widths[v], 1) for v in range(1, output + 1) if matrix[0][v]}
        )
        self.vertex_op = nn.ModuleDict()
        for v in range(1, output):
            kernel = KERNELS.get(ops[v])
            if kernel is None:
                own = nn.Sequential(nn.MaxPool2d(3, 1, 1))
            else:
                name = f"conv{kernel}x{kernel}"
                own = nn.Sequential()
                own.add_module(name, Rectified(self.widths[v], self.widths[v], kernel))
            self.vertex_op[str(v)] = own

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Output of the cell."""
        output = len(self.matrix) - 1
        tensors = [x]
        for v in range(1, output):
            terms = [tensors[s][:, : self.widths[v]] for s in range(1, v) if self.matrix[s][v]]
            terms += [self.input_op[str(v)](x)] if self.matrix[0][v] else []
            tensors.append(self.vertex_op[str(v)](sum(terms)))
        ends = [tensors[v] for v in range(1, output) if self.matrix[v][output]]
        projected = self.input_op[str(output)](x) if self.matrix[0][output] else None
        if not ends:
            return projected
        joined = torch.cat(ends, 1) if len(ends) > 1 else ends[0]
        return joined if projected is None else joined + projected


class Network(nn.Module):
    """Stem, stacks of cells with poolings between them, mean, classifier."""

    def __init__(self, arch: dict[str, Any], channels: int, stacks: int, cells: int, num_classes: int, ins: int):
        super().__init__()
        layers: list[nn.Module] = [Rectified(ins, channels, 3)]
        width = channels
        for stack in range(stacks):
            if stack:
                layers.append(nn.MaxPool2d(2, 2))
            for _ in range(cells):
                outs = channels * 2**stack
                layers.append(Cell(arch["matrix"], arch["ops"], width, outs))
                width = outs
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.classifier(self.layers(x).mean((2, 3)))


def network(
    arch: dict[str, Any],
    *,
    channels: int,
    stacks: int,
    cells: int,
    num_classes: int,
    in_channels: int,
    image_size: int,
) -> nn.Module:
    """The network of a pruned cell, {"matrix": 0 and 1, "ops": names}."""
    del image_size
    return Network(arch, channels, stacks, cells, num_classes, in_channels)
