"""Writes the tables of docs/cli.md from the flags of the commands: python scripts/make_cli_page.py.

What stands before the marker in the page is written by hand and kept.
"""

import importlib
import pathlib
import re
import sys
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "cli.md"
MARKER = "<!-- from here on: python scripts/make_cli_page.py -->"
sys.path.insert(0, str(ROOT))

import nasjax_commands  # noqa: E402
from nasjax.cli import common, options, program  # noqa: E402

SHARED = (common.JobConfig, common.RunConfig, common.ProcessesConfig)


def configuration(name):
    """The configuration of a command, and what a stopped run of it keeps."""
    module, seen = importlib.import_module(f"nasjax.cli.{name}"), {}
    with mock.patch.object(common, "run", lambda main, config, kept="": seen.update(config=config, kept=kept)):
        module.run()
    return module, seen["config"], seen["kept"]


def flags(config):
    """Flag -> section, default and help, as table cells."""
    found = {}
    for field, described in options.listed(config):
        kind = described.kind
        value = "" if kind is bool else {str: "=TEXT", int: "=N", float: "=X"}[kind]
        name = f"--{'[no]' if kind is bool else ''}{field.name}{value}"
        default = (
            "required" if described.required else "" if field.default in (None, "") else f"`{_default(field.default)}`"
        )
        text = described.help + (f" One of {', '.join(described.choices)}." if described.choices else "")
        found[name] = (described.section, default, re.sub(r"([|<])", r"\\\1", text))
    return found


def _default(value):
    return str(value).lower() if isinstance(value, bool) else value


def table(rows):
    """Flags with their defaults and explanations."""
    lines = ["| Flag | Default | |", "|---|---|---|"]
    return lines + [f"| `{name}` | {default} | {text} |" for name, (_, default, text) in rows.items()]


def section(name, shared):
    """What the page says of a command."""
    module, config, kept = configuration(name)
    about, _, rest = module.__doc__.strip().partition("\n\n")
    examples, _, tail = rest.partition("\n\n") if rest.startswith("Examples:") else ("", "", "")
    if not examples:
        before, _, after = rest.partition("Examples:\n")
        examples, _, tail = after.partition("\n\n")
        about = f"{about}\n\n{before.strip()}".strip()
        examples = f"Examples:\n{examples}"
    code = "\n".join(f"    {line.strip()}" if line.startswith("  python") else f"        {line.strip()}"
                     for line in examples.splitlines()[1:])  # fmt: skip
    own = {flag: row for flag, row in flags(config).items() if row != shared.get(flag)}
    common_flags = [flag.partition("=")[0] for flag in flags(config) if flag not in own]
    lines = [f"## launch.{name}", "", f"`python -m launch.{name}` or `{program.script(name)}`. {about}", "", code, ""]
    lines += [tail, ""] if tail else []
    stop = kept if isinstance(kept, str) else "with `--job=transfer` every finished data set, else nothing"
    lines += [f"A stopped run keeps: {stop or 'nothing; results are written at the end'}.", ""]
    lines += table(own)
    if common_flags:
        lines += ["", f"And the common {', '.join(f'`{flag}`' for flag in common_flags)}."]
    return "\n".join(lines)


def page(text):
    """The page with new tables."""
    shared = {flag: row for config in SHARED for flag, row in flags(config).items()}
    parts = ["## Common flags", "\n".join(table(shared)), *(section(name, shared) for name in nasjax_commands.COMMANDS)]
    return f"{text.partition(MARKER)[0]}{MARKER}\n\n" + "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
