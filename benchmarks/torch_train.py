"""Times a plain PyTorch training loop: a job as JSON on standard input, what was measured as JSON on standard output.

The loop is what a person writes: SGD with Nesterov momentum and weight decay, cross-entropy, flips and crops of the
whole batch by tensor operations. `benchmarks.torch_process` runs this in a process of its own.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from benchmarks.torch_time import ABSENT

PADDING = 4


def main() -> int:
    try:
        import torch
    except ImportError:
        return ABSENT
    from benchmarks import torch_nets
    from benchmarks.torch_nets.parts import multiply_adds

    job: dict[str, Any] = json.load(sys.stdin)
    options, batch, size = job["options"], job["batch_size"], job["options"]["image_size"]
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images = torch.randint(0, 256, (4 * batch, options["in_channels"], size, size), dtype=torch.uint8)
    labels = torch.randint(options["num_classes"], (4 * batch,))
    nets = [torch_nets.build(job["space"], arch, options) for arch in job["archs"]]
    counts = {
        "params": [sum(p.numel() for p in net.parameters()) for net in nets],
        "multiply_adds": [multiply_adds(net, images[:1].float()) for net in nets],
    }
    rows = torch.arange(size)[None, :, None]
    seconds = []
    for net in (net.to(device) for net in nets):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
        row = []
        for step in range(job["repeats"] + 1):
            start = time.perf_counter()
            chosen = torch.randint(len(images), (batch,))
            x, y = images[chosen].to(device).float() / 255, labels[chosen].to(device)
            x = torch.where(torch.rand(batch, 1, 1, 1, device=device) < 0.5, x.flip(3), x)
            framed = torch.nn.functional.pad(x, (PADDING,) * 4)
            top, left = torch.randint(2 * PADDING + 1, (2, batch, 1, 1))
            place = torch.arange(batch)[:, None, None]
            x = framed[place, :, rows + top, rows.mT + left].permute(0, 3, 1, 2)
            x = (x - 0.5) / 0.25
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            loss.item()
            if step:  # the first one warms up
                row.append(time.perf_counter() - start)
        seconds.append(row)
    found = {"torch": torch.__version__, "threads": torch.get_num_threads(), "device": str(device), "seconds": seconds}
    json.dump({**found, **counts}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
