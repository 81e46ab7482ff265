"""What launch.grasp reads: a table of labelled architectures, their graphs, groups and proxies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import nasjax
from nasjax import correlation, grasp
from nasjax.cli import accuracies, common, score
from nasjax.cli.common import nearest
from nasjax.data import proxy_tables
from nasjax.types import InputError

COSTS = ("params", "flops")  # counted, and in no need of a table


class Labelled(NamedTuple):
    """A table of architectures.

    Attributes:
      space: search space.
      archs: official encodings, length n.
      graphs: of the architectures, with the proxies that were asked for.
      targets: column -> numbers [n].
      groups: [n], equal for architectures of the same function.
      grouped_by: what the groups are.
    """

    space: Any
    archs: list[str]
    graphs: grasp.Graphs
    targets: dict[str, np.ndarray]
    groups: np.ndarray
    grouped_by: str


def make_space(config: Any, column: str = "", **further: Any) -> Any:
    """The space that a configuration names.

    Args:
      config: has ``space``, ``space_options`` and ``table``.
      column: of a benchmark, whose space options hold where ``space_options`` does not say another.
      **further: options that count before both.

    Returns:
      the space.

    Raises:
      InputError: unknown space or option.
    """
    trained = accuracies.space_options(config.table, column) if column else {}
    return nasjax.get_space(config.space, **trained | score.pairs("space_options", config.space_options) | further)


def read(config: Any, columns: Sequence[str], proxies: Sequence[str]) -> Labelled:
    """Reads the table.

    Args:
      config: has ``space``, ``space_options``, ``table``, ``scores``, ``groups`` and ``skip``, ``drop_dead``.
      columns: targets that are needed.
      proxies: proxies that are needed.

    Returns:
      rows whose targets are all numbers.

    Raises:
      InputError: a column is missing, or no row is left.
    """
    table = accuracies.load(config.table, config.space)
    space = make_space(config, columns[0])
    for name in columns:
        if name not in table.columns:
            raise InputError(f"--table={config.table} has no column {name!r}. "
                             + nearest(name, [str(c) for c in table.columns if c != "arch"]))  # fmt: skip
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise InputError(f"column {name!r} of {config.table} holds no numbers; allowed: accuracies or the like")
    everything = len(table)
    table = table.dropna(subset=list(columns)).reset_index(drop=True)
    if not len(table):
        raise InputError(f"no row of {config.table} has numbers in {', '.join(columns)}")
    if len(table) < everything:
        common.note(f"{everything - len(table):,} of {everything:,} rows of {config.table} hold no number in"
                    f" {' or '.join(columns)} and are left out.")  # fmt: skip
    for name in columns:
        infinite = np.flatnonzero(~np.isfinite(table[name].to_numpy(np.float64)))
        if len(infinite):
            raise InputError(f"column {name!r} of {config.table} is infinite for {len(infinite)} architectures, such as"
                             f" {table['arch'].iloc[infinite[0]]}; allowed: finite numbers; do: leave them out")
    archs = [str(text) for text in table["arch"]]
    population = decoded(space, archs, config.table)
    groups, grouped_by = groups_of(config, table, space, population)
    encoding = grasp.EncodeConfig(drop_dead=config.drop_dead, skip=config.skip)
    graphs = grasp.encode(space, population, config=encoding)
    found = proxy_values(config, space, population, archs, groups, proxies)
    targets = {name: table[name].to_numpy(np.float64) for name in columns}
    return Labelled(space, archs, graphs.with_proxies(found), targets, groups, grouped_by)


def decoded(space: Any, archs: Sequence[str], table: str) -> Any:
    """The population that a table names.

    Args:
      space: search space.
      archs: encodings.
      table: where they stand, for the message.

    Returns:
      the population.

    Raises:
      InputError: one is none of the space; the message says the first, and how many of them are not.
    """
    try:
        return space.decode(list(archs))
    except InputError:
        wrong = []
        for text in archs:
            try:
                space.decode([text])
            except InputError as error:
                wrong.append(str(error))
        if not wrong:
            raise
        raise InputError(f"--table={table}: {len(wrong):,} of {len(archs):,} architectures are none of"
                         f" --space={space.name}. The first: {wrong[0]}") from None  # fmt: skip


def graphs_by_column(config: Any, data: Labelled, columns: Sequence[str]) -> dict[str, grasp.Graphs]:
    """The graphs of each data set, encoded by a space with its options: those of a benchmark's table, and those given.

    Args:
      config: has ``column_options``, ``space_options`` and how to encode.
      data: the table.
      columns: data sets.

    Returns:
      column -> graphs.

    Raises:
      InputError: an option of a column that is not there, or of another form.
    """
    given: dict[str, dict[str, Any]] = {column: {} for column in columns}
    for part in (part.strip() for part in config.column_options.split(";") if part.strip()):
        column, sign, text = (word.strip() for word in part.partition(":"))
        if not sign or column not in given:
            raise InputError(f"--column_options={config.column_options}: {part!r} is not of the form column:name=value"
                             f" with one of the columns {', '.join(columns)}.")  # fmt: skip
        given[column] = score.pairs("column_options", text)
    found = {}
    encoding = grasp.EncodeConfig(drop_dead=config.drop_dead, skip=config.skip)
    for column, options in given.items():
        space = make_space(config, column, **options)
        if space == data.space:
            found[column] = data.graphs
            continue
        graphs = grasp.encode(space, space.decode(data.archs), config=encoding)
        found[column] = graphs.with_proxies({**data.graphs.proxies, **data.graphs.node_proxies})
    return found


def groups_of(config: Any, table: pd.DataFrame, space: Any, population: Any) -> tuple[np.ndarray, str]:
    """Groups of functional duplicates, by a column or by the canonical form.

    Args:
      config: has ``groups``.
      table: the table.
      space: search space.
      population: its architectures.

    Returns:
      int [n], and what they are.

    Raises:
      InputError: there is no such column.
    """
    name = config.groups
    if not name and "iso_group" in table.columns:
        name = "iso_group"
    if not name:
        return grasp.groups_of(space, population), "canonical form"
    if name not in table.columns:
        raise InputError(f"--groups={name}: {nearest(name, [str(c) for c in table.columns])}")
    unknown = int(table[name].isna().sum())
    if unknown:
        raise InputError(f"--groups={name}: {unknown:,} of {len(table):,} rows of {config.table} name no group. Give"
                         " each architecture one, or leave --groups out to group by the canonical form.")  # fmt: skip
    return pd.factorize(table[name])[0], name


def proxy_values(
    config: Any, space: Any, population: Any, archs: Sequence[str], groups: np.ndarray, names: Sequence[str]
) -> Mapping[str, np.ndarray]:
    """Proxies of architectures: costs are counted, others read from ``--scores``, also of a duplicate.

    Args:
      config: has ``scores``.
      space: search space.
      population: architectures.
      archs: their encodings.
      groups: of duplicates.
      names: proxies that are needed.

    Returns:
      name -> float64 [n], NaN where unknown.

    Raises:
      InputError: a proxy is in no table, or unknown for every architecture.
    """
    found: dict[str, np.ndarray] = {}
    others = [name for name in names if name not in COSTS]
    if "params" in names:
        found["params"] = np.asarray(space.num_params(population), np.float64)
    if "flops" in names:
        found["flops"] = np.asarray(space.flops(population), np.float64)
    if not others:
        return found
    if not config.scores:
        raise InputError(f"--scores is missing: where the proxies {', '.join(others)} are read from. Name a built-in"
                         f" table ({', '.join(proxy_tables.names())}), a CSV file with a column arch, or a run of"
                         " launch.score.")  # fmt: skip
    scores = _scores(config.scores, config.space)
    for name in others:
        if name not in scores.columns:
            raise InputError(f"--scores={config.scores} has no column {name!r}. "
                             + nearest(name, [str(c) for c in scores.columns if c != "arch"]))  # fmt: skip
    by_arch = scores.drop_duplicates("arch").set_index("arch")[others].reindex(list(archs))
    # A duplicate computes the same function, so its score stands in.
    by_group = by_arch.groupby(groups).transform("first")
    filled = by_arch.fillna(by_group)
    for name in others:
        values = filled[name].to_numpy(np.float64, copy=True)
        values[~np.isfinite(values)] = np.nan
        if np.isnan(values).all():
            raise InputError(f"--scores={config.scores} knows {name!r} for none of the {len(archs)} architectures; do: "
                             "check that the spaces agree")  # fmt: skip
        found[name] = values
    return found


def _scores(source: str, space: str) -> pd.DataFrame:
    """Scores with the column arch, NaN where invalid."""
    if source in proxy_tables.names():
        found = proxy_tables.load(source)
        if found.space != space:
            raise InputError(f"--scores={source} holds architectures of {found.space}, and --space is {space}.")
        return found.table
    return correlation.mask_invalid(correlation.read_scores(source))
