"""Options: one dataclass makes flags, checks, help and the record of a run."""

import dataclasses

import pytest

from nasjax.cli import options
from nasjax.types import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shared:
    seed: int = options.option(0, "Seed.", section="Shared", minimum=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example(Shared):
    where: str = options.option(None, "Directory of the run.", section="Main", required=True)
    engine: str = options.option("auto", "Engine.", section="Main", choices=("auto", "pmap", "host"))
    devices: int | None = options.option(None, "Devices.", section="Main", kind=int, minimum=1)
    rate: float = options.option(0.5, "Rate.", section="Main")
    plot: bool = options.option(True, "Draw figures.", section="Main")
    hidden: str = "not an option"


def message(*argv):
    with pytest.raises(InputError) as error:
        options.parse(Example, argv)
    return str(error.value)


def test_defaults():
    assert options.parse(Example, ["--where=x"]) == (Example(where="x"), "--where=x\n")


def test_values():
    argv = ["--where", "a b", "--engine=host", "--devices=2", "--rate=2", "--noplot", "--seed=7"]
    config, _ = options.parse(Example, argv)
    assert config == Example(where="a b", engine="host", devices=2, rate=2.0, plot=False, seed=7)


def test_given_flags_can_be_read_again(tmp_path):
    argv = ["--where=|a~0|+|b~1|;c, d", "--devices=3", "--noplot", "--rate=1e-9"]
    config, given = options.parse(Example, argv)
    (tmp_path / "run.flags").write_text("# a comment\n" + given)
    again, given_again = options.parse(Example, [f"--flagfile={tmp_path / 'run.flags'}"])
    assert again == config and given_again == given
    later, _ = options.parse(Example, [f"--flagfile={tmp_path / 'run.flags'}", "--devices=1"])
    assert later.devices == 1


@pytest.mark.parametrize("flag", ["--help", "--helpshort", "--helpfull", "-h"])
def test_help_needs_nothing_else(flag):
    assert options.parse(Example, [flag]) == (None, "")


def test_unknown_flag_offers_the_nearest():
    assert message("--where=x", "--engin=auto") == (
        "Unknown flag --engin. Did you mean --engine? --helpshort lists all flags."
    )
    assert message("--where=x", "--qqqq=1") == "Unknown flag --qqqq. --helpshort lists all flags."


def test_choices_offer_the_nearest():
    assert message("--where=x", "--engine=pmpa") == "--engine=pmpa: Did you mean pmap? Allowed: auto, pmap, host."
    assert message("--where=x", "--engine=zzz") == "--engine=zzz: Allowed: auto, pmap, host."


def test_numbers_are_checked():
    assert message("--where=x", "--devices=0") == "--devices=0: must be at least 1."
    assert message("--where=x", "--seed=-1") == "--seed=-1: must be at least 0."
    assert "--devices=two" in message("--where=x", "--devices=two")
    assert message("--where=x", "--devices=two").startswith("--devices=two: a whole number, as in 3, is needed.")
    assert message("--where=x", "--rate=fast").startswith("--rate=fast: a number, as in 0.5, is needed.")
    assert message("--where=x", "--plot=perhaps").startswith("--plot=perhaps: true or false is needed.")
    assert "--rate=fast" in message("--where=x", "--rate=fast")


def test_required_stray_and_missing():
    assert message() == "--where is missing: Directory of the run."
    assert message("--where=") == "--where is missing: Directory of the run."
    assert message("--where=x", "word").startswith("'word' is no flag; write --name=value.")
    assert "absent.flags" in message("--flagfile=absent.flags")
    assert "--where" in message("--where") or "where" in message("--where")


def test_a_flag_file_that_is_no_text(tmp_path):
    (tmp_path / "bad.flags").write_bytes(bytes(range(256)))
    for name in ("bad.flags", "none.flags", ""):
        assert "is no text file that can be read" in message(f"--flagfile={tmp_path / name}")


def test_help_text():
    text = options.help_text(Example, program="python -m launch.example", about="Does things.\n", width=80)
    assert text.startswith("Does things.\n\nUsage: python -m launch.example [--flag=value ...]\n\nMain:\n")
    assert "  --engine=TEXT       Engine. (one of auto, pmap, host; default auto)\n" in text
    assert "  --where=TEXT        Directory of the run. (required)\n" in text
    assert "  --[no]plot          Draw figures. (default true)\n" in text
    assert text.index("Main:") < text.index("Shared:") and "hidden" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_option_kinds_are_limited():
    with pytest.raises(TypeError, match="tuple"):
        options.option((), "No.", section="Main")


def test_nearest():
    assert options.nearest("zicco", ["zico", "nwot"]) == "Did you mean zico? Allowed: zico, nwot."
