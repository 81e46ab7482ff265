"""Working directories: one configuration each, and tables that are replaced in one step."""

import json
import subprocess
import sys
import textwrap

import pytest

from nasjax import records
from nasjax.types import InputError


def start(code, *args):
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), *map(str, args)], stdout=subprocess.PIPE,
                            text=True)


CONFIG = {"space": "nasbench201", "seed": 0, "interval": (2, 7), "engine": "auto"}


def test_claim_writes_the_configuration(tmp_path):
    assert records.claim_workdir(tmp_path / "w", CONFIG) == tmp_path / "w"
    assert json.loads((tmp_path / "w" / "config.json").read_text()) == {**CONFIG, "interval": [2, 7]}
    assert [f.name for f in (tmp_path / "w").iterdir()] == ["config.json"]


def test_claim_again_with_the_same_configuration(tmp_path):
    records.claim_workdir(tmp_path, CONFIG)
    records.claim_workdir(str(tmp_path), dict(reversed(CONFIG.items())))
    records.claim_workdir(tmp_path, {**CONFIG, "engine": "host"}, ignore=["engine"])


def test_a_long_list_of_differences_is_cut(tmp_path):
    records.claim_workdir(tmp_path, {f"option{i:02}": "x" * 500 for i in range(30)})
    with pytest.raises(InputError) as error:
        records.claim_workdir(tmp_path, CONFIG)
    lines = str(error.value).splitlines()
    assert len(lines) == 11 and max(map(len, lines)) < 250 and lines[-2] == "  and 26 more"


def test_claim_of_another_configuration_lists_what_differs(tmp_path):
    records.claim_workdir(tmp_path, CONFIG)
    changed = {**CONFIG, "seed": 3, "alpha": None}
    del changed["interval"]
    with pytest.raises(InputError) as error:
        records.claim_workdir(tmp_path, changed)
    message = str(error.value)
    assert "seed: there 0, now 3" in message
    assert "interval: there [2, 7], now absent" in message and "alpha: there absent, now not given" in message
    assert "space" not in message and "--workdir" in message and "same flags" in message
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == 0


@pytest.mark.parametrize("content", ["", "{", "[1]"])
def test_claim_of_a_damaged_configuration(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match="damaged or not written by nasjax"):
        records.claim_workdir(tmp_path, CONFIG)


def test_claim_of_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="as a working directory"):
        records.claim_workdir(tmp_path / "file", CONFIG)


def test_claims_race_and_one_wins(tmp_path):
    code = """
        import sys
        from nasjax.records import claim_workdir
        from nasjax.types import InputError
        try:
            claim_workdir(sys.argv[1], {"seed": int(sys.argv[2])})
            print("mine")
        except InputError:
            print("refused")
    """
    claims = [start(code, tmp_path, seed) for seed in range(3)]
    answers = [claim.communicate(timeout=60)[0].strip() for claim in claims]
    assert sorted(answers) == ["mine", "refused", "refused"]
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == answers.index("mine")


# --- tables -----------------------------------------------------------------------------------------------------------


def test_reasons_are_said_once():
    dead = "no path from input to output"
    assert records.joined_reasons([], 2) == ""
    assert records.joined_reasons([("zico", dead), ("nwot", dead)], 2) == dead
    assert records.joined_reasons([("zico", "not finite")], 2) == "zico: not finite"
    assert records.joined_reasons([("a", "x"), ("b", "y"), ("c", "x")], 4) == "a, c: x; b: y"


def test_a_table_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "scores.csv"
    good = records.Record("c", "a", "zico", 1.0, 1.0, True, "", 0.0)
    records.write_scores(path, ["a"], {"zico": {"a": good}})
    before = path.read_text()
    assert before == "arch,zico,valid,reason\na,1.0,True,\n"
    with pytest.raises((TypeError, ValueError)):
        records.write_scores(path, ["a", "b"], {"zico": {"a": good, "b": good._replace(score="three")}})
    assert path.read_text() == before
    assert [f.name for f in tmp_path.iterdir()] == ["scores.csv"]
