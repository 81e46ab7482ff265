"""Selection files: written, read, and refused where they are no such thing."""

import dataclasses
import json

import pytest

from nasjax.search import Selection
from nasjax.search.selection import is_proxy, proxy_name
from nasjax.types import InputError

GOOD = Selection(("jacov", "lswag:interval=2-6", "nwot"), (1, 1, -1), "ranksum", "nasbench201", "a table",
                 {"candidates": ["nwot"]})  # fmt: skip


def test_round_trip(tmp_path):
    file = GOOD.save(tmp_path / "new" / "selection.json")
    assert Selection.load(file) == GOOD
    assert GOOD.proxies == ("jacob_cov", "lswag:interval=2-6", "nwot")
    assert [path.name for path in file.parent.iterdir()] == ["selection.json"]
    content = json.loads(file.read_text())
    assert (content["format"], content["version"]) == ("nasjax.selection", 1)


def test_it_is_frozen_and_can_be_a_key():
    assert hash(GOOD) == hash(dataclasses.replace(GOOD, reasons={}))
    with pytest.raises(dataclasses.FrozenInstanceError):
        GOOD.space = "darts"


def test_names_of_published_tables():
    assert proxy_name("jacov") == "jacob_cov" and proxy_name("naswot:preset=paper") == "nwot:preset=paper"
    assert proxy_name("zico") == "zico"
    assert is_proxy("jacov") and is_proxy("swap:samples=16")
    assert not is_proxy("all") and not is_proxy("top1") and not is_proxy("swap:sample=16")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"proxies": ("lswga",), "signs": (1,)}, "Unknown proxy 'lswga'. Did you mean 'lswag'"),
        ({"proxies": ("swap:sample=16",), "signs": (1,)}, "Did you mean 'samples'"),
        ({"proxies": ("all",), "signs": (1,)}, "'all' names several proxies"),
        ({"proxies": ("jacov", "jacob_cov"), "signs": (1, 1)}, "one is there twice"),
        ({"proxies": ()}, r"proxies=\(\)"),
        ({"proxies": "nwot"}, "give a sequence"),
        ({"signs": (1, 1)}, "1 or -1 for each of jacob_cov"),
        ({"signs": (1, 1, True)}, "1 or -1"),
        ({"aggregation": "rank_sum"}, "did you mean ranksum"),
        ({"space": "nasbench_201"}, "did you mean nasbench201"),
    ],
)
def test_bad_fields(changes, match):
    with pytest.raises(InputError, match=match):
        dataclasses.replace(GOOD, **changes)


def edited(**changes):
    content = {"format": "nasjax.selection", "version": 1, "proxies": ["nwot"], "signs": [1], "aggregation": "ranksum",
               "space": "", "source": "", "reasons": {}} | changes  # fmt: skip
    return json.dumps({name: value for name, value in content.items() if value is not None})


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "damaged or no selection file"),
        ("[]", "format is 'list'; allowed: 'nasjax.selection'"),
        (edited(format="other"), "format is 'other'"),
        (edited(version=2), "version 2; allowed: 1"),
        (edited(signs=None, source=None), "lacks signs, source"),
        (edited(signs=1, reasons=[]), "no proper signs, reasons"),
        (edited(proxies=["nwot", 3]), "no proper proxies"),
        (edited(signs=["+"]), "1 or -1 for each of nwot"),
        (edited(proxies=["nwott"]), "selection.json: Unknown proxy 'nwott'. Did you mean 'nwot'"),
    ],
)
def test_bad_files(tmp_path, text, match):
    (tmp_path / "selection.json").write_text(text)
    with pytest.raises(InputError, match=match):
        Selection.load(tmp_path / "selection.json")


def test_files_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(InputError, match="make one by launch.libra"):
        Selection.load(tmp_path / "none.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x81")
    with pytest.raises(InputError, match="damaged or no selection file"):
        Selection.load(tmp_path / "bytes.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        GOOD.save(tmp_path / "file" / "selection.json")
    with pytest.raises(InputError, match="cannot be written as JSON"):
        dataclasses.replace(GOOD, reasons={"gain": float("nan")}).save(tmp_path / "selection.json")
