"""A plain PyTorch network of the Kronecker space, written for comparison of speed only."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

KERNELS = {"conv3x3": 3, "conv1x1": 1}


def wiring(arch: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Edges between the vertices of all blocks, bool [m n, m n], and which vertices lie on a path, bool [m n]."""
    m, n = arch["num_blocks"], arch["vertices"]
    outer, inner = np.eye(m) * arch["outer_loops"], np.eye(n) * arch["inner_loops"]
    outer[tuple(np.transpose(arch["outer"]))] = 1
    if arch["edges"]:
        inner[tuple(np.transpose(arch["edges"]))] = 1
    edges = np.kron(outer, inner) > 0
    np.fill_diagonal(edges, False)
    fed, used = np.zeros(m * n, bool), np.zeros(m * n, bool)
    fed[:n], used[-n:] = ~edges[:, :n].any(0), ~edges[-n:].any(1)
    for v in range(m * n):
        fed[v] |= fed[edges[:, v]].any()
    for v in reversed(range(m * n)):
        used[v] |= used[edges[v]].any()
    live = fed & used
    return edges & live[:, None] & live[None], live


class Vertex(nn.Module):
    """Weighted sums of what is read, rectifier, operation, batch norm."""

    def __init__(self, op: str, width: int, same: int, cross: int):
        super().__init__()
        self.same = nn.Parameter(torch.zeros(same)) if same else None
        self.cross = nn.Parameter(torch.zeros(cross)) if cross else None
        if cross:
            self.project = nn.Conv2d(width // 2, width, 1, bias=False)
        if op in KERNELS:
            self.op: nn.Module = nn.Conv2d(width, width, KERNELS[op], padding=KERNELS[op] // 2, bias=False)
        else:
            self.op = nn.MaxPool2d(3, 1, 1) if op == "maxpool3x3" else nn.Identity()
        self.norm = nn.BatchNorm2d(width)

    def forward(self, same: list[torch.Tensor], cross: list[torch.Tensor], x: torch.Tensor | None) -> torch.Tensor:
        """Output; ``cross`` are tensors of the stage before, ``x`` is the stem's if it is read."""
        terms = [] if x is None else [x]
        if self.same is not None:
            terms += [w * t for w, t in zip(torch.sigmoid(self.same), same, strict=True)]
        if self.cross is not None:
            entering = sum(w * t for w, t in zip(torch.sigmoid(self.cross), cross, strict=True))
            terms.append(self.project(nn.functional.avg_pool2d(entering, 2)))
        return self.norm(self.op(torch.relu(sum(terms))))


class Network(nn.Module):
    """Stem, vertices in the order of their numbers, mean of the sinks, classifier."""

    def __init__(
        self, arch: dict[str, Any], channels: int, num_classes: int, ins: int, stem_stride: int, head_relu: bool
    ):
        super().__init__()
        n, stages = arch["vertices"], arch["num_stages"]
        self.edges, live = wiring(arch)
        self.stage = np.arange(len(live)) // n // (arch["num_blocks"] // stages)
        self.live, self.head_relu = [int(v) for v in np.flatnonzero(live)], head_relu
        self.ends = [v for v in self.live if not self.edges[v].any()]
        self.stem = nn.Sequential(
            nn.Conv2d(ins, channels, 3, stem_stride, 1, bias=False), nn.BatchNorm2d(channels)
        )
        self.vertices = nn.ModuleDict()
        for v in self.live:
            ops = arch["ops"] if isinstance(arch["ops"][0], str) else arch["ops"][v // n]
            own = [int((self.stage[self.edges[:, v]] == self.stage[v] - back).sum()) for back in (0, 1)]
            self.vertices[str(v)] = Vertex(ops[v % n], channels * 2 ** int(self.stage[v]), *own)
        self.head = nn.Linear(channels * 2 ** (stages - 1), num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits."""
        stem, tensors = self.stem(images), {}
        for v in self.live:
            read = np.flatnonzero(self.edges[:, v])
            same = [tensors[int(s)] for s in read if self.stage[s] == self.stage[v]]
            cross = [tensors[int(s)] for s in read if self.stage[s] < self.stage[v]]
            tensors[v] = self.vertices[str(v)](same, cross, None if len(read) else stem)
        mean = sum(tensors[v] for v in self.ends) / len(self.ends)
        return self.head((torch.relu(mean) if self.head_relu else mean).mean((2, 3)))


def network(
    arch: dict[str, Any],
    *,
    channels: int,
    num_classes: int,
    in_channels: int,
    stem_stride: int,
    head_relu: bool,
    **unused: Any,
) -> nn.Module:
    """The network of an architecture as ``space.specification`` gives it."""
    del unused  # laws of sampling, and what the specification repeats
    return Network(arch, channels, num_classes, in_channels, stem_stride, head_relu)
