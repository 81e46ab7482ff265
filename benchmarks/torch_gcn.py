"""A dense GCN in PyTorch, written for comparison: the network, loss and schedule of `nasjax.grasp`'s defaults.

    python -m benchmarks.torch_gcn FILE.npz     (a Python that has torch; prints times and the ranking as JSON)
"""

from __future__ import annotations

import json
import math
import sys
import time

import numpy as np

ABSENT = 3  # exit status without torch


def main(path: str) -> int:
    try:
        import torch
    except ImportError:
        return ABSENT
    from torch import nn

    with np.load(path) as file:
        data = {name: file[name] for name in file.files}
    torch.manual_seed(int(data["seed"]))
    torch.set_num_threads(int(data["threads"]))
    layers, width, steps = int(data["layers"]), int(data["width"]), int(data["steps"])

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            sizes = [data["nodes"].shape[-1], *[width] * layers]
            ends = zip(sizes[:-1], sizes[1:], strict=True)
            self.weights = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in ends)
            self.biases = nn.ParameterList(nn.Parameter(torch.zeros(width)) for _ in range(layers))
            self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-6) for _ in range(layers))
            self.dropout, self.head = nn.Dropout(0.2), nn.Linear(width, 1)

        def forward(self, nodes: torch.Tensor, links: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            for weight, bias, norm in zip(self.weights, self.biases, self.norms, strict=True):
                nodes = self.dropout(torch.relu(norm(torch.bmm(links, weight(nodes)) + bias)))
            return self.head((nodes * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))[:, 0]

    nodes, mask, links = (torch.from_numpy(data[name]) for name in ("nodes", "mask", "links"))
    rows, targets = torch.from_numpy(data["rows"]).long(), torch.from_numpy(data["targets"])
    begin = time.perf_counter()
    network = Network()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda t: 0.5 * (1 + math.cos(math.pi * t / steps)))
    pairs = (targets[:, None] - targets[None] > 1e-6).float()
    own = nodes[rows], links[rows], mask[rows]
    network.train()
    for _ in range(steps):
        optimiser.zero_grad()
        scores = network(*own)
        loss = (nn.functional.softplus(scores[None] - scores[:, None]) * pairs).sum() / pairs.sum()
        loss.backward()
        optimiser.step()
        schedule.step()
    fitted = time.perf_counter()
    network.eval()
    with torch.no_grad():
        blocks = [slice(i, i + 2048) for i in range(0, len(nodes), 2048)]
        found = torch.cat([network(nodes[block], links[block], mask[block]) for block in blocks])
    ranked = time.perf_counter()
    times = {"fit": fitted - begin, "rank": ranked - fitted}
    print(json.dumps({**times, "scores": found.tolist(), "torch": torch.__version__}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
