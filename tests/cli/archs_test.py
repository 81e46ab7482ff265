"""Which architectures a command works on."""

import gzip
import types

import jax
import numpy as np
import pytest

from nasjax.cli import archs
from nasjax.spaces import cell201
from nasjax.types import InputError

KEY = jax.random.key(0)
FIRST = "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_1x1~2|"
SECOND = "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"


@pytest.fixture(scope="module")
def space():
    return types.SimpleNamespace(
        name="nasbench201", sample=cell201.sample, all=cell201.all_architectures,
        encode=lambda a: cell201.to_string(np.asarray(a)),
        decode=lambda items: np.array([cell201.decode(item) for item in items]),
    )  # fmt: skip


def message(space, text):
    with pytest.raises(InputError) as error:
        archs.choose(KEY, space, text)
    return str(error.value)


def test_random_is_distinct_and_repeatable(space):
    found = archs.choose(KEY, space, "random:300")
    assert len(found) == len(set(found)) == 300
    assert found == archs.choose(KEY, space, "random:300")
    assert found != archs.choose(jax.random.key(1), space, "random:300")
    assert archs.choose(KEY, space, "random:5") == archs.choose(KEY, space, "random:60")[:5]


def test_random_up_to_the_whole_space(space):
    assert sorted(archs.choose(KEY, space, "random:15625")) == sorted(archs.choose(KEY, space, "all"))
    assert "nasbench201 has 15,625 architectures. Ask for fewer" in message(space, "random:15626")


def test_a_space_too_large_to_list():
    large = types.SimpleNamespace(name="large", encode=lambda a: [str(int(i)) for i in a],
                                  sample=lambda key, n: jax.random.randint(key, (n,), 0, 3000))
    found = archs.choose(KEY, large, "random:2500")
    assert len(set(found)) == 2500 and archs.choose(KEY, large, "random:70") == found[:70]
    assert "of large were found. Ask for fewer." in message(large, "random:3001")
    assert "too large to list" in message(large, "all")


@pytest.mark.parametrize(
    ("typed", "meant"), [("radnom:5", "random:5"), ("Random:5", "random:5"), ("flie:x", "file:x"), ("al", "all")]
)
def test_a_mistyped_form_is_named(space, typed, meant):
    assert message(space, typed).startswith(f"--archs: {typed!r}: did you mean {meant}? Allowed: random:N, all,")


def test_a_code_that_looks_like_a_form():
    own = types.SimpleNamespace(name="own", decode=list, encode=list)
    assert archs.choose(KEY, own, "small") == ["small"]


def test_all(space):
    assert len(set(archs.choose(KEY, space, "all"))) == 15625


def test_strings_indices_and_tuples(space):
    official = cell201.to_string(cell201.decode(7))
    naslib = cell201.to_string(cell201.from_tuple((4, 0, 3, 1, 4, 3)))
    assert archs.choose(KEY, space, f"{SECOND}; 7;(4, 0, 3, 1, 4, 3); {SECOND};") == [SECOND, official, naslib]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7),
        ("0", 0),
        ("-3", -3),
        ("00000012", "00000012"),  # a code of digits, no index
        ("(4, 0, 3)", (4, 0, 3)),
        ("1,2", (1, 2)),
        ('{"matrix":[[0,1],[0,0]],"ops":[]}', '{"matrix":[[0,1],[0,0]],"ops":[]}'),
    ],
)
def test_what_a_text_stands_for(text, expected):
    assert archs.value(text) == expected


def test_a_file_of_lines(space, tmp_path):
    path = tmp_path / "archs.txt"
    path.write_text(f"# my favourites\n{SECOND}\n\n{FIRST}  # the best\n7\n")
    assert archs.choose(KEY, space, f"file:{path}")[:2] == [SECOND, FIRST]


def test_a_csv_file(space, tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text(f"zico,arch\n1.0,{FIRST}\n2.0,{SECOND}\n")
    assert archs.choose(KEY, space, f"file:{path}") == [FIRST, SECOND]
    path.write_text(f"arch\n{FIRST}\n")
    assert archs.choose(KEY, space, f"file:{path}") == [FIRST]


@pytest.mark.parametrize("text", ["random:0", "random:-3", "random:many", "random:", "random", "random:1e3"])
def test_bad_counts(space, text):
    assert "whole number of at least 1, as in random:64" in message(space, text)


@pytest.mark.parametrize("text", ["", " ; "])
def test_no_architecture(space, text):
    assert "names no architecture. Allowed: random:N, all, file:PATH" in message(space, text)


def test_malformed_architectures_say_where(space, tmp_path):
    assert message(space, f"{FIRST};|nor_conv_9x9~0|").startswith("--archs, architecture 2: ")
    assert message(space, "rnd:64").startswith("--archs: ")
    assert message(space, "15625").startswith("--archs: ")
    path = tmp_path / "archs.txt"
    path.write_text(f"{FIRST}\n\n{SECOND.replace('nor_conv_3x3', 'nor_conv_3x4')}\n")
    text = message(space, f"file:{path}")
    assert text.startswith(f"{path}, line 3: ") and "nor_conv_3x3" in text


def test_bad_files(space, tmp_path):
    assert "No such file" in message(space, f"file:{tmp_path / 'absent'}")
    (tmp_path / "table.csv.gz").write_bytes(gzip.compress(f"arch,epoch\n{SECOND},1\n{SECOND},2\n{FIRST},1\n".encode()))
    assert archs.choose(KEY, space, f"file:{tmp_path / 'table.csv.gz'}") == [SECOND, FIRST]
    (tmp_path / "cut.csv.gz").write_bytes((tmp_path / "table.csv.gz").read_bytes()[:40])
    assert "cut short" in message(space, f"file:{tmp_path / 'cut.csv.gz'}")
    assert "Is a directory" in message(space, f"file:{tmp_path}")
    (tmp_path / "empty").write_text("# nothing\n")
    assert "holds no architecture" in message(space, f"file:{tmp_path / 'empty'}")
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    assert "no text file" in message(space, f"file:{tmp_path / 'binary'}")
