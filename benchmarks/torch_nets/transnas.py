"""Plain PyTorch networks of TransNAS-Bench-101, micro and macro, written for comparison of speed only."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.torch_nets.parts import Zero, conv_bn, even_and_odd, relu_conv_bn

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
NONE, SKIP, POINTWISE, KERNEL = range(4)
MICRO_SKELETON = (4, 1, 4, 1, 4)


class ConvNorm(nn.Module):
    """Rectifier, convolution, batch norm."""

    def __init__(self, ins: int, outs: int, kernel: int, stride: int = 1):
        super().__init__()
        self.ops = relu_conv_bn(ins, outs, kernel, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Height and width over the stride, rounded up."""
        return self.ops(x)


class Halving(nn.Module):
    """Rectifier, two pointwise convolutions of even and of odd pixels side by side, batch norm."""

    def __init__(self, ins: int, outs: int):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(ins, outs // 2, 1, 2, bias=False) for _ in range(2))
        self.bn = nn.BatchNorm2d(outs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Half the height and width, rounded up."""
        parts = [conv(half) for conv, half in zip(self.convs, even_and_odd(torch.relu(x)), strict=True)]
        return self.bn(torch.cat(parts, 1))


def operation(op: int, ins: int, outs: int, stride: int) -> nn.Module:
    """Operation of an edge by its number."""
    if op == NONE:
        return Zero(outs, stride)
    if op == SKIP:
        return nn.Identity() if stride == 1 and ins == outs else Halving(ins, outs)
    return ConvNorm(ins, outs, 1 if op == POINTWISE else 3, stride)


class Cell(nn.Module):
    """Four nodes; edges from the first change the shape in a reduction cell."""

    def __init__(self, arch: list[int], ins: int, outs: int, stride: int):
        super().__init__()
        self.edges = nn.ModuleList(
            operation(op, outs if source else ins, outs, 1 if source else stride)
            for op, (source, _) in zip(arch, EDGES, strict=True)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Last node."""
        nodes = [x]
        for target in (1, 2, 3):
            nodes.append(sum(self.edges[e](nodes[a]) for e, (a, b) in enumerate(EDGES) if b == target))
        return nodes[3]


class Block(nn.Module):
    """Residual block of two 3x3 convolutions."""

    def __init__(self, ins: int, outs: int, stride: int):
        super().__init__()
        self.conv_a, self.conv_b = ConvNorm(ins, outs, 3, stride), ConvNorm(outs, outs, 3)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or ins != outs:
            self.downsample = conv_bn(ins, outs, 1, stride)
            # As the official code sets it; see nasjax.spaces.transnas_macro_network.
            self.downsample[1].eps = self.downsample[1].momentum = 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sum of both paths."""
        return self.downsample(x) + self.conv_b(self.conv_a(x))


class Segmentation(nn.Module):
    """Decoder to the size of the image: eight layers, norm and leaky rectifier behind all but the last."""

    def __init__(self, features: int, base: int, outputs: int, halvings: int):
        super().__init__()
        widths = [max(16 * base >> k, 1) for k in range(6)]
        layers: list[nn.Module] = [nn.Conv2d(features, widths[0], 3, padding=1), *self._rest(widths[0])]
        # Of the layers that may double the image, the last ones do: as many as the encoder halved it.
        for place, (ins, outs) in enumerate(zip(widths, [*widths[1:], widths[-1]], strict=True)):
            doubles = halvings >= 6 - place
            conv = nn.ConvTranspose2d(ins, outs, 3, 2, 1, 1) if doubles else nn.Conv2d(ins, outs, 3, padding=1)
            layers += [conv, *self._rest(outs)]
        self.model = nn.Sequential(*layers, nn.Conv2d(widths[-1], outputs, 3, padding=1))

    @staticmethod
    def _rest(outs: int) -> list[nn.Module]:
        return [nn.BatchNorm2d(outs), nn.LeakyReLU(0.2)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of every pixel."""
        return self.model(x)


class Network(nn.Module):
    """Stem, modules of two cells or blocks, and the head of the task."""

    def __init__(
        self, skeleton: tuple[int, ...], cell: list[int] | None, channels: int, task: str, outputs: int, ins: int
    ):
        super().__init__()
        half = channels // 2
        self.stem = nn.Sequential(*conv_bn(ins, half, 3, 2), ConvNorm(half, channels, 3, 2))
        width, halvings, modules = channels, 2, []
        for m, digit in enumerate(skeleton):
            stride, before = 2 if digit in (3, 4) else 1, width
            width *= 2 if digit in (2, 4) else 1
            halvings += stride - 1
            shapes = ((before, width, stride), (width, width, 1))
            pair = nn.Sequential(*(Block(*s) if cell is None else Cell(cell, *s) for s in shapes))
            self.add_module(f"layer{m}", pair)
            modules.append(pair)
        self.modules_in_order = modules
        self.decoder: nn.Module | None = None
        if task == "segmentsemantic":
            self.decoder = Segmentation(width, channels, outputs, halvings)
        elif task in ("class_scene", "class_object", "room_layout"):
            self.head = nn.Linear(width, outputs)
        else:
            raise ValueError(f"task={task!r}; the PyTorch network has no head for it")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of images, or of every pixel."""
        x = self.stem(x)
        for module in self.modules_in_order:
            x = module(x)
        return self.head(x.mean((2, 3))) if self.decoder is None else self.decoder(x)


def network(
    arch: list[int],
    *,
    channels: int,
    task: str,
    num_classes: int,
    in_channels: int,
    image_size: int,
    drop_dead: bool | None = None,
) -> nn.Module:
    """The network of an architecture int [6].

    ``drop_dead`` is an option of the micro space alone; without it the digits are those of a macro skeleton.
    """
    del image_size
    if drop_dead:
        raise ValueError("drop_dead=True; the PyTorch network computes dead edges: set it to False")
    macro = drop_dead is None
    skeleton = tuple(digit for digit in arch if digit) if macro else MICRO_SKELETON
    return Network(skeleton, None if macro else arch, channels, task, num_classes, in_channels)
