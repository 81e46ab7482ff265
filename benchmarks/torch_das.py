"""The cell of DAS and a step of its search in plain PyTorch: a job as JSON on standard input, times on standard output.

Every operation of every edge is an ``affine_grid`` and a ``grid_sample`` of all frames; the network is a ResNet with
temporal shifts. `benchmarks.das` runs this in a process of its own.
"""

from __future__ import annotations

import json
import math
import sys
import time
from typing import Any

ABSENT = 3  # exit status when there is no torch


def main() -> int:
    try:
        import torch
    except ImportError:
        return ABSENT
    import numpy as np

    from benchmarks import memory

    job: dict[str, Any] = json.load(sys.stdin)
    functional, levels = torch.nn.functional, job["levels"]
    batch, size, channels, frames = job["batch_size"], job["image_size"], job["channels"], len(levels)
    rng = np.random.default_rng(0)
    images = torch.tensor(rng.standard_normal((batch, channels, size, size)), dtype=torch.float32)
    labels = torch.arange(batch) % job["classes"]
    magnitudes, edges, names = job["magnitudes"], job["edges"], job["names"]

    def theta(name: str, magnitude: float, level: int) -> list[list[float]]:
        """The inverse map in coordinates of -1 to 1."""
        if name == "translate_x":
            return [[1, 0, -2 * magnitude * level], [0, 1, 0]]
        if name == "translate_y":
            return [[1, 0, 0], [0, 1, -2 * magnitude * level]]
        if name == "zoom":
            return [[magnitude**-level, 0, 0], [0, magnitude**-level, 0]]
        cos, sin = math.cos(math.radians(magnitude * level)), math.sin(math.radians(magnitude * level))
        return [[cos, -sin, 0], [sin, cos, 0]]

    def moved(video: Any, name: str, magnitude: float, at: list[int]) -> Any:
        """Warps [batch, frames, channels, height, width]."""
        if name == "identity":
            return video
        matrix = torch.tensor([theta(name, magnitude, level) for level in at]).repeat(len(video), 1, 1)
        flat = video.reshape(-1, channels, size, size)
        grid = functional.affine_grid(matrix, list(flat.shape), align_corners=False)
        return functional.grid_sample(flat, grid, align_corners=False).reshape(video.shape)

    def cell(x: Any, weights: Any) -> Any:
        """The video; with "shared", frames of one level once, those of level 0 not at all."""
        at = sorted(set(levels) - {0}) if job["shared"] else levels
        video = x[:, None].expand(-1, len(at), -1, -1, -1)
        states = [video, video]
        for node in range(1 + max(to for to, _ in edges)):
            total = 0
            for e, (to, source) in enumerate(edges):
                if to == node:
                    for k, name in enumerate(names):
                        total = total + weights[e, k] * moved(states[source], name, magnitudes[e][k], at)
            states.append(total)
        out = states[-1] / job["gain"]
        if not job["shared"]:
            return out
        sums, still = weights.sum(1), [1.0, 1.0]  # at level 0 an edge multiplies
        for node in range(1 + max(to for to, _ in edges)):
            still.append(sum(sums[e] * still[source] for e, (to, source) in enumerate(edges) if to == node))
        middle = x * (still[-1] / job["gain"])
        return torch.stack([middle if level == 0 else out[:, at.index(level)] for level in levels], 1)

    class Block(torch.nn.Module):
        """A basic block whose branch begins with a temporal shift."""

        def __init__(self, before: int, after: int, stride: int) -> None:
            super().__init__()
            conv = torch.nn.Conv2d
            self.first = conv(before, after, 3, stride, 1, bias=False)
            self.second = conv(after, after, 3, 1, 1, bias=False)
            self.norms = torch.nn.ModuleList(torch.nn.BatchNorm2d(after) for _ in range(2))
            self.skip = torch.nn.Sequential()
            if stride > 1 or before != after:
                self.skip = torch.nn.Sequential(conv(before, after, 1, stride, bias=False), torch.nn.BatchNorm2d(after))

        def forward(self, x: Any) -> Any:
            video = x.reshape(-1, frames, *x.shape[1:])
            fold = video.shape[2] // 8
            y = torch.zeros_like(video)
            y[:, :-1, :fold] = video[:, 1:, :fold]
            y[:, 1:, fold : 2 * fold] = video[:, :-1, fold : 2 * fold]
            y[:, :, 2 * fold :] = video[:, :, 2 * fold :]
            y = torch.relu(self.norms[0](self.first(y.reshape(x.shape))))
            return torch.relu(self.norms[1](self.second(y)) + self.skip(x))

    class Net(torch.nn.Module):
        """Stem, a block a stage, mean of the frames' logits."""

        def __init__(self) -> None:
            super().__init__()
            width = job["width"]
            self.stem = torch.nn.Conv2d(channels, width, 3, 1, 1, bias=False)
            self.norm = torch.nn.BatchNorm2d(width)
            stages = range(job["stages"])
            self.blocks = torch.nn.Sequential(
                *(Block(width * 2 ** max(i - 1, 0), width * 2**i, 1 if i == 0 else 2) for i in stages)
            )
            self.head = torch.nn.Linear(width * 2 ** (job["stages"] - 1), job["classes"])

        def forward(self, video: Any) -> Any:
            x = torch.relu(self.norm(self.stem(video.reshape(-1, *video.shape[2:]))))
            return self.head(self.blocks(x).mean((2, 3))).reshape(-1, frames, job["classes"]).mean(1)

    torch.manual_seed(0)
    weights = torch.tensor(job["weights"], dtype=torch.float32)
    alpha = torch.zeros(len(edges), len(names), requires_grad=True)
    net = Net()
    alpha_rule = torch.optim.Adam([alpha], 3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
    rule = torch.optim.SGD(net.parameters(), 0.025, momentum=0.9, weight_decay=3e-4)

    def forward() -> Any:
        with torch.no_grad():
            return cell(images, weights)

    def backward() -> Any:
        own, x = weights.clone().requires_grad_(True), images.clone().requires_grad_(True)
        cell(x, own).square().mean().backward()
        return own.grad

    def step() -> Any:
        loss = functional.cross_entropy(net(cell(images, alpha.softmax(-1))), labels)
        alpha_rule.zero_grad()
        loss.backward()
        alpha_rule.step()
        rule.zero_grad()
        with torch.no_grad():
            video = cell(images, alpha.softmax(-1))
        functional.cross_entropy(net(video), labels).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        rule.step()

    jobs = {"forward": forward, "backward": backward, "step": step}
    found: dict[str, Any] = {"torch": torch.__version__, "threads": torch.get_num_threads(), "seconds": {}}
    found["params"] = sum(p.numel() for p in net.parameters())
    found["sample"] = forward()[:2, :, :, ::7, ::5].flatten().tolist()
    found["gradient"] = backward().flatten().tolist()
    for name in job["jobs"]:
        times = []
        for turn in range(job["repeats"] + 1):
            begin = time.perf_counter()
            jobs[name]()
            if turn:  # the first one warms up
                times.append(time.perf_counter() - begin)
        found["seconds"][name] = times
    found["peak_gib"] = memory.peak_gib()
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
