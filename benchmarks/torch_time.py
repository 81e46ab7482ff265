"""Times the plain PyTorch network: architectures as JSON on standard input, seconds as JSON on standard output.

`benchmarks.proxies` runs this in a process of its own, because PyTorch and JAX need not share an environment.
"""

from __future__ import annotations

import json
import sys
import time

ABSENT = 3  # exit status when there is no torch


def main() -> int:
    try:
        import torch
    except ImportError:
        return ABSENT
    from benchmarks.torch_nasbench201 import network

    job = json.load(sys.stdin)
    torch.manual_seed(0)
    size, batch, classes = job["image_size"], job["batch_size"], job["num_classes"]
    images, labels = torch.randn(batch, 3, size, size), torch.randint(classes, (batch,))
    nets = [network(arch, job["channels"], job["cells"], classes) for arch in job["archs"]]
    seconds = []
    for turn in range(job["repeats"] + 1):
        row = []
        for net in nets:
            net.zero_grad()
            start = time.perf_counter()
            torch.nn.functional.cross_entropy(net(images), labels).backward()
            row.append(time.perf_counter() - start)
        if turn:  # the first one warms up
            seconds.append(row)
    json.dump({"torch": torch.__version__, "threads": torch.get_num_threads(), "seconds": seconds}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
