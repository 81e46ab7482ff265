"""The table that launch.score prints."""

from __future__ import annotations

import collections
import re
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nasjax.records import joined_reasons

TOP = 10


def show(console: Console, result: Any, *, by: str, top: int = TOP) -> None:
    """Prints the best architectures and what is wrong with the invalid ones.

    Args:
      console: where to.
      result: a ``ScoreResult``.
      by: name of the proxy that ranks.
      top: how many rows.
    """
    order = [i for i in result.ranking(by) if result.valid[by][i]][:top]
    names = [by, *(name for name in result.scores if name != by)]
    cells = {name: [number(result.scores[name][i]) for i in order] for name in names}
    archs = [result.archs[i] for i in order]
    shown = _fitting(console.width, names, cells, archs)
    if order:
        console.print(f"Best {len(order)} of {len(result.archs):,} by {by}", style="bold")
        console.print(_table(console, shown, cells, archs))
    if len(shown) < len(names):
        console.print(f"Not shown for lack of room: {', '.join(names[len(shown):])}.", style="dim", soft_wrap=True)
    invalid = reasons(result)
    if invalid:
        listed = "; ".join(f"{reason} ({count:,})" for reason, count in invalid.most_common(5))
        console.print(f"Invalid, ranked last: {sum(invalid.values()):,} of {len(result.archs):,}: {listed}.",
                      markup=False, soft_wrap=True)


def reasons(result: Any) -> collections.Counter[str]:
    """Counts why architectures are invalid.

    Args:
      result: a ``ScoreResult``.

    Returns:
      reason -> number of architectures.
    """
    names = list(result.scores)
    found: collections.Counter[str] = collections.Counter()
    for i in range(len(result.archs)):
        bad = [(name, result.reasons[name][i]) for name in names if not result.valid[name][i]]
        heads = {reason.partition("; ")[0] for _, reason in bad}
        if len(heads) == 1 and len(bad) == len(names):  # a dead cell, whatever else its scores are
            found[heads.pop()] += 1
        elif bad:
            told = re.sub(r"(\w+): (?=\1 is )", "", joined_reasons(bad, len(names)))  # "nwot: nwot is -inf"
            found[told] += 1
    return found


def number(value: float) -> str:
    """Writes a score for people: counts in full, anything else with four digits."""
    value = float(value)
    if value.is_integer() and 1000 <= abs(value) < 1e12:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _fitting(width: int, names: Sequence[str], cells: dict[str, list[str]], archs: Sequence[str]) -> list[str]:
    """The proxies whose columns fit beside the architecture's; at least the first."""
    room = width - 4 - max((len(part) for arch in archs for part in _parts(arch)), default=0)
    shown: list[str] = []
    for name in names:
        room -= 2 + max(len(text) for text in [name, *cells[name]])
        if shown and room < 0:
            break
        shown.append(name)
    return shown


def _table(console: Console, shown: Sequence[str], cells: dict[str, list[str]], archs: Sequence[str]) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("", justify="right", style="dim")
    for i, name in enumerate(shown):
        table.add_column(name, justify="right", no_wrap=True, style="bold cyan" if i == 0 else "")
    table.add_column("architecture", overflow="fold")
    used = 4 + sum(2 + max(len(text) for text in [name, *cells[name]]) for name in shown)
    for row, arch in enumerate(archs):
        whole = used + max(len(a) for a in archs) <= console.width
        text = arch if whole else "\n".join(_parts(arch))
        table.add_row(str(row + 1), *(cells[name][row] for name in shown), Text(text))
    return table


def _parts(arch: str) -> list[str]:
    """Pieces of a long encoding: the nodes of a cell."""
    first, *rest = arch.split("|+|")
    return [first, *(f"|{part}" for part in rest)] if not rest else [
        f"{first}|", *(f"+|{part}|" for part in rest[:-1]), f"+|{rest[-1]}"
    ]
