"""docs/cli.md says what the commands take, and every command can be called in two ways."""

import importlib.util
import inspect
import pathlib
import re
from unittest import mock

import nasjax_commands

ROOT = pathlib.Path(__file__).resolve().parents[1]
LAUNCHED = sorted(path.stem for path in (ROOT / "launch").glob("[a-z]*.py"))


def test_every_command_is_in_the_page():
    spec = importlib.util.spec_from_file_location("make_cli_page", ROOT / "scripts" / "make_cli_page.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    text = maker.PAGE.read_text(encoding="utf-8")
    assert maker.page(text) == text, "flags have changed; do: python scripts/make_cli_page.py"
    for name in LAUNCHED:
        assert f"## launch.{name}\n" in text and f"(#launch{name})" in text
        _, config, _ = maker.configuration(name)
        for flag in maker.flags(config):
            assert flag in text or flag.partition("=")[0] in text


def test_every_command_has_a_script_that_runs_the_same():
    scripts = re.findall(r'"(nasjax-[a-z-]+) = nasjax_commands:([a-z_]+)"', (ROOT / "setup.py").read_text())
    assert [name for _, name in scripts] == sorted(nasjax_commands.COMMANDS) == LAUNCHED
    for script, name in scripts:
        assert script == f"nasjax-{name.replace('_', '-')}"
        shim = (ROOT / "launch" / f"{name}.py").read_text(encoding="utf-8")
        assert f"    nasjax_commands.{name}()\n" in shim
        with mock.patch.object(nasjax_commands, "start") as start:
            getattr(nasjax_commands, name)()
        start.assert_called_once_with(name)
        assert f"``{script}``" in inspect.getdoc(getattr(nasjax_commands, name))


def test_each_starts_the_run_of_its_module():
    begun = []
    module = mock.Mock(run=lambda: begun.append(1))
    with (
        mock.patch.object(nasjax_commands.importlib, "import_module", return_value=module) as found,
        mock.patch.object(nasjax_commands.signal, "signal"),
    ):
        nasjax_commands.start("score")
    found.assert_called_once_with("nasjax.cli.score")
    assert begun == [1]
