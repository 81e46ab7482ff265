"""Commands that the documentation names: the flags exist, and values are of their kind."""

import dataclasses
import importlib
import re
import shlex

import pytest

from nasjax.cli import options

PAGES = ("*.md", "docs/*.md")


def documents(root):
    """The text of every page, with that of docs/examples left out."""
    return {path.relative_to(root): path.read_text(encoding="utf-8") for pages in PAGES for path in root.glob(pages)}


def commands(text, package):
    """Commands in a page, as words: in blocks, over lines with a backslash, or within a sentence.

    Those of a package, as ``python -m launch.score``; of "" the installed ones, as ``nasjax-score``.
    """
    found = []
    start = rf"python -m {package}\.(\w+)" if package else r"(?<![\w/-])nasjax-([a-z-]+)(?![\w*.-])"
    for name, rest in re.findall(rf"{start}((?: [^`\n]*)?)", re.sub(r" *\\\n\s*", " ", text)):
        if rest.count('"') % 2:  # itself part of a text in quotes, as gcloud takes it
            rest = rest.rpartition('"')[0]
        words = shlex.split(rest, comments=True)
        end = next((i for i, word in enumerate(words) if word in ("|", "&&", ">")), len(words))
        found.append((name, words[:end]))
    return found


def config_of(module):
    """The class of options of a command."""
    own = [c for c in vars(module).values() if getattr(c, "__module__", "") == module.__name__]
    (found,) = [c for c in own if dataclasses.is_dataclass(c) and "run_flags" in c.__dataclass_fields__]
    return found


def test_every_command_of_launch_is_understood(root):
    count = 0
    for page, text in documents(root).items():
        installed = [(name.replace("-", "_"), rest) for name, rest in commands(text, "")]
        for name, rest in commands(text, "launch") + installed:
            if name.isupper():  # a placeholder
                continue
            module = importlib.import_module(f"nasjax.cli.{name}")
            words = [w for w in rest if w.startswith("-") and not w.startswith(("--flagfile", "--helpshort"))]
            required = [] if any(w.startswith("--workdir") for w in words) else ["--workdir=x"]
            try:
                options.parse(config_of(module), [*words, *required])
            except Exception as error:
                pytest.fail(f"{page}: python -m launch.{name} {' '.join(rest)}\n{error}")
            count += 1
    assert count > 60


def test_every_benchmark_exists(root):
    for page, text in documents(root).items():
        for name, _ in commands(text, "benchmarks"):
            assert (root / "benchmarks" / f"{name}.py").is_file(), f"{page} names benchmarks.{name}"


def test_a_working_directory_belongs_to_one_command(root):
    """Who types what the pages say, one after the other, is not told that a directory holds another run.

    Left out are examples of one command each, a record, and a page that is generated.
    """
    seen = {}
    for page, text in documents(root).items():
        if page.stem in ("cli", "results", "decisions", "searching"):
            continue
        for name, rest in commands(text, "launch") + commands(text, ""):
            own = tuple(sorted(w for w in rest if not w.startswith(("--coordinator", "--num_proc", "--process_id"))))
            where = next((w for w in own if w.startswith("--workdir=")), None)
            if where and name != "correlate" and not any(w.startswith("--flagfile") for w in own):
                known = seen.setdefault(where, (name, own, page))
                assert known[:2] == (name, own), f"{where} is used by two commands, in {known[2]} and {page}"
    assert len(seen) > 30
