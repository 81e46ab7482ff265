"""Proxies of Gram matrices between images: input gradients, and the neural tangent kernel."""

from __future__ import annotations

import math

import numpy as np

from nasjax.proxies.base import Facts, Proxy, Value, check_count, plain
from nasjax.proxies.derivative_passes import JacobianPass, LabelPass, TangentKernelPass
from nasjax.proxies.lswag import check_preset

_K = 1e-5  # keeps logarithms and reciprocals finite, in jacob_cov and epe_nas
_MANY_CLASSES = 100  # above, epe_nas compares classes with each other


def spectral_score(correlation: np.ndarray) -> float:
    """``-sum_i log(v_i + k) + 1 / (v_i + k)`` over the eigenvalues of a matrix [n, n]; NaN if an entry is."""
    if not np.isfinite(correlation).all():
        return math.nan
    shifted = np.linalg.eigvalsh(correlation) + _K
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(-(np.log(shifted) + 1 / shifted).sum())


def jacob_cov(*, preset: str = "nbsz", init: str = "torch") -> Proxy:
    """``-sum_i log(v_i + k) + 1 / (v_i + k)``, k = 1e-5. Higher is better.

    v are the eigenvalues of the correlation matrix of the images' input gradients, those of the sum of all
    outputs on one batch.

    Args:
      preset: "paper" and "nbsz" agree.
      init: initialisation law.

    Returns:
      the proxy.

    References:
      Mellor et al., Neural Architecture Search without Training, first version (2020), as "jacob_cov" in
      Abdelfattah et al., ICLR 2021 ("jacov" in NAS-Bench-Suite-Zero).
    """
    check_preset("jacob_cov", preset)
    p = JacobianPass(init)
    return Proxy(
        "jacob_cov", (("init", init),), (p,), lambda facts: plain(spectral_score(facts.stats[p]["correlation"]))
    )


def class_score(correlation: np.ndarray, labels: np.ndarray, num_classes: int) -> float:
    """Score of EPE-NAS.

    Args:
      correlation: float64 [n, n] between the input gradients of images.
      labels: int [n], their classes.
      num_classes: of the task. Up to 100, the sum over the classes seen of ``|S_c|``,
        ``S_c = sum log(|correlation| + k)`` over the pairs of images of class c. Above, ``S_c`` is divided by
        the number of images, classes with one image are left out, and the score is the sum of
        ``|S_c - S_c'|`` over ordered pairs of classes, divided by the number of classes.

    Returns:
      the score; NaN if an entry is.
    """
    logs = np.log(np.abs(correlation) + _K)
    many = num_classes > _MANY_CLASSES
    sums = []
    for c in np.unique(labels):
        own = np.flatnonzero(labels == c)
        if many and len(own) == 1:
            continue
        total = logs[np.ix_(own, own)].sum()
        sums.append(total / len(own) if many else total)
    values = np.array(sums)
    if not many:
        return float(np.abs(values).sum())
    return float(np.abs(values[:, None] - values[None]).sum() / len(values)) if len(values) else 0.0


def epe_nas(*, preset: str = "nbsz", init: str = "torch") -> Proxy:
    """How the input gradients of images of one class correlate, see `class_score`. Higher is better.

    Classification only.

    Args:
      preset: "paper" and "nbsz" agree.
      init: initialisation law.

    Returns:
      the proxy.

    References:
      Lopes et al., EPE-NAS, 2021; code NASLib (zerocost) studied.
    """
    check_preset("epe_nas", preset)
    p, labels = JacobianPass(init), LabelPass(init)

    def finish(facts: Facts) -> Value:
        own = facts.stats[labels]
        return plain(class_score(facts.stats[p]["correlation"], own["labels"], int(own["num_classes"])))

    return Proxy("epe_nas", (("init", init),), (p, labels), finish)


def condition_number(kernel: np.ndarray) -> float:
    """Largest over smallest eigenvalue of a kernel [n, n]; inf for a singular one, NaN for one of zeros."""
    if not np.isfinite(kernel).all() or not kernel.any():
        return math.nan
    values = np.linalg.eigvalsh(kernel)
    return float(values[-1] / values[0]) if values[0] > 0 else math.inf


def te_ntk(
    *, preset: str = "nbsz", init: str | None = None, samples: int | None = None, repeats: int | None = None
) -> Proxy:
    """``-kappa``, kappa the condition number of the neural tangent kernel. Higher is better.

    The kernel is between the gradients of the summed outputs of single images with respect to all weights
    of convolutions, linear layers and norms; batch norms use the statistics of the batch. A network without
    gradient has no condition number (the reference code writes 100,000).

    Args:
      preset: "paper": 72 images, mean over 3 initialisations by Kaiming's normal law (fan out); "nbsz": 16
        images, one default initialisation.
      init: initialisation law; overrides the preset.
      samples: number of images; overrides the preset.
      repeats: number of initialisations; overrides the preset.

    Returns:
      the proxy; its raw value is kappa.

    Raises:
      InputError: a number is out of range.

    References:
      Chen et al., TE-NAS, ICLR 2021; code VITA-Group/TENAS studied.
    """
    paper = check_preset("te_ntk", preset) == "paper"
    init = init or ("kaiming_fan_out" if paper else "torch")
    samples = samples if samples is not None else (72 if paper else 16)
    repeats = repeats if repeats is not None else (3 if paper else 1)
    check_count("te_ntk", "samples", samples)
    check_count("te_ntk", "repeats", repeats)
    p = TangentKernelPass(init, repeats, samples=samples)

    def finish(facts: Facts) -> Value:
        kernels = facts.stats[p]["kernel"].reshape(-1, samples, samples)
        kappa = float(np.mean([condition_number(k) for k in kernels]))
        return Value(-kappa, kappa)

    return Proxy("te_ntk", (("init", init), ("repeats", repeats), ("samples", samples)), (p,), finish, raw_sign=-1)
