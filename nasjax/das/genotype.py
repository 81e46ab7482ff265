"""Genotypes: the edges that a search kept, their operations and magnitudes, as JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax.das.config import DASConfig
from nasjax.das.ops import OPERATIONS, SETS, check_magnitude
from nasjax.records import replaced
from nasjax.types import InputError

FORMAT = "nasjax.das.genotype"
VERSION = 1


class Gene(NamedTuple):
    """An edge of a genotype.

    Attributes:
      node: number of the node it leads to.
      source: number of the state it comes from: an input below ``num_inputs``, then node source - num_inputs.
      op: name of the operation.
      magnitude: base magnitude.
    """

    node: int
    source: int
    op: str
    magnitude: float


@dataclasses.dataclass(frozen=True)
class Genotype:
    """A cell after the choice of operations.

    Attributes:
      genes: the edges that are kept, one operation each.
      config: the cell they belong to.

    Raises:
      InputError: a gene that the cell does not have, or no path from an input to the last node.
    """

    genes: tuple[Gene, ...]
    config: DASConfig = dataclasses.field(default_factory=DASConfig)

    def __post_init__(self) -> None:
        """Checks every gene."""
        object.__setattr__(self, "genes", tuple(Gene(*gene) for gene in self.genes))
        edges, names = self.config.edges, self.config.names
        seen = set()
        if not self.genes:
            raise InputError("the genotype has no gene; allowed: at least one edge of the cell")
        for gene in self.genes:
            if (gene.node, gene.source) not in edges:
                raise InputError(f"gene {list(gene)}: no edge from state {gene.source} to node {gene.node}; allowed: "
                                 f"nodes 0 to {self.config.num_nodes - 1}, each from earlier states")  # fmt: skip
            if gene.op not in names:
                raise InputError(f"gene {list(gene)}: operation {gene.op!r} is not of this op set; allowed: "
                                 f"{', '.join(names)}; do: load it with the op set it was found in")  # fmt: skip
            check_magnitude(OPERATIONS[gene.op], gene.magnitude, where=f"gene {list(gene)}")
            if (gene.node, gene.source) in seen:
                raise InputError(f"gene {list(gene)}: its edge has another operation already; allowed: one an edge")
            seen.add((gene.node, gene.source))
        self._check_paths()

    def _check_paths(self) -> None:
        """Refuses a genotype whose video would be black."""
        inputs, last = self.config.num_inputs, self.config.num_nodes - 1
        reached = set(range(inputs))
        for gene in sorted(self.genes):
            if gene.source in reached:
                reached.add(inputs + gene.node)
        if inputs + last not in reached:
            raise InputError(f"the genotype has no path from an input to node {last}, whose state is the video; do: add"
                             f" a gene to node {last}, and to each node it comes from")  # fmt: skip

    @classmethod
    def of_choice(
        cls, config: DASConfig, chosen: Sequence[int] | np.ndarray, magnitudes: Any, *, kept: Any = None
    ) -> Genotype:
        """A genotype of numbers.

        Args:
          config: the cell.
          chosen: int [edges], operation of each edge.
          magnitudes: float [edges, operations].
          kept: bool [edges]; all by default.

        Returns:
          The genotype.
        """
        mask = np.ones(len(config.edges), bool) if kept is None else np.asarray(kept, bool)
        values = np.asarray(magnitudes, np.float64)
        genes = [
            Gene(node, source, config.names[int(chosen[e])], float(values[e, int(chosen[e])]))
            for e, (node, source) in enumerate(config.edges)
            if mask[e]
        ]
        return cls(tuple(genes), config)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The genotype as the cell reads it.

        Returns:
          weights float32 [edges, operations], one or zero; magnitudes float32 [edges, operations]; and bool
          [edges, operations], where weights are not zero.
        """
        shape = (len(self.config.edges), len(self.config.operations))
        weights, magnitudes = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        neutral = np.asarray([OPERATIONS[name].neutral for name in self.config.names], np.float32)
        magnitudes[:] = neutral
        for gene in self.genes:
            place = self.config.edges.index((gene.node, gene.source)), self.config.names.index(gene.op)
            weights[place], magnitudes[place] = 1, gene.magnitude
        return weights, magnitudes, weights > 0

    def to_json(self) -> str:
        """The genotype as text that `from_json` reads."""
        config = dataclasses.asdict(self.config)
        content = {"format": FORMAT, "version": VERSION, "config": config, "genes": [list(g) for g in self.genes]}
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, *, config: DASConfig | None = None, where: str = "genotype") -> Genotype:
        """Reads what `to_json` wrote.

        Args:
          text: JSON.
          config: the cell it must belong to, as far as operations and edges go; whatever it says by default.
          where: what to call it in messages.

        Returns:
          The genotype.

        Raises:
          InputError: it is none, or of another op set or cell.
        """
        try:
            content = json.loads(text)
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']!r}")
            if content["version"] != VERSION:
                raise InputError(f"{where} has version {content['version']}; allowed: {VERSION}; do: write it again")
            fields = dict(content["config"])
            ops = fields["ops"]
            fields["ops"] = ops if isinstance(ops, str) else tuple(ops)
            if isinstance(ops, str) and ops not in SETS:
                raise InputError(f"{where}: op set {ops!r} is unknown; allowed: {', '.join(SETS)}")
            plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
            own = DASConfig(**plain)
            for node, source, op, _ in content["genes"]:
                if [type(node), type(source), type(op)] != [int, int, str]:
                    raise TypeError(f"gene {[node, source, op]}")
            found = cls(tuple(Gene(n, s, op, float(m)) for n, s, op, m in content["genes"]), own)
        except InputError as error:
            raise InputError(str(error) if str(error).startswith(where) else f"{where}: {error}") from None
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise InputError(
                f"{where} is no genotype ({error!r}); allowed: what a search writes as genotype.json"
            ) from None
        if config is not None:
            for name in ("ops", "num_nodes", "num_inputs"):
                there, here = getattr(own, name), getattr(config, name)
                if there != here:
                    raise InputError(f"{where} is of a cell with {name}={there!r}, and this one has {here!r}; do: use "
                                     "the cell it was found in")  # fmt: skip
        return found

    def save(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Writes a file that `load` reads; a reader never sees a part of it.

        Args:
          path: the file.

        Returns:
          The file.

        Raises:
          InputError: it cannot be written.
        """
        with replaced(path) as file:
            file.write(self.to_json())
        return pathlib.Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, config: DASConfig | None = None) -> Genotype:
        """Reads a file.

        Args:
          path: the file.
          config: the cell it must belong to; see `from_json`.

        Returns:
          The genotype.

        Raises:
          InputError: there is no such file, it is no genotype, or one of another cell or op set.
        """
        try:
            text = pathlib.Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read ({error}); do: name the genotype.json of a search") from None
        return cls.from_json(text, config=config, where=str(path))

    def __str__(self) -> str:
        """One line: ``0<-0 rotate(-4) ...``."""
        parts = []
        for gene in self.genes:
            value = "" if OPERATIONS[gene.op].rule == "none" else f"({gene.magnitude:.3g})"
            parts.append(f"{gene.node}<-{gene.source} {gene.op}{value}")
        return ", ".join(parts)


def identity(config: DASConfig) -> Genotype:
    """The genotype whose video repeats the image: T x identity.

    Args:
      config: the cell; its op set must have "identity".

    Returns:
      the genotype, with all edges.

    Raises:
      InputError: the op set has no identity.
    """
    if "identity" not in config.names:
        raise InputError(f"op set {config.ops!r} has no identity; allowed: one that has, such as geometric5")
    number = config.names.index("identity")
    edges = len(config.edges)
    return Genotype.of_choice(config, [number] * edges, np.zeros((edges, len(config.operations))))


def random_genotype(key: jax.Array, config: DASConfig, magnitudes: Any) -> Genotype:
    """A genotype drawn at random, with at most two edges into each node: the baseline of a search.

    Args:
      key: typed key.
      config: the cell.
      magnitudes: float [edges, operations].

    Returns:
      The genotype.
    """
    choice_key, edge_key = jax.random.split(key)
    chosen = np.asarray(jax.random.randint(choice_key, (len(config.edges),), 0, len(config.operations)))
    order = np.asarray(jax.random.permutation(edge_key, len(config.edges)))
    kept = np.zeros(len(config.edges), bool)
    for node in range(config.num_nodes):
        kept[[e for e in order if e in config.node_edges(node)][:2]] = True
    return Genotype.of_choice(config, chosen, magnitudes, kept=kept)
