"""Times plain PyTorch networks: a job as JSON on standard input, what was measured as JSON on standard output.

`benchmarks.torch_process` runs this in a process of its own, because PyTorch and JAX need not share an environment.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

ABSENT = 3  # exit status when there is no torch


def main() -> int:
    try:
        import torch
    except ImportError:
        return ABSENT
    from benchmarks import memory, torch_nets
    from benchmarks.torch_nets.parts import multiply_adds

    job: dict[str, Any] = json.load(sys.stdin)
    options, batch = job["options"], job["batch_size"]
    torch.manual_seed(0)
    size = options["image_size"]
    images = torch.randn(batch, options["in_channels"], size, size)
    nets = [torch_nets.build(job["space"], arch, options) for arch in job["archs"]]
    pixels = (size, size) if options.get("task") == "segmentsemantic" else ()
    labels = torch.randint(options["num_classes"], (batch, *pixels))
    counts = {
        "params": [sum(p.numel() for p in net.parameters()) for net in nets],
        "multiply_adds": [multiply_adds(net, images[:1]) for net in nets],
    }
    seconds = []
    for turn in range(job["repeats"] + 1):
        row = []
        for net in nets:
            start = time.perf_counter()
            torch.nn.functional.cross_entropy(net(images), labels).backward()
            row.append(time.perf_counter() - start)
            net.zero_grad()
        if turn:  # the first one warms up
            seconds.append(row)
    found = {"torch": torch.__version__, "threads": torch.get_num_threads(), "seconds": seconds, **counts}
    found["peak_gib"] = memory.peak_gib()
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
