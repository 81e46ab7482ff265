"""The proxies of NAS-Bench-Suite-Zero with ZiCo, SWAP and L-SWAG as plain PyTorch runs them: one after another.

Every function makes its own passes, as the published codes do, written anew from the formulas. Run as a module it is a
job for `benchmarks.torch_process`: seconds of each proxy for each network.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.torch_time import ABSENT

try:
    import torch
    from torch import nn
except ImportError:
    sys.exit(ABSENT)

Batches = list[tuple[torch.Tensor, torch.Tensor]]


def _layers(net: nn.Module) -> list[Any]:
    return [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]


def _loss(net: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(net(images), labels)


def _grad(total: torch.Tensor, inputs: list[torch.Tensor], **options: Any) -> list[torch.Tensor]:
    # What nothing reads, behind the operation "none", has the gradient zero.
    return list(torch.autograd.grad(total, inputs, allow_unused=True, materialize_grads=True, **options))


def _gradients(net: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> list[torch.Tensor]:
    return _grad(_loss(net, *batch), [m.weight for m in _layers(net)])


def _hooked(modules: list[nn.Module], hook: Callable[..., Any], run: Callable[[], Any]) -> Any:
    """What ``run`` returns, every module calling ``hook`` after its forward pass."""
    handles = [m.register_forward_hook(hook) for m in modules]
    try:
        return run()
    finally:
        for handle in handles:
            handle.remove()


def _rectified(net: nn.Module, images: torch.Tensor) -> Iterator[torch.Tensor]:
    """Indicators bool [batch, neurons] of every rectifier."""
    found: list[torch.Tensor] = []
    modules = [m for m in net.modules() if isinstance(m, nn.ReLU)]
    with torch.no_grad():
        _hooked(modules, lambda m, inputs, output: found.append((output > 0).flatten(1)), lambda: net(images))
    yield from found


def params(net: nn.Module, batches: Batches) -> float:
    """Number of parameters."""
    return float(sum(p.numel() for p in net.parameters()))


def flops(net: nn.Module, batches: Batches) -> float:
    """Multiply-adds for one image, counted in a forward pass."""
    from benchmarks.torch_nets.parts import multiply_adds

    return float(multiply_adds(net, batches[0][0][:1]))


def l2_norm(net: nn.Module, batches: Batches) -> float:
    """Norms of the weights."""
    return float(sum(m.weight.detach().norm() for m in _layers(net)))


def grad_norm(net: nn.Module, batches: Batches) -> float:
    """Norms of the gradients."""
    return float(sum(g.norm() for g in _gradients(net, batches[0])))


def snip(net: nn.Module, batches: Batches) -> float:
    """Sum of |w g|."""
    pairs = zip(_layers(net), _gradients(net, batches[0]), strict=True)
    return float(sum((m.weight.detach() * g).abs().sum() for m, g in pairs))


def plain(net: nn.Module, batches: Batches) -> float:
    """Sum of w g."""
    pairs = zip(_layers(net), _gradients(net, batches[0]), strict=True)
    return float(sum((m.weight.detach() * g).sum() for m, g in pairs))


def fisher(net: nn.Module, batches: Batches) -> float:
    """Half the mean square of a channel's sum of a dL/da, for every weight of the channel."""
    outputs: list[tuple[Any, torch.Tensor]] = []
    layers = _layers(net)
    loss = _hooked(layers, lambda m, inputs, output: outputs.append((m, output)), lambda: _loss(net, *batches[0]))
    total = 0.0
    for (m, a), g in zip(outputs, _grad(loss, [a for _, a in outputs]), strict=True):
        product = a.detach() * g
        channels = product.sum((2, 3)) if product.ndim == 4 else product
        total += float(channels.square().mean(0).sum() / 2) * (m.weight.numel() // len(m.weight))
    return total


def grasp(net: nn.Module, batches: Batches) -> float:
    """-sum of w (H g), by a gradient of a gradient; the plain gradient comes first, as in the published code."""
    weights = [m.weight for m in _layers(net)]
    fixed = _grad(_loss(net, *batches[0]), weights)
    again = _grad(_loss(net, *batches[0]), weights, create_graph=True)
    inner = sum((f * g).sum() for f, g in zip(fixed, again, strict=True))
    rows = _grad(inner, weights)
    return -float(sum((w.detach() * h).sum() for w, h in zip(weights, rows, strict=True)))


def _correlation(net: nn.Module, images: torch.Tensor) -> torch.Tensor:
    x = images.clone().requires_grad_()
    (rows,) = _grad(net(x).sum(), [x])
    return torch.corrcoef(rows.flatten(1)).double()


def jacob_cov(net: nn.Module, batches: Batches) -> float:
    """Spectrum of the correlations of the input gradients."""
    correlation = _correlation(net, batches[0][0])
    if not correlation.isfinite().all():  # nothing comes from the images
        return math.nan
    values = torch.linalg.eigvalsh(correlation) + 1e-5
    return -float((values.log() + 1 / values).sum())


def epe_nas(net: nn.Module, batches: Batches) -> float:
    """Correlations of the input gradients within the classes."""
    images, labels = batches[0]
    logs = (_correlation(net, images).abs() + 1e-5).log()
    own = [torch.nonzero(labels == c).flatten() for c in labels.unique()]
    return sum(abs(float(logs[rows][:, rows].sum())) for rows in own)


def nwot(net: nn.Module, batches: Batches) -> float:
    """Log-determinant of the agreement of activation patterns."""
    images = batches[0][0]
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64)
    for bits in _rectified(net, images):
        x = bits.float()
        kernel += (x @ x.T + (1 - x) @ (1 - x).T).double()
    return float(torch.linalg.slogdet(kernel)[1])


def _distinct(rows: list[torch.Tensor]) -> int:
    return len(torch.unique(torch.cat([bits.T for bits in rows]), dim=0))


def swap(net: nn.Module, batches: Batches) -> float:
    """Distinct patterns of neurons over the images."""
    return float(_distinct(list(_rectified(net, batches[0][0]))))


def synflow(net: nn.Module, batches: Batches) -> float:
    """Log of the sum of |w dR/dw|, norms left out, absolute weights in float64, an image of ones."""
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    forwards = [m.forward for m in norms]
    kept = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    dtype = batches[0][0].dtype
    net.double()
    try:
        for m in norms:
            m.forward = lambda x: x  # type: ignore[method-assign]
        with torch.no_grad():
            for p in net.parameters():
                p.abs_()
        weights = [m.weight for m in _layers(net)]
        total = net(torch.ones_like(batches[0][0][:1], dtype=torch.float64)).sum()
        rows = _grad(total, weights)
        score = float(sum((w.detach() * g).abs().sum() for w, g in zip(weights, rows, strict=True)))
    finally:
        for m, forward in zip(norms, forwards, strict=True):
            m.forward = forward  # type: ignore[method-assign]
        net.to(dtype)
        net.load_state_dict(kept)
    return math.log(score) if score > 0 else -math.inf


def zen(net: nn.Module, batches: Batches, *, noise: tuple[torch.Tensor, torch.Tensor] | None = None) -> float:
    """How far the features before the pooling move with noise, and the scales of the norms.

    The weights are drawn from a normal distribution first, unless the noise is given: then they stay.
    """
    kept = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    x, change = noise or (torch.randn_like(batches[0][0]), torch.randn_like(batches[0][0]))
    features: list[torch.Tensor] = []
    pool = [m for m in net.modules() if isinstance(m, nn.AdaptiveAvgPool2d)][-1]
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    try:
        for m in norms:
            m.reset_running_stats()
        with torch.no_grad():
            if noise is None:
                for m in _layers(net):
                    nn.init.normal_(m.weight)
            for image in (x, x + 1e-2 * change):
                _hooked([pool], lambda m, inputs, output: features.append(inputs[0]), lambda image=image: net(image))
        difference = float((features[0] - features[1]).abs().flatten(1).sum(1).mean().log())
        return difference + sum(float(m.running_var.mean().sqrt().log()) for m in norms)
    finally:
        net.load_state_dict(kept)


def _observations(net: nn.Module, batches: Batches) -> Iterator[torch.Tensor]:
    """Gradients [batches, ...] of every layer that has one."""
    for rows in zip(*(_gradients(net, batch) for batch in batches), strict=True):
        yield torch.stack(rows)


def zico(net: nn.Module, batches: Batches) -> float:
    """Sum over layers of the log of the sum of mean |g| over the deviation of g."""
    total = 0.0
    for g in _observations(net, batches):
        mean, deviation = g.abs().mean(0), g.std(0, unbiased=False)
        seen = deviation > 0
        ratio = float((mean[seen] / deviation[seen]).sum())
        total += math.log(ratio) if ratio > 0 else 0.0
    return total


def lswag(net: nn.Module, batches: Batches) -> float:
    """Sum over layers of the log of the sum of 1 / deviation of |g|, times the number of distinct patterns."""
    total = 0.0
    for g in _observations(net, batches):
        deviation = g.abs().std(0, unbiased=False)
        inverse = float((1 / deviation[deviation > 0]).sum())
        total += math.log(inverse) if inverse > 0 else 0.0
    return total * _distinct(list(_rectified(net, batches[0][0])))


PROXIES: dict[str, Callable[[nn.Module, Batches], float]] = {
    f.__name__: f
    for f in (epe_nas, fisher, flops, grad_norm, grasp, jacob_cov, l2_norm, nwot, params, plain, snip, synflow, zen,
              zico, swap, lswag)
}  # fmt: skip


def main() -> int:
    """Times a job."""
    from benchmarks import torch_nets
    from benchmarks.torch_nets.parts import multiply_adds

    job: dict[str, Any] = json.load(sys.stdin)
    options, size = job["options"], job["options"]["image_size"]
    torch.manual_seed(0)
    batches = [
        (
            torch.randn(job["batch_size"], options["in_channels"], size, size),
            torch.randint(options["num_classes"], (job["batch_size"],)),
        )
        for _ in range(2)
    ]
    nets = [torch_nets.build(job["space"], arch, options) for arch in job["archs"]]
    counts = {
        "params": [sum(p.numel() for p in net.parameters()) for net in nets],
        "multiply_adds": [multiply_adds(net, batches[0][0][:1]) for net in nets],
    }
    seconds: dict[str, list[list[float]]] = {name: [] for name in job["proxies"]}
    for turn in range(job["repeats"] + 1):
        for name in seconds:
            row = []
            for net in nets:
                start = time.perf_counter()
                PROXIES[name](net, batches)
                row.append(time.perf_counter() - start)
            if turn:  # the first one warms up
                seconds[name].append(row)
    found = {"torch": torch.__version__, "threads": torch.get_num_threads(), "proxies": seconds, **counts}
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
