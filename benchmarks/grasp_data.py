"""Tables behind `benchmarks.grasp_tables`: graphs, proxies and targets of NAS-Bench-201 and NAS-Bench-101."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import nasjax
from nasjax import grasp
from nasjax.data import proxy_tables, tables

SHARED = pathlib.Path(os.environ.get("NASJAX_SHARED", pathlib.Path(__file__).resolve().parents[2] / "shared"))
CHEAP = ("params", "flops")
# Attacks of the robustness table, at the strengths where accuracies spread.
ATTACKS = {"fgsm_1": "fgsm@Linf_eps-1.0", "pgd_1": "pgd@Linf_eps-1.0", "square_1": "aa_square@Linf_eps-1.0",
           "apgd_1": "aa_apgd-ce@Linf_eps-1.0"}  # fmt: skip


class Table(NamedTuple):
    """A benchmark, one architecture a group.

    Attributes:
      name: of the benchmark.
      space: its search space.
      archs: population.
      graphs: encoded, with the proxies that are known.
      targets: name -> numbers [n].
      validation: numbers [n] that may choose within the top, or None.
      groups: [n], all different.
    """

    name: str
    space: Any
    archs: np.ndarray
    graphs: grasp.Graphs
    targets: dict[str, np.ndarray]
    validation: np.ndarray | None
    groups: np.ndarray


def nasbench201(encoding: grasp.EncodeConfig | None = None) -> Table:
    """Distinct cells of NAS-Bench-201: the first of each group in the table of the package.

    Proxies are those published for the cell of the same function without unreachable operations.
    """
    table = tables.load("nasbench201")
    robust = SHARED / "data" / "nasbench201_robustness_cifar10.csv.gz"
    columns = {"cifar10": "cifar10_test", "cifar100": "cifar100_test", "imagenet16": "imagenet16_test"}
    if robust.exists():
        table = table.merge(pd.read_csv(robust), on="arch_index")
        columns |= ATTACKS
    published = proxy_tables.load("nasbench201_cifar10")
    groups = table.set_index("arch")["iso_group"]
    known = published.table[published.table["arch"].isin(groups.index)]
    known = known.assign(iso_group=groups.reindex(known["arch"]).to_numpy()).drop_duplicates("iso_group")
    table = table.iloc[grasp.one_each(table["iso_group"].to_numpy())].reset_index(drop=True)
    proxies = known.set_index("iso_group").reindex(table["iso_group"])
    space = nasjax.get_space("nasbench201", drop_dead=True)
    archs = space.decode(table["arch"].tolist())
    found = {name: proxies[name].to_numpy(np.float64) for name in published.proxies if name not in CHEAP}
    # These two need no table.
    found |= {"params": np.asarray(space.num_params(archs), float), "flops": np.asarray(space.flops(archs), float)}
    graphs = grasp.encode(space, archs, config=encoding).with_proxies(found)
    targets = {name: table[column].to_numpy(np.float64) for name, column in columns.items()}
    return Table("nasbench201", space, archs, graphs, targets, _validation(table), table["iso_group"].to_numpy())


def nasbench101() -> Table:
    """The 738 published cells of NAS-Bench-101 with accuracies after 4, 12, 36 and 108 epochs."""
    table = pd.read_csv(SHARED / "data" / "nasbench101_1k.csv.gz", dtype={"adjacency_rowmajor": str})
    space = nasjax.get_space("nasbench101")
    cells = []
    for bits, ops, size in zip(table["adjacency_rowmajor"], table["ops"], table["n_vertices"], strict=True):
        matrix = np.array(list(bits), int).reshape(7, 7)
        cells.append((matrix[:size, :size].tolist(), json.loads(ops)[:size]))
    archs = space.decode(cells)
    found = {"params": np.asarray(space.num_params(archs), float), "flops": np.asarray(space.flops(archs), float)}
    targets = {f"epochs_{e}": 100 * table[f"valid_{e}ep"].to_numpy(np.float64) for e in (4, 12, 36, 108)}
    _, groups = np.unique(table["nb101_hash"], return_inverse=True)
    return Table("nasbench101", space, archs, grasp.encode(space, archs).with_proxies(found), targets, None, groups)


def kronecker() -> dict[str, Table]:
    """The benchmark of the Kronecker space that comes with the package: task -> its architectures, encoded for it.

    Targets are the final validation and test accuracies of every task, and the former of the own task after each epoch.
    """
    from nasjax.benchmark import reader, shipped

    rows = shipped.kronecker_table()
    frame = reader.wide(rows)
    frame = frame[np.isfinite(frame[[f"{task}_valid" for task in reader.tasks(rows)]]).all(axis=1)]
    found = {}
    for task in reader.tasks(rows):
        space = shipped.kronecker_space(task)
        archs = space.decode(frame["arch"].tolist())
        costs = {"params": np.asarray(space.num_params(archs), float), "flops": np.asarray(space.flops(archs), float)}
        columns = [c for c in frame.columns if c.endswith(("_valid", "_test")) or c.startswith(f"{task}_valid_e")]
        targets = {name: frame[name].to_numpy(np.float64) for name in columns}
        graphs = grasp.encode(space, archs).with_proxies(costs)
        found[task] = Table("kronecker", space, archs, graphs, targets, None, grasp.groups_of(space, archs))
    return found


def flat(table: Table, *, proxies: bool) -> np.ndarray:
    """Flat encodings for models without graphs: labels one-hot by place, edges, and proxies (means where unknown)."""
    graphs = table.graphs
    labels = (graphs.ops[..., None] == np.arange(len(graphs.vocabulary))).reshape(len(graphs), -1)
    parts = [labels.astype(float)]
    if table.name != "nasbench201":  # there the places fix the edges
        upper = np.triu_indices(graphs.num_nodes, 1)
        parts.append(graphs.adjacency[:, upper[0], upper[1]].astype(float))
    if proxies:
        for values in graphs.proxies.values():
            ranks = pd.Series(values).rank(pct=True).to_numpy()
            parts += [np.where(np.isnan(values), 0.5, ranks)[:, None], np.isnan(values)[:, None].astype(float)]
    return np.concatenate(parts, 1)


def runs(table: Table) -> list[np.ndarray]:
    """Test accuracies of single training runs of the same cells, where the full table is at hand."""
    file = SHARED / "data" / "nasbench201.csv.gz"
    if not file.exists():
        return []
    columns = [f"cifar10_test_run{i}" for i in range(3)]
    known = pd.read_csv(file, usecols=["arch_string", *columns]).set_index("arch_string")
    space = nasjax.get_space("nasbench201")
    return list(known.reindex(space.encode(table.archs))[columns].to_numpy(np.float64).T)


def _validation(table: pd.DataFrame) -> np.ndarray | None:
    """Validation accuracies of the same cells, where the full table is at hand."""
    file = SHARED / "data" / "nasbench201.csv.gz"
    if not file.exists():
        return None
    known = pd.read_csv(file, usecols=["arch_index", "cifar10_valid"]).set_index("arch_index")["cifar10_valid"]
    return known.reindex(table["arch_index"]).to_numpy(np.float64)
