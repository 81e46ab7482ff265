"""Options of the predictor. The paper's text that could be read fixes few of them; every choice is a field.

Known from the published description: a graph convolution network with symmetric normalisation that ranks, and reads the
shapes of vertices beside the operations. Everything else here is a choice of this library, as far as possible one that
was measured (docs/grasp.md).
"""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any

from nasjax.types import InputError

SHAPES = ("log", "onehot", "none")
DIRECTIONS = ("sym", "bi", "succ")
READOUTS = ("mean", "global")
IMPLEMENTATIONS = ("dense", "jraph")
LOSSES = ("bt", "hinge", "brp", "listmle", "lambdarank", "mse", "l1")
PRECISIONS = ("highest", "fast")
PROXY_PLACES = ("graph", "node")
TRANSFORMS = ("rank", "standard")


@dataclasses.dataclass(frozen=True)
class FeatureConfig:
    """What the network reads of a graph.

    Attributes:
      shapes: vertex shapes: "log" as logarithms over fixed constants, so that a change of resolution shows; "onehot" in
        buckets; "none" leaves them out.
      degrees: add the numbers of predecessors and successors and the normalised depth of each vertex.
      proxies: names of scores that the graphs carry, of the whole network or of nodes.
      proxies_as: "graph" gives those of the network to the head, "node" to every vertex.
      transform: "rank" maps a proxy to normal scores of its rank among the reference graphs, "standard" standardises.
      dataset: add the logarithms of the numbers of classes and images, where the graphs carry them.
    """

    shapes: str = "log"
    degrees: bool = False
    proxies: tuple[str, ...] = ()
    proxies_as: str = "graph"
    transform: str = "rank"
    dataset: bool = False

    def __post_init__(self) -> None:
        """Checks the options."""
        object.__setattr__(self, "proxies", tuple(self.proxies))
        _one_of("shapes", self.shapes, SHAPES)
        _one_of("proxies_as", self.proxies_as, PROXY_PLACES)
        _one_of("transform", self.transform, TRANSFORMS)
        _flags(self, "degrees", "dataset")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network.

    Attributes:
      layers: graph convolutions.
      width: channels of each.
      direction: how messages run. "sym": both ways, D^-1/2 (A + A' + I) D^-1/2, the published propagation; "bi": the
        mean of a forward and a backward pass with weights of their own, rows normalised (Wen et al.); "succ": each
        vertex sums its successors and itself, A + I without normalisation (BRP-NAS).
      readout: "mean" over the vertices; "global" reads an additional vertex that every vertex is linked with.
      dropout: share of the activations dropped while training.
      norm: LayerNorm behind each convolution.
      residual: add the input of every layer but the first to its output.
      head: hidden units of the head, 0 for a linear one. With proxies of the network at the head, 0 adds them linearly.
      precision: of matrix products; "fast" is TF32 or bfloat16 on accelerators and the same on a CPU.
      implementation: "dense" multiplies by [N, N] matrices, "jraph" runs `jraph.GraphConvolution`. Equal results.
    """

    layers: int = 4
    width: int = 128
    direction: str = "sym"
    readout: str = "mean"
    dropout: float = 0.2
    norm: bool = True
    residual: bool = False
    head: int = 0
    precision: str = "highest"
    implementation: str = "dense"

    def __post_init__(self) -> None:
        """Checks the options."""
        _one_of("direction", self.direction, DIRECTIONS)
        _one_of("readout", self.readout, READOUTS)
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("implementation", self.implementation, IMPLEMENTATIONS)
        _whole("layers", self.layers, 1)
        _whole("width", self.width, 1)
        _whole("head", self.head, 0)
        _between("dropout", self.dropout, 0, 0.95)
        _flags(self, "norm", "residual")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How the network is trained.

    Attributes:
      loss: "bt" softplus(-(s_i - s_j)) over pairs with y_i > y_j; "hinge" max(0, margin - (s_i - s_j)) (GATES); "brp"
        Kullback-Leibler divergence of a pair head from the softmax of both targets (BRP-NAS); "listmle" likelihood of
        the order; "lambdarank" pairs weighted by their effect on NDCG; "mse" and "l1" of standardised targets.
      steps: optimiser steps.
      batch: graphs a step; all of them where there are fewer.
      learning_rate: peak of the cosine schedule.
      weight_decay: of AdamW.
      margin: of the hinge.
      tie: targets that differ by less give no pair.
      brp_scale: factor on the targets before their softmax; 0.01 takes percent to fractions.
      validation: share of the labels that is held out to choose the step with the best Kendall tau; 0 takes the last.
      checks: how often the validation is looked at.
      pretrain_steps: steps that first teach the network the proxies named in ``pretrain`` on unlabelled graphs.
      pretrain_rate: learning rate of these.
      pretrain_batch: graphs a step of these.
      pretrain: names of those proxies.
      layer_decay: factor on the learning rate of the pre-trained layers while fine-tuning.
    """

    loss: str = "bt"
    steps: int = 300
    batch: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 5e-4
    margin: float = 0.1
    tie: float = 1e-6
    brp_scale: float = 0.01
    validation: float = 0.0
    checks: int = 10
    pretrain_steps: int = 0
    pretrain_rate: float = 1e-3
    pretrain_batch: int = 128
    pretrain: tuple[str, ...] = ()
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        """Checks the options."""
        object.__setattr__(self, "pretrain", tuple(self.pretrain))
        _one_of("loss", self.loss, LOSSES)
        _whole("steps", self.steps, 1)
        _whole("batch", self.batch, 2)
        _whole("pretrain_batch", self.pretrain_batch, 2)
        _whole("checks", self.checks, 1)
        _whole("pretrain_steps", self.pretrain_steps, 0)
        for name in ("learning_rate", "pretrain_rate", "brp_scale"):
            _between(name, getattr(self, name), 1e-12, 1e6)
        for name in ("weight_decay", "margin", "tie"):
            _between(name, getattr(self, name), 0, 1e6)
        _between("validation", self.validation, 0, 0.9)
        _between("layer_decay", self.layer_decay, 0, 1)
        if self.pretrain_steps and not self.pretrain:
            raise InputError(f"pretrain_steps={self.pretrain_steps} without proxies; do: name them in pretrain=(...)")


@dataclasses.dataclass(frozen=True)
class PredictorConfig:
    """Everything that decides a predictor, but for graphs, targets and seed.

    Attributes:
      features: what it reads.
      model: the network.
      train: how it is trained.
      members: networks of the ensemble; scores are means over them.
    """

    features: FeatureConfig = dataclasses.field(default_factory=FeatureConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    members: int = 1

    def __post_init__(self) -> None:
        """Checks the number of members."""
        _whole("members", self.members, 1)

    def with_options(self, **options: Any) -> PredictorConfig:
        """The configuration with options changed by name.

        Args:
          **options: fields of any of the parts; names differ between them.

        Returns:
          a new configuration.

        Raises:
          InputError: there is no such option, or its value is not allowed.
        """
        return _changed(self, options)

    def describe(self) -> dict[str, Any]:
        """All options as JSON-serialisable values."""
        return dataclasses.asdict(self)

    @classmethod
    def of(cls, description: dict[str, Any]) -> PredictorConfig:
        """The inverse of ``describe``.

        Args:
          description: what ``describe`` gave.

        Returns:
          the configuration.
        """
        parts = {"features": FeatureConfig, "model": ModelConfig, "train": TrainConfig}
        made = {name: part(**description[name]) for name, part in parts.items()}
        return cls(**made, members=description["members"])


# What each preset changes in the defaults, which are those of the published description; measured in docs/results.md.
PRESETS: dict[str, dict[str, Any]] = {
    "published": {},
    "strong": {"direction": "bi", "loss": "listmle", "learning_rate": 3e-3, "steps": 400, "batch": 128, "members": 5},
}


def preset(name: str) -> PredictorConfig:
    """A configuration by name.

    Args:
      name: "published" for the defaults; "strong" for what ranks best here: both directions, ListMLE, five networks.
        With proxies of networks among its features, take ``head=128`` too.

    Returns:
      the configuration.

    Raises:
      InputError: unknown name.
    """
    _one_of("preset", name, tuple(PRESETS))
    return PredictorConfig().with_options(**PRESETS[name])


def option_names() -> tuple[str, ...]:
    """Names that ``with_options`` takes."""
    parts = (FeatureConfig, ModelConfig, TrainConfig)
    return ("members", *(field.name for part in parts for field in dataclasses.fields(part)))


def _changed(config: PredictorConfig, options: dict[str, Any]) -> PredictorConfig:
    left = dict(options)
    changes: dict[str, Any] = {"members": left.pop("members")} if "members" in left else {}
    for name in ("features", "model", "train"):
        part: Any = getattr(config, name)
        own = {field.name: left.pop(field.name) for field in dataclasses.fields(part) if field.name in left}
        if own:
            changes[name] = dataclasses.replace(part, **own)
    for name in left:
        near = difflib.get_close_matches(name, option_names(), n=2, cutoff=0.5)
        advice = f"did you mean {' or '.join(near)}?" if near else "choose one of them"
        raise InputError(f"the predictor has no option {name!r}; allowed: {', '.join(option_names())}; do: {advice}")
    return dataclasses.replace(config, **changes)


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        near = difflib.get_close_matches(str(value), allowed, n=1, cutoff=0.4)
        advice = f"; do: did you mean {near[0]!r}?" if near else ""
        raise InputError(f"{name}={value!r}; allowed: {', '.join(allowed)}{advice}")


def _whole(name: str, value: Any, minimum: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise InputError(f"{name}={value!r}; allowed: a whole number of at least {minimum}")


def _between(name: str, value: Any, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(f"{name}={value!r}; allowed: a number in [{low:g}, {high:g}]")


def _flags(config: Any, *names: str) -> None:
    for name in names:
        if not isinstance(getattr(config, name), bool):
            raise InputError(f"{name}={getattr(config, name)!r}; allowed: True and False")
