"""The printed ranking."""

import io
import types

import numpy as np
import pytest
from rich.console import Console

from nasjax.cli import ranking

ARCHS = ["|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|", "|none~0|+|none~0|none~1|+|none~0|"]


def result(scores, valid=None, reasons=None, archs=ARCHS):
    valid = valid or {name: [True] * len(archs) for name in scores}
    reasons = reasons or {name: [""] * len(archs) for name in scores}

    def order(name):
        return sorted(range(len(archs)), key=lambda i: (not valid[name][i], -scores[name][i]))

    return types.SimpleNamespace(archs=archs, scores={k: np.array(v, float) for k, v in scores.items()}, valid=valid,
                                 reasons=reasons, ranking=order)


def shown(found, width, **options):
    console = Console(file=io.StringIO(), width=width)
    ranking.show(console, found, **options)
    return console.file.getvalue()


def test_best_first_on_a_wide_screen():
    lines = shown(result({"zico": [1.0, 3.25], "params": [1073466, 5000.0]}), 150, by="zico").splitlines()
    assert lines[0] == "Best 2 of 2 by zico"
    assert lines[1].split() == ["zico", "params", "architecture"]
    assert lines[2].split() == ["1", "3.25", "5,000", ARCHS[1]]
    assert lines[3].split() == ["2", "1", "1,073,466", ARCHS[0]]


def test_architectures_fold_at_nodes_on_a_narrow_screen():
    text = shown(result({"zico": [3.0, 1.0], "nwot": [1.0, 1.0]}), 60, by="zico")
    lines = [line.split()[-1] for line in text.splitlines()[2:5]]
    assert lines == ["|nor_conv_3x3~0|", "+|none~0|skip_connect~1|", "+|none~0|none~1|nor_conv_1x1~2|"]
    assert max(map(len, text.splitlines())) <= 60


def test_columns_that_do_not_fit_are_named():
    text = shown(result({name: [1.0, 2.0] for name in ("zico", "lswag", "grad_norm", "synflow")}), 62, by="lswag")
    assert text.splitlines()[1].split()[0] == "lswag"
    assert "Not shown for lack of room: grad_norm, synflow." in text or "synflow." in text
    assert max(len(line) for line in text.splitlines() if "room" not in line) <= 62


def test_invalid_architectures_are_explained():
    dead = "no path from input to output"
    found = result({"zico": [0.0, np.nan], "nwot": [0.0, 1.0]},
                   valid={"zico": [False, False], "nwot": [False, True]},
                   reasons={"zico": [dead, "not finite"], "nwot": [dead, ""]})
    text = shown(found, 150, by="zico")
    assert "Best" not in text
    assert f"Invalid, ranked last: 2 of 2: {dead} (1); zico: not finite (1)." in text


def test_the_reason_of_a_dead_architecture_is_told_once():
    dead = "no path from input to output"
    found = result({"zico": [0.0, 1.0], "nwot": [0.0, 1.0]},
                   valid={"zico": [False, True], "nwot": [False, False]},
                   reasons={"zico": [dead, ""], "nwot": [f"{dead}; nwot is -inf", "nwot is -inf"]})
    assert ranking.reasons(found) == {dead: 1, "nwot is -inf": 1}


@pytest.mark.parametrize("value,text", [(0.123456, "0.1235"), (12, "12"), (1234567.0, "1,234,567"), (1e15, "1e+15"),
                                        (float("nan"), "nan"), (float("-inf"), "-inf"), (-3.14159e-7, "-3.142e-07")])
def test_number(value, text):
    assert ranking.number(value) == text


def test_top_limits_the_rows():
    assert len(shown(result({"zico": [1.0, 3.25]}), 150, by="zico", top=1).splitlines()) == 3
    assert shown(result({"zico": [1.0, 3.25]}), 150, by="zico", top=0) == ""
