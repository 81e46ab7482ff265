"""What launch.libra works on: a table of proxies and accuracies, with scores of one's own joined to it."""

from __future__ import annotations

import json
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nasjax import correlation, records
from nasjax.cli import accuracies
from nasjax.cli.options import nearest
from nasjax.data import proxy_tables, tables
from nasjax.proxies import registry
from nasjax.search.selection import is_proxy, proxy_name
from nasjax.spaces import registry as spaces
from nasjax.types import InputError

_STORES = (".sqlite", ".sqlite3", ".db")
_KEYS = ("arch", "arch_index", "iso_group")


class Input(NamedTuple):
    """A table as ``nasjax.search.compare`` takes it.

    Attributes:
      scores: proxy -> float64 [n], NaN where there is no valid score.
      accuracies: float64 [n].
      num_params: float64 [n], or None where nothing tells them.
      target: name of the accuracies.
      space: search space; empty when unknown.
      source: where it came from.
      spelled: column -> the proxy as ``launch.score --proxies`` takes it, options included.
      notes: remarks for the user.
      trusted: whether NaN only stands for what is known to be no score, and may be left out.
    """

    scores: dict[str, np.ndarray]
    accuracies: np.ndarray
    num_params: np.ndarray | None
    target: str
    space: str
    source: str
    spelled: dict[str, str]
    notes: list[str]
    trusted: bool


def read(
    table: str, scores: str, *, accuracy: str = "", proxies: Sequence[str] = (), space: str = "", prefer: str = "table"
) -> Input:
    """Reads and joins.

    Args:
      table: a built-in table of proxies or of accuracies, the table of launch.benchmark, or a CSV file with the columns
        arch, one of accuracies, and one a proxy.
      scores: directory of a run of launch.score, its store or its scores.csv; empty for none.
      accuracy: column to compare with; the usual one of a built-in table by default.
      proxies: columns to use; all by default.
      space: search space of a file; that of the run by default.
      prefer: "table" or "scores": whose column is taken where both have a proxy.

    Returns:
      The joined table.

    Raises:
      InputError: no such table, column, store or space, nothing in common, or no proxy.
    """
    if space and space not in spaces.names():
        raise InputError(f"--space={space}: {nearest(space, spaces.names())}")
    own, spelled, run_space = _scores(scores) if scores else (None, {}, None)
    built_in = table in (*proxy_tables.names(), *tables.BUILTIN)
    frame, known, columns, found_space = _table(table, space or run_space or "")
    if space:
        _check_space(table, frame, space, found_space, built_in=built_in)
    notes: list[str] = []
    frame = _numeric(frame, table, [*proxies, accuracy], notes)
    target = _target(accuracy, known, frame, table)
    columns = [column for column in columns if column in frame and column != target]
    mine: list[str] = []
    if own is not None:
        if built_in:
            frame = _encoded(frame, found_space)
        frame, columns, mine = _joined(frame, target, columns, own, prefer, notes)
    params = next((column for column in columns if proxy_name(column) == "params"), None)
    used = _chosen(proxies, columns)
    if not used:
        raise InputError(f"--table={table} holds no scores beside {target}; give a run of launch.score by --scores, or "
                         "a table with a column for each proxy.")  # fmt: skip
    strangers = [column for column in used if not is_proxy(spelled.get(column, column))]
    if strangers:
        listed = ", ".join(strangers)
        notes.append(f"Taken as proxies, though nasjax has none of these names: {listed}. --proxies chooses.")
    frame = _valid(frame, [column for column in mine if column in used], notes)
    numbers = {column: frame[column].to_numpy("float64") for column in used}
    num_params = frame[params].to_numpy("float64") if params else _counted(found_space, list(frame["arch"]), notes)
    source = f"{table} with {scores}" if scores else table
    return Input(
        numbers, frame[target].to_numpy("float64"), num_params, target, found_space, source,
        {column: spelled.get(column, proxy_name(column)) for column in used}, notes,
        built_in or accuracies.trained(table) is not None,
    )  # fmt: skip


def _table(name: str, space: str) -> tuple[pd.DataFrame, tuple[str, ...], list[str], str]:
    """The table, its accuracies (none known for a file), its columns of scores, and its space."""
    if name in proxy_tables.names():
        found = proxy_tables.load(name)
        return found.table, found.accuracies, list(found.proxies), found.space
    if name in tables.BUILTIN:
        frame = tables.load(name).drop(columns=["arch_index", "iso_group"])
        return frame, tuple(frame.columns[1:]), [], name
    if not any(mark in name for mark in ("/", "\\", ".")):
        raise InputError(f"--table={name}: {nearest(name, (*proxy_tables.names(), *tables.BUILTIN))} Or a CSV file "
                         "with the column arch.")  # fmt: skip
    own = accuracies.trained(name)
    if own is not None:
        if space not in ("", own.space):
            raise InputError(f"--table={name} holds architectures of {own.space}, not of {space}.")
        finals = [c for c in own.final if own.frame[c].notna().any()]
        others = [c for c in own.frame.columns[3:] if c not in finals]
        return own.frame, (*finals, *others), ["params", "flops"], own.space
    frame = accuracies.load(name, space or None)
    return frame, (), [c for c in frame.columns if c not in _KEYS], space


def _check_space(name: str, frame: pd.DataFrame, space: str, found_space: str, *, built_in: bool) -> None:
    """Refuses a table of another space than the one that was named."""
    if built_in and space != found_space:
        raise InputError(f"--space={space}: the table {name} is one of {found_space}. Leave --space out.")
    known = spaces.get_space(space)
    for text in [] if built_in else frame["arch"]:
        try:
            known.decode([text])
        except InputError as error:
            raise InputError(f"--space={space}: {name} holds other architectures, {text!r} for one: {error}") from None


def _numeric(frame: pd.DataFrame, name: str, needed: Sequence[str], notes: list[str]) -> pd.DataFrame:
    """The columns of numbers; a proxy that holds something else is an error, other columns are left out."""
    other = [c for c in frame.columns if c not in _KEYS and not pd.api.types.is_numeric_dtype(frame[c])]
    for column in other:
        if column in needed or is_proxy(column):
            numbers = pd.to_numeric(frame[column], errors="coerce")
            bad = frame.loc[numbers.isna() & frame[column].notna(), column]
            example = f", such as {str(bad.iloc[0])!r}" if len(bad) else ""
            raise InputError(f"{name}: column {column} holds {len(bad)} values that are no numbers{example}. Correct or"
                             " rename it.")  # fmt: skip
    if other:
        notes.append(f"Columns without numbers are left out: {', '.join(other)}.")
    return frame.drop(columns=other)


def _target(asked: str, known: tuple[str, ...], frame: pd.DataFrame, table: str) -> str:
    allowed = known or tuple(c for c in frame.columns if c not in _KEYS)
    if not asked and known:
        return known[0]
    if asked not in allowed:
        said = f"--accuracy={asked}" if asked else "--accuracy is missing: which column of the table holds accuracies?"
        raise InputError(f"{said} {table}: {nearest(asked, allowed)}")
    return asked


def _encoded(frame: pd.DataFrame, space: str) -> pd.DataFrame:
    """The table in the space's own encoding; rows that then name one architecture are one, with mean numbers."""
    known = spaces.get_space(space)
    frame = frame.assign(arch=known.encode(known.decode(list(frame["arch"]))))
    return frame if frame["arch"].is_unique else frame.groupby("arch", sort=False).mean().reset_index()


def _joined(
    frame: pd.DataFrame, target: str, columns: list[str], own: pd.DataFrame, prefer: str, notes: list[str]
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """The rows that both have, with the columns of both, a proxy in both once; and the columns of one's own."""
    mine = [c for c in own.columns if c != "arch"]
    both = {proxy_name(c) for c in columns} & {proxy_name(c) for c in mine}
    if both:
        notes.append(f"In the table and in the scores: {', '.join(sorted(both))}; taken from the {prefer} (--prefer).")
    if prefer == "table":
        mine = [c for c in mine if proxy_name(c) not in both]
    else:
        columns = [c for c in columns if proxy_name(c) not in both]
    joined, missing = tables.join(own[["arch", *mine]], frame[["arch", target, *columns]])
    counted = f"{len(own):,} architectures scored, {len(joined):,} of them in the table"
    notes.append(f"{counted}, {missing:,} not." if missing else f"{counted}.")
    return joined, [*columns, *mine], mine


def _valid(frame: pd.DataFrame, columns: list[str], notes: list[str]) -> pd.DataFrame:
    """The rows that launch.score has a valid score for, by every proxy that is used."""
    bad = frame[columns].isna()
    if bad.any(axis=None):
        listed = ", ".join(f"{name} {int(count):,}" for name, count in bad.sum().items() if count)
        notes.append(f"Architectures without a valid score are left out: {listed}.")
    return frame[~bad.any(axis=1)].reset_index(drop=True)


def _chosen(asked: Sequence[str], columns: list[str]) -> list[str]:
    """The columns asked for, by their own or the library's name; all by default."""
    names = {proxy_name(column): column for column in columns} | {column: column for column in columns}
    for name in asked:
        if name not in names and proxy_name(name) not in names:
            raise InputError(f"--proxies: no column {name}. {nearest(name, columns)}")
    return list(dict.fromkeys(names.get(name) or names[proxy_name(name)] for name in asked)) or columns


def _counted(space: str, archs: list[str], notes: list[str]) -> np.ndarray | None:
    """Parameters by the space's own count, where the table has no column of them."""
    if not space:
        return None
    known = spaces.get_space(space)
    notes.append(f"Numbers of parameters are counted by {space}.")
    return np.asarray([float(known.num_params(arch)) for arch in known.decode(archs)])


def _scores(source: str) -> tuple[pd.DataFrame, dict[str, str], str | None]:
    """Scores of a run without the invalid ones, how its columns are spelled as proxies, and its space."""
    path = pathlib.Path(source)
    home = path if path.is_dir() else path.parent
    spelled, space = _of_config(home), accuracies.space_of(home)
    if path.suffix in _STORES or (path.is_dir() and not (path / correlation.SCORES_FILE).is_file()):
        with tempfile.TemporaryDirectory() as folder, records.Store.open(path, read_only=True) as store:
            written = pathlib.Path(folder) / correlation.SCORES_FILE
            store.write_csv(written)
            frame = _masked(correlation.read_scores(written))
            spelled, space = _of_store(store, list(frame.columns), space)
        titles = {column: text for column, text in spelled.items() if "@" in column}
        if len(set(titles.values()) - set(frame.columns)) == len(titles):  # contexts that differ in options alone
            frame = frame.rename(columns=titles)
            spelled = {titles.get(column, column): text for column, text in spelled.items()}
    else:
        frame = _masked(correlation.read_scores(path))
    return frame, spelled, space


def _masked(frame: pd.DataFrame) -> pd.DataFrame:
    """Column arch and the scores, NaN where one may not be ranked."""
    return correlation.mask_invalid(frame)[["arch", *correlation.proxy_columns(frame)]]


def _of_config(workdir: pathlib.Path) -> dict[str, str]:
    """Column -> proxy with the options that ``launch.score`` does not take by itself; empty where nothing tells."""
    try:
        config: Any = json.loads((workdir / records.CONFIG_FILENAME).read_text(encoding="utf-8"))
        space = spaces.get_space(config["space"]) if config["space"] in spaces.names() else None
        proxies = registry.parse(config["proxies"], preset=config["preset"], space=space)
    except (OSError, ValueError, KeyError, TypeError):  # InputError is a ValueError
        return {}
    return {
        column: _spelled(proxy.name, proxy.options)
        for column, proxy in zip(registry.column_names(proxies), proxies, strict=True)
    }


def _of_store(store: records.Store, columns: list[str], space: str | None) -> tuple[dict[str, str], str | None]:
    """The same from what a store says of its contexts, and the space that it names."""
    found: dict[str, str] = {}
    for context, text in store.contexts():
        described = json.loads(text)
        name, options = described.get("proxy"), described.get("proxy_options")
        if name not in registry.names() or not isinstance(options, dict):
            continue
        space = described.get("space") if described.get("space") in spaces.names() else space
        pairs = tuple((key, tuple(v) if isinstance(v, list) else v) for key, v in sorted(options.items()))
        title = f"{name}@{context[:8]}"
        found[title if title in columns else name] = _spelled(name, pairs)
    return found, space


def _spelled(name: str, options: tuple[tuple[str, Any], ...]) -> str:
    proxy = registry.get(name)
    return proxy._replace(options=tuple(option for option in options if option not in proxy.options)).label
