"""What the plain PyTorch networks share, and a count of their multiply-adds."""

from __future__ import annotations

import torch
from torch import nn


def relu_conv_bn(ins: int, outs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Rectifier, convolution, batch norm."""
    return nn.Sequential(nn.ReLU(), *conv_bn(ins, outs, kernel, stride))


def conv_bn(ins: int, outs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution and batch norm."""
    conv = nn.Conv2d(ins, outs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outs))


class Zero(nn.Module):
    """The operation ``none``: zeros of the shape that a convolution of that stride would give."""

    def __init__(self, outs: int, stride: int = 1):
        super().__init__()
        self.outs, self.stride = outs, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Zeros."""
        return x.new_zeros(x.shape[0], self.outs, *(-(-n // self.stride) for n in x.shape[2:]))


def even_and_odd(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Views whose every second pixels are the even and the odd ones; a missing last row or column is zero."""
    lacking = (0, x.shape[3] % 2, 0, x.shape[2] % 2)
    return x, (nn.functional.pad(x, lacking) if any(lacking) else x)[:, :, 1:, 1:]


def multiply_adds(net: nn.Module, images: torch.Tensor) -> int:
    """Multiply-adds of the convolutions and linear layers for these images."""
    total = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Linear):
            total += output.numel() * module.in_features
        else:
            # A transposed kernel is laid at every pixel of the input.
            seen = inputs[0] if isinstance(module, nn.ConvTranspose2d) else output
            total += seen.shape[0] * seen.shape[2] * seen.shape[3] * module.weight.numel()

    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, kinds)]
    net.eval()  # a norm of one image with one pixel is refused in training
    with torch.no_grad():
        net(images)
    net.train()
    for hook in hooks:
        hook.remove()
    return total
