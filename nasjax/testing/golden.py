"""Golden files: weights by recipe, inputs, and the quantities of one network as this library computes them."""

from __future__ import annotations

import hashlib
import json
import math
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax.data.npz import UNREADABLE
from nasjax.proxies import registry
from nasjax.proxies.base import Facts, Proxy
from nasjax.proxies.lswag import LswagConfig, from_config
from nasjax.proxies.passes import CostPass, GradientPass, merge, run_with, to_host
from nasjax.proxies.score import part
from nasjax.spaces.base import bind_one
from nasjax.spaces.checks import shown
from nasjax.testing.kits import Entry, Kit
from nasjax.types import InputError

MEAN = np.array([0.4914, 0.4822, 0.4465], np.float32)
STD = np.array([0.2470, 0.2435, 0.2616], np.float32)
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)


class Quantity(NamedTuple):
    """One computed value beside its golden one.

    Attributes:
      name: what it is.
      value: computed, scalar or array.
      golden: expected, same shape.
      tolerance: allowed relative error; 0 means exact.
      where: layer name for per-layer quantities, else empty.
    """

    name: str
    value: Any
    golden: Any
    tolerance: float
    where: str = ""

    @property
    def error(self) -> float:
        """Worst relative error; a vector is compared against its largest magnitude."""
        value, golden = np.atleast_1d(np.asarray(self.value, float)), np.atleast_1d(np.asarray(self.golden, float))
        if value.shape != golden.shape:
            return np.inf
        same = (value == golden) | (np.isnan(value) & np.isnan(golden))
        scale = np.max(np.abs(golden[np.isfinite(golden)]), initial=0.0)
        with np.errstate(all="ignore"):
            errors = np.where(same, 0.0, np.abs(value - golden) / (scale if scale > 0 else 1.0))
        return float(np.max(np.where(np.isnan(errors), np.inf, errors), initial=0.0))

    @property
    def passes(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.error <= self.tolerance


def number(value: Any) -> Any:
    """JSON numbers as stored: "nan", "inf" and "-inf" are text, null is None."""
    if isinstance(value, list):
        return np.array([number(v) for v in value], float)
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        raise InputError(f"{shown(value)} in a golden file is no number; do: get the file again.") from None


def load(path: str | pathlib.Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A golden file and its parameter lists.

    Raises:
      InputError: no such file, not of the form, or no parameter file beside it.
    """
    path = pathlib.Path(path)
    beside = path.with_name(f"{path.stem}_params.json")
    for file in (path, beside):
        if not file.is_file():
            raise InputError(f"{file}: no such file; a golden file <space>.json needs <space>_params.json beside it.")
    contents = []
    for file in (path, beside):
        try:
            contents.append(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{file}: not JSON, or cut short ({error}); do: get the file again.") from error
    golden, params = contents
    wrong = _malformed(golden, params)
    if wrong:
        raise InputError(f"{path}: not a golden file: {wrong}; do: get it and {beside.name} again.")
    return golden, params


def _malformed(golden: Any, params: Any) -> str:
    """What a golden file or its lists of parameters lack; empty: nothing."""
    if not isinstance(golden, dict) or not isinstance(golden.get("meta"), dict):
        return "'meta' with 'space', and 'archs' expected"
    archs = golden.get("archs")
    if not isinstance(golden["meta"].get("space"), str) or not isinstance(archs, list):
        return "'meta' with 'space', and 'archs' expected"
    for place, entry in enumerate(archs):
        where = f"entry {place} of 'archs'"
        if not isinstance(entry, dict) or type(entry.get("index")) is not int or entry["index"] < 0:
            return f"{where} has no 'index'"
        if not isinstance(entry.get("sha256"), str) or "arch" not in entry:
            return f"{where} has no 'sha256' or no 'arch'"
        own = params.get(str(entry["index"])) if isinstance(params, dict) else None
        rows = own.get("params") if isinstance(own, dict) else None
        if not isinstance(rows, list) or not all(_is_parameter(row) for row in rows):
            return f"{where} has no list of parameters (name, shape, kind)"
    return ""


def _is_parameter(row: Any) -> bool:
    if not isinstance(row, list) or [type(part) for part in row] != [str, list, str]:
        return False
    sizes = row[1]
    return all(type(size) is int and size > 0 for size in sizes) and math.prod(sizes) < 2**31


def weights(params: list[Any], index: int) -> tuple[dict[str, np.ndarray], str]:
    """Weights by the recipe of the kit, and the SHA-256 of all arrays in order."""
    rng = np.random.default_rng([2026, index])
    tensors, digest = {}, hashlib.sha256()
    for name, shape, kind in params:
        if kind == "weight":
            array = rng.standard_normal(shape, dtype=np.float32)
            array = array * np.float32(np.sqrt(2 / np.prod(shape[1:])))
        elif kind == "special":
            array = rng.standard_normal(shape, dtype=np.float32) * np.float32(0.02)
        else:
            array = (np.ones if kind == "norm_weight" else np.zeros)(shape, np.float32)
        tensors[name] = array
        digest.update(np.ascontiguousarray(array, "<f4").tobytes())
    return tensors, digest.hexdigest()


def image_batches(
    path: str | pathlib.Path, name: str, dtype: Any, *, size: int, mean: np.ndarray, std: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The first two batches of a file of images.

    Args:
      path: folder of the file, or the file itself.
      name: name of the file in the folder.
      dtype: floating dtype; normalisation is in float32.
      size: images a batch.
      mean: float32 [3], of images in [0, 1].
      std: float32 [3].

    Returns:
      images [2, size, height, width, 3] and labels int32 [2, size].

    Raises:
      InputError: no such file.
    """
    path = pathlib.Path(path)
    path = path / name if path.is_dir() else path
    if not path.is_file():
        raise InputError(f"{path}: no such file; give {name}, or its folder, by --data.")
    try:
        with np.load(path) as file:
            prefix = "x_train" if "x_train" in file.files else "x"
            x, y = (file[prefix.replace("x", letter, 1)][: 2 * size] for letter in "xy")
    except UNREADABLE as error:
        raise InputError(f"{path} cannot be read ({error}); do: get it again.") from error
    x = ((x.astype(np.float32) / np.float32(255)) - mean) / std
    return x.astype(dtype).reshape(2, size, *x.shape[1:]), y.astype(np.int32).reshape(2, size)


def cifar_batches(path: str | pathlib.Path, dtype: Any, *, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Images [2, size, 32, 32, 3] and labels [2, size] of CIFAR-10; see `image_batches`."""
    return image_batches(path, "cifar10_subset.npz", dtype, size=size, mean=MEAN, std=STD)


def _lswag_proxies() -> dict[str, Proxy]:
    """Proxies behind ``lswag_f64``, by the dotted key of their value."""
    found = {}
    for var in ("abs", "signed"):
        for where, interval in (("all", None), ("interval", (2, 6))):
            config = LswagConfig(var_of=var, interval=interval, factors="lambda")
            found[f"lambda.{var}_{where}"] = from_config(config)
    for where, interval, layers in (
        ("all", None, "all"),
        ("upto_end", (2, 6), "upto_end"),
        ("interval", (2, 6), "interval"),
    ):
        found[f"psi.{where}"] = from_config(LswagConfig(interval=interval, factors="psi", psi_layers=layers))
    for text in (
        "abs_interval_x_psi_upto_end",
        "abs_interval_x_psi_interval",
        "abs_all_x_psi_all",
        "signed_interval_x_psi_upto_end",
        "signed_all_x_psi_all",
    ):
        var, rest = text.split("_", 1)
        interval = (2, 6) if rest.startswith("interval") else None
        layers = rest.rpartition("psi_")[2]
        config = LswagConfig(var_of=var, interval=interval, psi_layers=layers, sign_guard="none")
        found[f"lswag.{text}"] = from_config(config)
    return found


def _kit_proxies(kit: Kit) -> dict[str, Proxy]:
    """Proxies behind the golden scores of a kit, by golden key."""
    found = {}
    for key, proxy in kit.scores.items():
        if isinstance(proxy, str):
            if proxy.partition(":")[0] not in registry.names():
                continue
            (proxy,) = registry.parse(proxy)
        found[key] = proxy
    return found


def reference(entry: Entry, key: str) -> Any:
    """The golden value of a score: float64 where there is one, else float32; None where it was not computed."""
    for group in ("scores_f64", "scores_f32", "lswag_f64"):
        value: Any = entry.get(group)
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            return number(value)
    return None


class Computer:
    """Computes the quantities of the networks of one golden file; compiled once a signature."""

    def __init__(self, kit: Kit, images: np.ndarray, labels: np.ndarray):
        """Prepares the programs for images [2, batch, height, width, channels] and labels [2, batch]."""
        self.kit, self.images, self.labels = kit, images, labels
        self.proxies = _lswag_proxies() | _kit_proxies(kit)
        # A program a pass: several small ones compile faster than a large one.
        self._measure = jax.jit(run_with, static_argnums=(0, 1))
        self._outputs = jax.jit(self._plain, static_argnums=0)

    def __call__(self, entry: Entry, tensors: dict[str, np.ndarray]) -> list[Quantity]:
        """All quantities of one golden entry that this version claims."""
        kit, dtype = self.kit, self.images.dtype
        double = dtype == np.float64
        space = kit.space(entry)
        arch = kit.arch(space, entry)
        variables = kit.variables(space, arch, tensors, dtype)
        meaningful = [key for key in self.proxies if key not in kit.rounding(entry)]
        wanted = {key: self.proxies[key] for key in meaningful if reference(entry, key) is not None}
        served = merge([*(p for proxy in wanted.values() for p in proxy.passes), GradientPass()])
        passes = tuple(p for p in dict.fromkeys(served.values()) if not isinstance(p, CostPass))
        bound = bind_one(space, arch)
        fixed = kit.fixed(entry, dtype)
        given = {p: fixed.get(type(p).__name__) for p in passes}
        data = variables, arch, self.images, self.labels
        stats = {repr(p): to_host(self._measure(bound, p, *data, fixed=given[p])) for p in passes}
        logits, losses, tables = to_host(self._outputs(bound, *data))
        found = [
            Quantity("params", int(space.num_params(arch)), entry["params"], 0),
            *(Quantity(name, *values) for name, values in kit.extra(space, arch, entry).items()),
        ]
        if "macs_conv_linear" in entry:
            found.append(Quantity("macs", int(space.flops(arch)), entry["macs_conv_linear"], 0))
        golden = entry["f64" if double else "f32"]
        for mode in kit.modes:
            found += _outputs(golden, mode, logits[mode], losses[mode], 1e-6 if double else 1e-4)
        layers = space.layers(arch)._replace(**tables)
        if kit.layer_names is not None:
            layers = layers._replace(names=kit.layer_names(space, arch))
        own = {p: part(p, server, stats) for p, server in served.items()}
        facts = Facts(layers, int(space.num_params(arch)), int(space.flops(arch)), own)
        found += [self._score(key, proxy, facts, entry, double) for key, proxy in wanted.items()]
        found.append(Quantity("depth", int(layers.depth), entry["lswag_f64"]["D"], 0))
        return found + _layers(entry, facts, double)

    def _plain(self, space: Any, variables: Any, arch: Any, images: Any, labels: Any) -> Any:
        """Logits and losses by mode, and what the table of layers has of arrays."""
        outputs = {mode: space.apply(variables, arch, images[0], norm=norm) for mode, norm in self.kit.modes.items()}
        losses = {mode: space.loss(output, labels[0]) for mode, output in outputs.items()}
        table = space.layers(arch)
        tables = {f: getattr(table, f) for f in ("active", "order", "depth", "bins")}
        return {mode: output.logits for mode, output in outputs.items()}, losses, tables

    def _score(self, key: str, proxy: Proxy, facts: Facts, entry: Entry, double: bool) -> Quantity:
        value, expected = proxy.finish(facts).score, reference(entry, key)
        if key.endswith("synflow_log") and value == -np.inf:
            value = 0.0  # the suite writes 0 for a disconnected network
        group = key.partition(".")[0]
        if group in ("lambda", "psi", "lswag"):
            loose = 1e-4 if group == "psi" else 3e-2
            tolerance = (0 if group == "psi" else 1e-6) if double else loose
        elif key.startswith("swap"):
            tolerance = 0 if double and key in self.kit.exact else 3 / max(expected, 1.0)
        else:
            exact = double and reference({**entry, "scores_f32": {}}, key) is not None
            tolerance = 1e-6 if exact else self.kit.loose.get(key, 1e-6)
        return Quantity(key, value, expected, tolerance)


def _outputs(golden: dict[str, Any], mode: str, logits: np.ndarray, loss: Any, tolerance: float) -> list[Quantity]:
    """Logits and loss of one mode, in the forms the file has."""
    forms = {
        f"logits{mode}_first4": (f"logits{mode}", logits[:4].ravel()),
        f"logits{mode}_first4_c0to31": (f"logits{mode}", logits[:4, :32].ravel()),
        f"logits{mode}_l2": (f"logits{mode}_l2", np.linalg.norm(logits)),
        f"logits{mode}_sum": (f"logits{mode}_sum", logits.sum(-1)),
        f"loss{mode}": (f"loss{mode}", loss),
    }
    return [
        Quantity(name, value, np.ravel(number(golden[key])) if np.ndim(value) else number(golden[key]), tolerance)
        for key, (name, value) in forms.items()
        if key in golden
    ]


def _layers(entry: Entry, facts: Facts, double: bool) -> list[Quantity]:
    """Gradient statistics of every layer, where the file has them."""
    stats = facts.stats[GradientPass()]
    sums = stats["layers"]
    with np.errstate(all="ignore"):
        columns = {
            "grad_norm_batch1": (sums["grad_norm"], 1e-6, 6e-3),
            "snip_batch1": (sums["snip"], 1e-6, 6e-3),
            "mean_std_signed": (sums["std"], 1e-6, 6e-3),
            "n_nonzero_abs": (sums["nonzero_abs"], 0, np.inf),
            "n_nonzero_signed": (sums["nonzero_signed"], 0, np.inf),
            "loginvstd_abs": (np.log(sums["inv_std_abs"]), 1e-6, 3e-2),
            "loginvstd_signed": (np.log(sums["inv_std_signed"]), 1e-6, 3e-2),
            "zico_abs": (np.log(sums["ratio_abs"]), 1e-6, 3e-2),
            "zico_signed": (np.log(sums["ratio_signed"]), 1e-6, 3e-2),
        }
    slots = np.flatnonzero(facts.layers.active)
    slots = slots[np.argsort(facts.layers.order[slots])]
    found = []
    for slot, layer in zip(slots, entry["lswag_f64"]["layers"], strict=True):
        if facts.layers.names[slot] != layer["name"] or facts.layers.bins[slot] != layer["bin"]:
            found.append(Quantity("layer order and bin", 1, 0, 0, layer["name"]))
        for name, (values, tight, loose) in columns.items():
            # A mean needs the number of weights: a slot may hold several kernels, and that of AutoFormer, which the
            # file does not tell, is over the weights of the whole supernet.
            count = layer.get("n_weights") if name == "mean_std_signed" else 1
            if layer.get(name) is not None and count is not None:
                expected, tolerance = number(layer[name]), tight if double else loose
                found.append(Quantity(f"layer {name}", values[slot] / count, expected, tolerance, layer["name"]))
    return found
