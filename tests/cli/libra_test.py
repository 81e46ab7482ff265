"""launch.libra: what it prints, writes and refuses."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from nasjax.cli import libra
from nasjax.cli.options import parse
from nasjax.data import proxy_tables
from nasjax.proxies import registry
from nasjax.records import Record, Store
from nasjax.search import Selection
from nasjax.types import InputError


def run(*flags):
    config, given = parse(libra.LibraCommandConfig, list(flags))
    libra.main(libra.dataclasses.replace(config, run_flags=given))


def published(number=60):
    return proxy_tables.load("nasbench201_cifar10").table.dropna().sample(number, random_state=0)


@pytest.fixture
def scored(tmp_path):
    """A run of launch.score on cells of the table: good scores, a dead cell, one cell that the table lacks."""
    folder = tmp_path / "scored"
    folder.mkdir()
    rows = published()
    frame = rows[["arch"]].assign(lswag=rows["cifar10_valid"] ** 2, nwot=np.arange(60.0), valid=True, reason="")
    frame.iloc[0, 3:] = [False, "no path from input to output"]
    stranger = pd.DataFrame({"arch": ["|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"], "lswag": [1.0],
                             "nwot": [1.0], "valid": [True], "reason": [""]})  # fmt: skip
    pd.concat([frame, stranger]).to_csv(folder / "scores.csv", index=False)
    config = {"space": "nasbench201", "proxies": "lswag:var_of=signed,nwot", "preset": "nbsz"}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_built_in_table(tmp_path, capsys):
    out = tmp_path / "out"
    run(f"--workdir={out}", "--table=nasbench101", "--bootstrap=20")
    text = capsys.readouterr().out
    for word in ("361 architectures of nasbench101, 11 proxies, against cifar10_valid", "Aggregations", "libra_logrank",
                 "best_pair", "LIBRA's choice (21 bins", "z1", "candidate", "selection.json"):  # fmt: skip
        assert word in text, word
    assert "\N{ESCAPE}" not in text
    selection = Selection.load(out / "selection.json")
    result = json.loads((out / "result.json").read_text())
    assert selection.space == "nasbench101" and selection.source == "nasbench101, cifar10_valid"
    assert list(selection.proxies) == ["jacob_cov" if p == "jacov" else p for p in result["selected"]]
    comparison = pd.read_csv(out / "comparison.csv")
    assert comparison["spearman"].is_monotonic_decreasing and comparison["low"].notna().all()
    assert len(pd.read_csv(out / "choice.csv")) == 11
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "LIBRA chooses" in page and "z2 is the candidate that adds least" in page
    for name in ("comparison", "choice"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_flags_file_repeats_the_run(tmp_path, capsys):
    flags = (f"--workdir={tmp_path}", "--table=nasbench101", "--bootstrap=0", "--margin=0.2", "--methods=libra,vote")
    run(*flags)
    first = (tmp_path / "result.json").read_text()
    again, _ = parse(libra.LibraCommandConfig, [f"--flagfile={tmp_path / 'run.flags'}"])
    assert again == parse(libra.LibraCommandConfig, list(flags))[0]
    libra.main(again)
    assert (tmp_path / "result.json").read_text() == first
    assert {row["method"] for row in json.loads(first)["comparison"]} == {"libra", "vote"}


def test_own_scores_join_the_published_ones(tmp_path, scored, capsys):
    run(f"--workdir={tmp_path / 'out'}", f"--scores={scored}", "--bootstrap=0")
    captured = capsys.readouterr()
    assert "59 architectures of nasbench201_cifar10 with" in captured.out and "14 proxies" in captured.out
    notes = " ".join(captured.err.split())
    assert "61 architectures scored, 60 of them in the table, 1 not." in notes
    assert "In the table and in the scores: nwot; taken from the table" in notes
    assert "without a valid score are left out: lswag 1" in notes
    selection = Selection.load(tmp_path / "out" / "selection.json")
    assert selection.proxies[0] == "lswag:var_of=signed"  # as it was scored, options included
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["selected"][0] == "lswag" and result["choice"][0]["spearman"] == pytest.approx(1)


def test_a_store_of_another_machine_and_preferred_scores(tmp_path, capsys):
    rows = published()
    with Store.open(tmp_path / "far.sqlite") as store:
        store.put(
            Record("c", arch, proxy, float(score), float(score), True, "", 0.0)
            for proxy, column in (("zico", "cifar10_valid"), ("jacob_cov", "params"))
            for arch, score in zip(rows["arch"], rows[column], strict=True)
        )
    flags = (f"--scores={tmp_path / 'far.sqlite'}", "--bootstrap=0")
    run(f"--workdir={tmp_path / 'a'}", *flags, "--prefer=scores", "--proxies=zico,jacov,params,nwot")
    result = json.loads((tmp_path / "a" / "result.json").read_text())
    choice = {row["proxy"]: row for row in result["choice"]}
    assert choice["jacob_cov"]["spearman"] == choice["params"]["spearman"]
    capsys.readouterr()
    # A table of accuracies alone: parameters are counted by the space.
    run(f"--workdir={tmp_path / 'b'}", *flags, "--table=nasbench201", "--accuracy=cifar100_test")
    assert "counted by nasbench201" in capsys.readouterr().err
    biases = {r["proxy"]: r["bias"] for r in json.loads((tmp_path / "b" / "result.json").read_text())["choice"]}
    assert biases["jacob_cov"] == pytest.approx(1)
    # The same from a file.
    file = tmp_path / "accuracies.csv"
    rows[["arch", "cifar10_valid"]].to_csv(file, index=False)
    run(f"--workdir={tmp_path / 'c'}", *flags, f"--table={file}", "--accuracy=cifar10_valid", "--space=nasbench201")
    choice = {r["proxy"]: r for r in json.loads((tmp_path / "c" / "result.json").read_text())["choice"]}
    assert set(choice) == {"zico", "jacob_cov"} and choice["zico"]["spearman"] == pytest.approx(1)


def test_a_store_tells_how_its_proxies_were_scored(tmp_path, capsys):
    rows, rng = published(), np.random.default_rng(0)
    usual = dict(registry.get("lswag").options)
    with Store.open(tmp_path / "far.sqlite") as store:
        for context, changes, spread in (("a" * 9, {}, 9.0), ("b" * 9, {"interval": [2, 6], "var_of": "signed"}, 0.1)):
            store.describe(context, {"proxy": "lswag", "proxy_options": usual | changes, "space": "nasbench201"})
            scores = rows["cifar10_valid"] + spread * rng.normal(size=60)
            store.put(
                Record(context, arch, "lswag", score, score, True, "", 0.0)
                for arch, score in zip(rows["arch"], scores, strict=True)
            )
    run(f"--workdir={tmp_path / 'out'}", f"--scores={tmp_path / 'far.sqlite'}", "--bootstrap=0")
    assert "none of these names" not in capsys.readouterr().err
    assert Selection.load(tmp_path / "out" / "selection.json").proxies[0] == "lswag:interval=2-6:var_of=signed"


def write(path, **columns):
    frame = {"arch": [f"a{i}" for i in range(30)]} | columns
    pd.DataFrame(frame).to_csv(path, index=False)
    return path


def test_own_table_with_an_unknown_proxy_gives_no_selection(tmp_path, capsys):
    rng = np.random.default_rng(0)
    top1 = np.arange(30.0)
    file = write(tmp_path / "mine.csv", top1=top1, mine=top1 + rng.normal(size=30), nwot=rng.normal(size=30),
                 note=["x"] * 30)  # fmt: skip
    flags = (f"--workdir={tmp_path / 'out'}", f"--table={file}", "--accuracy=top1", "--bootstrap=0", "--bias=nwot")
    run(*flags)
    err = " ".join(capsys.readouterr().err.split())
    assert "none of these names: mine" in err and "Columns without numbers are left out: note." in err
    assert "No selection.json: mine is no proxy of nasjax" in err
    assert not (tmp_path / "out" / "selection.json").exists() and (tmp_path / "out" / "report.html").exists()


def test_sample_and_held_out_architectures(tmp_path, capsys):
    run(f"--workdir={tmp_path}", "--table=nasbench301", "--sample=200", "--choose_on=80", "--bootstrap=0", "--seed=3")
    assert "120 architectures of nasbench301, 12 proxies, against cifar10_surrogate; chosen on 80 others" in (
        capsys.readouterr().out
    )
    assert "measured on 120 others" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "--workdir is missing"),
        (("--workdir=OUT", "--table=nasbench201_cifar11"), "Did you mean nasbench201_cifar10"),
        (("--workdir=OUT", "--table=OUT/none.csv"), "does not exist"),
        (("--workdir=OUT", "--table=MINE"), "--accuracy is missing.*Allowed: top1, nwot, holes"),
        (("--workdir=OUT", "--table=MINE", "--accuracy=top2"), "--accuracy=top2.*Did you mean top1"),
        (("--workdir=OUT", "--table=MINE", "--accuracy=top1"), "has no column params.*--bias"),
        (("--workdir=OUT", "--table=MINE", "--accuracy=top1", "--bias=nwot"), r"NaN or infinite values in holes \(1\)"),
        (("--workdir=OUT", "--table=MINE", "--accuracy=top1", "--bias=nwot", "--invalid=drop"), "flat: the same value"),
        (("--workdir=OUT", "--proxies=nwott"), "no column nwott. Did you mean nwot"),
        (("--workdir=OUT", "--sample=9"), "9 architectures; allowed: 10 or more"),
        (("--workdir=OUT", "--space=nasbench"), "--space=nasbench: Did you mean"),
        (("--workdir=OUT", "--methods=libra,votes"), "did you mean vote"),
        (("--workdir=OUT", "--invalid=ignore"), "Allowed: raise, drop, suite"),
        (("--workdir=OUT", "--scores=OUT/none"), "no such file. Run launch.score"),
        (("--workdir=OUT", "--scores=EMPTY"), "No score store in"),
        (("--workdir=OUT", "--scores=OTHER"), "none of the 30 architectures is in the table"),
        (("--workdir=OUT", "--table=nasbench201"), "holds no scores beside cifar10_test"),
        (("--workdir=OUT", "--space=darts"), "nasbench201_cifar10 is one of nasbench201"),
        (("--workdir=OUT", "--table=MINE", "--accuracy=top1", "--space=darts"), "holds other architectures, '"),
        (("--workdir=OUT", "--table=WORDS", "--accuracy=top1"), "column nwot holds 1 values .* such as 'bad'"),
        (("--workdir=SCORED",), "holds a run of another command"),
    ],
)
def test_bad_input_says_what_to_do(tmp_path, scored, flags, message):
    holes = np.arange(30.0)
    holes[3] = np.nan
    mine = write(tmp_path / "mine.csv", top1=np.arange(30.0), nwot=np.arange(30.0) % 7, holes=holes, flat=np.ones(30))
    other = write(tmp_path / "other.csv", zico=np.arange(30.0))
    bad = write(tmp_path / "words.csv", top1=np.arange(30.0), nwot=["1"] * 29 + ["bad"], swap=np.arange(30.0))
    words = {"WORDS": bad, "OUT": tmp_path / "out", "MINE": mine, "OTHER": other, "SCORED": scored, "EMPTY": tmp_path}
    for word, value in words.items():
        flags = [flag.replace(word, str(value)) for flag in flags]
    with pytest.raises(InputError, match=message):
        run(*flags)
    assert not (tmp_path / "out" / "result.json").exists()


def test_command_prints_the_message_alone(root, tmp_path):
    command = [sys.executable, "-m", "launch.libra", f"--workdir={tmp_path}", "--table=nowhere"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and not done.stdout
    assert "Allowed: nasbench201_cifar10" in done.stderr and "Traceback" not in done.stderr
