"""A plain PyTorch DARTS network, written for comparison of speed only."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.torch_nets.parts import Zero, conv_bn, even_and_odd

NONE, MAX, AVG, SKIP, SEP3, SEP5, DIL3, DIL5 = range(8)
KERNELS = {SEP3: 3, SEP5: 5, DIL3: 3, DIL5: 5}
# Variant -> channels of the stem over those of the cells, scale and shift on the edges, norm behind a pool.
VARIANTS = {"darts": (3, True, False), "naslib": (3, False, True), "swap": (0, True, False)}


class Halving(nn.Module):
    """Rectifier, two pointwise convolutions of even and of odd pixels side by side, batch norm."""

    def __init__(self, ins: int, outs: int, affine: bool = True):
        super().__init__()
        self.conv_1, self.conv_2 = (nn.Conv2d(ins, outs // 2, 1, 2, bias=False) for _ in range(2))
        self.bn = nn.BatchNorm2d(outs, affine=affine)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Half the height and width."""
        even, odd = even_and_odd(torch.relu(x))
        return self.bn(torch.cat([self.conv_1(even), self.conv_2(odd)], 1))


class Convolutions(nn.Module):
    """Rectifier, depthwise and pointwise convolution, norm: twice if separable, dilated if not."""

    def __init__(self, op: int, channels: int, stride: int, affine: bool):
        super().__init__()
        kernel = KERNELS[op]
        separable = op in (SEP3, SEP5)
        dilation = 1 if separable else 2
        parts: list[nn.Module] = []
        for half in range(2 if separable else 1):
            step, pad = stride if half == 0 else 1, kernel // 2 * dilation
            parts += [
                nn.ReLU(),
                nn.Conv2d(channels, channels, kernel, step, pad, dilation, groups=channels, bias=False),
                nn.Conv2d(channels, channels, 1, bias=False),
                nn.BatchNorm2d(channels, affine=affine),
            ]
        self.op = nn.Sequential(*parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Height and width over the stride."""
        return self.op(x)


def operation(op: int, channels: int, stride: int, affine: bool, pool_norm: bool) -> nn.Module:
    """Operation by its number."""
    if op == NONE:
        return Zero(channels, stride)
    if op == SKIP:
        return nn.Identity() if stride == 1 else Halving(channels, channels, affine)
    if op in KERNELS:
        return Convolutions(op, channels, stride, affine)
    pool = nn.MaxPool2d(3, stride, 1) if op == MAX else nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    return nn.Sequential(pool, nn.BatchNorm2d(channels, affine=False)) if pool_norm else pool


class Entry(nn.Module):
    """Rectifier, pointwise convolution, norm."""

    def __init__(self, ins: int, outs: int):
        super().__init__()
        self.op = nn.Sequential(nn.ReLU(), *conv_bn(ins, outs, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same height and width."""
        return self.op(x)


class Cell(nn.Module):
    """A cell of two inputs and four nodes."""

    def __init__(
        self,
        edges: list[tuple[int, int]],
        entering: tuple[int, int],
        channels: int,
        reduction: bool,
        halved: bool,
        kind: tuple[bool, bool],
    ):
        super().__init__()
        self.preprocess0 = (Halving if halved else Entry)(entering[0], channels)
        self.preprocess1 = Entry(entering[1], channels)
        self.sources = [source for _, source in edges]
        self._ops = nn.ModuleList(
            operation(op, channels, 2 if reduction and source < 2 else 1, *kind) for op, source in edges
        )

    def forward(self, older: torch.Tensor, newer: torch.Tensor) -> torch.Tensor:
        """The four nodes side by side."""
        nodes = [self.preprocess0(older), self.preprocess1(newer)]
        for e in range(0, len(self._ops), 2):
            first, second = (self._ops[i](nodes[self.sources[i]]) for i in (e, e + 1))
            nodes.append(first + second)
        return torch.cat(nodes[2:], 1)


class Network(nn.Module):
    """Stem or none, cells, mean, classifier."""

    def __init__(self, arch: list[int], variant: str, channels: int, cells: int, num_classes: int, in_channels: int):
        super().__init__()
        stem, *kind = VARIANTS[variant]
        pairs = [(arch[i], arch[i + 1]) for i in range(0, len(arch), 2)]
        genotypes = (pairs[:8], pairs[8:])
        older = newer = stem * channels or in_channels
        self.stem = conv_bn(in_channels, older, 3) if stem else nn.Identity()
        self.cells = nn.ModuleList()
        halved = False
        for number in range(cells):
            reduction = number in (cells // 3, 2 * cells // 3)
            channels *= 2 if reduction else 1
            self.cells.append(Cell(genotypes[reduction], (older, newer), channels, reduction, halved, tuple(kind)))
            older, newer, halved = newer, 4 * channels, reduction
        self.classifier = nn.Linear(newer, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        older = newer = self.stem(x)
        for cell in self.cells:
            older, newer = newer, cell(older, newer)
        return self.classifier(newer.mean((2, 3)))


def network(
    arch: list[int],
    *,
    variant: str,
    channels: int,
    cells: int,
    num_classes: int,
    in_channels: int,
    image_size: int,
    auxiliary: bool,
) -> nn.Module:
    """The network of an architecture int [32]: (operation, source) of each edge, normal cell first."""
    del image_size
    if variant not in VARIANTS:
        raise ValueError(f"variant={variant!r}; there are PyTorch networks of {', '.join(VARIANTS)}")
    if auxiliary:
        raise ValueError("auxiliary=True; the PyTorch network has no auxiliary head: set it to False")
    return Network(arch, variant, channels, cells, num_classes, in_channels)
