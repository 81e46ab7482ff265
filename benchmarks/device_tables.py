"""Markdown tables of what `benchmarks.device` keeps."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

# One proxy after another in PyTorch: forward+backwards of the suite, as its codes take them.
TORCH_PASSES = 16
OTHERS = "PyTorch, one after another"  # the row of their time, where it was measured


def markdown(found: dict[str, Any]) -> str:
    """All tables of a file.

    Args:
      found: what `benchmarks.device` has written.

    Returns:
      Markdown.
    """
    device = found["device"]
    torch = f", PyTorch {device['torch']}" if device.get("torch") else ""
    parts = [
        f"## {device['kind']}\n\n{device['summary']}; {device['processor']}, {device['cores']} cores, "
        f"{device['memory_gib']} GiB; jax {device['jax']}, Python {device['python']}{torch}; {device['date']}."
    ]
    for name, section in found["sections"].items():
        title = (
            f"### {name}\n\n`{section['command']}`, {section['seconds']:.0f} s, load before {section['load_before']}"
        )
        parts.append(f"{title}\n\n{TABLES[name](section['result'])}")
    return "\n\n".join(parts)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; numbers get three digits, None a dash."""
    lines = [list(head), ["---"] * len(head), *([text(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def text(cell: Any) -> str:
    """A cell."""
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}" if abs(cell) >= 1e-3 else f"{cell:.1e}"
    return str(cell)


def proxies(found: dict[str, Any]) -> str:
    """Architectures a second, and the suite together against one after another."""
    rows = found["rows"]
    torch = rows.get("PyTorch forward+backward", {}).get("seconds")
    others = rows.get(OTHERS, {}).get("proxies", {})
    body = [
        [name.strip(), 1 / row["seconds"], row["seconds"], torch and torch / row["seconds"], row["compile"]]
        + [others.get(name)] * bool(others)
        for name, row in rows.items()
    ]
    head = ["", "architectures/s", "s", "PyTorch forward+backward / this", "compile s"]
    shown = table(head + ["the same in PyTorch, s"] * bool(others), body)
    alone = [row["seconds"] for name, row in rows.items() if name in found_proxies(rows)]
    if "all together" in rows:
        together = rows["all together"]["seconds"]
        shown += f"\n\nTogether {sum(alone) / together:.1f} times faster than one after another here"
        if OTHERS in rows:
            shown += f", {rows[OTHERS]['seconds'] / together:.2f} times faster than one after another in PyTorch"
        elif torch and len(alone) == TORCH_PASSES:
            shown += f", {TORCH_PASSES * torch / together:.1f} times {TORCH_PASSES} forward+backwards in PyTorch"
        shown += "."
    for name, spent in found["start"].items():
        shown += f"\n\n{name.capitalize()}: first score {spent['total']:.1f} s after the start of Python."
    return shown


def found_proxies(rows: dict[str, Any]) -> list[str]:
    """Names of the rows that are proxies alone."""
    others = ("all together", OTHERS)
    return [n for n in rows if n not in others and "forward+backward" not in n and not n.startswith(" ")]


def spaces(found: dict[str, Any]) -> str:
    """A row a space."""
    body = []
    for name, row in found["rows"].items():
        torch = row["torch"] or {}
        line: list[Any] = [name, torch.get("median")]
        for what in ("forward+backward", "lswag", "all"):
            seconds = row[what]["median"]
            line.append(text(seconds) + (f" ({seconds / torch['median']:.2f})" if torch else ""))
        line.append("/".join(f"{row[what]['compile']:.0f}" for what in ("forward+backward", "lswag", "all")))
        peaks = [torch.get("peak_gib"), *(row[w]["later_peak_gib"] for w in ("forward+backward", "lswag", "all"))]
        line.append("/".join("-" if peak is None else f"{peak:.2f}" for peak in peaks))
        line.append(f"{len(row['all']['proxies'])}")
        body.append(line)
    head = ("space, seconds an architecture", "PyTorch", "forward+backward", "lswag", "all proxies", "compile s",
            "peak GiB: PyTorch/forward+backward/lswag/all", "proxies")  # fmt: skip
    return table(head, body) + "\n\nIn brackets: times PyTorch's forward+backward."


def growth(found: dict[str, Any]) -> str:
    """A row a setting."""
    body = []
    for part, values in found["rows"].items():
        for value, row in values.items():
            if "skipped" not in row:
                body.append((part, value, row["per_second"], row["first"], row["later_peak_gib"]))
    return table(("varied", "value", "architectures/s", "first call s", "peak GiB"), body)


def conv(found: list[dict[str, Any]]) -> str:
    """A row a layer and place."""
    body = [
        (r["case"], r["context"], r["nasjax_ms"], r["lax_ms"], f"{r['lax_ms'] / r['nasjax_ms']:.1f}") for r in found
    ]
    return table(("layer", "where", "nasjax ms", "lax ms", "lax / nasjax"), body)


def grasp(found: dict[str, Any]) -> str:
    """Fit and rank."""
    body = []
    for name in ("dense", "jraph"):
        if name in found:
            own = found[name]
            body.append((f"nasjax {name}, with compiling", own["first_fit"], own["first_rank"], own["tau"]))
            body.append((f"nasjax {name}, again", own["fit"], own["rank"], own["tau"]))
    if found["torch"]:
        torch = found["torch"]
        body.append((f"PyTorch {torch['torch']}", torch["fit"], torch["rank"], torch["tau"]))
    return table(("", "fit s", f"rank {found['archs']:,}, s", "Kendall tau"), body)


def das(found: dict[str, Any]) -> str:
    """Cell and step."""
    body = []
    for name, ms in found["nasjax_ms"].items():
        plain, shared = (found.get(key, {}).get(name) for key in ("torch_ms", "torch_shared_ms"))
        body.append((name, ms, plain, plain and plain / ms, shared, shared and shared / ms))
    head = ("", "nasjax ms", "PyTorch ms", "PyTorch / nasjax", "PyTorch sharing levels ms", "that / nasjax")
    parts = ", ".join(f"{name} {ms:.1f}" for name, ms in found["parts_ms"].items())
    peak = f"{found['peak_gib']:.2f} GiB here"
    if "torch_peak_gib" in found:
        peak += f", {found['torch_peak_gib']:.2f} GiB in PyTorch"
    return table(head, body) + f"\n\nForward with one operation alone, ms: {parts}. Peak memory: {peak}."


def training(found: dict[str, Any]) -> str:
    """Steps a second."""
    body: list[tuple[str, Any]] = []
    if "one" in found:
        one = found["one"]
        body.append(("nasjax, one network", 1 / statistics.median(one["seconds"])))
        for when in ("before", "after"):
            if f"torch_{when}" in one:
                body.append((f"PyTorch, {when}", 1 / statistics.median(one[f"torch_{when}"])))
    if "many" in found:
        many = found["many"]
        steps = many["networks"] * many["steps"]
        body.append((f"{many['networks']} networks in one program", steps / statistics.median(many["together"])))
        body.append(("the same in turn", steps / statistics.median(many["in_turn"])))
    return table(("", "steps/s"), body)


def whole(found: dict[str, Any]) -> str:
    """Whole populations."""
    body = []
    for part, row in found["rows"].items():
        for precision, run in row["runs"].items():
            body.append((part, precision, run["archs"], run["with_compile"], run["without"], run["peak_gib"]))
    shown = table(("population", "precision", "architectures", "s with compiling", "s again", "peak GiB"), body)
    for part, row in found["rows"].items():
        if "spearman" in row:
            pairs = ", ".join(f"{name} {value:.4f}" for name, value in row["spearman"].items())
            shown += f"\n\n{part}: Spearman of the two precisions: {pairs}."
    return shown


TABLES: dict[str, Callable[[Any], str]] = {
    "suite": proxies, "proxies": proxies, "spaces": spaces, "growth": growth, "conv": conv, "grasp": grasp, "das": das,
    "training": training, "whole": whole,
}  # fmt: skip
