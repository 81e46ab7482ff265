"""Proxies by name and by text."""

import types

import pytest

from nasjax.proxies import get, names, parse, registry
from nasjax.proxies.registry import column_names
from nasjax.types import InputError

EXPECTED = {"params", "flops", "grad_norm", "snip", "synflow", "nwot", "swap", "zico", "lswag"}


def options(proxy):
    return dict(proxy.options)


def test_every_proxy_of_the_first_release_is_registered():
    assert set(names()) >= EXPECTED
    assert len(set(names())) == len(names())


def test_text_gives_proxies_in_order_without_repetition():
    assert [p.name for p in parse("lswag, zico,params,,zico")] == ["lswag", "zico", "params"]
    assert [p.name for p in parse(["snip", "grad_norm,flops"])] == ["snip", "grad_norm", "flops"]
    assert [p.name for p in parse("all")] == list(names())
    assert [p.name for p in parse("swap,all")] == ["swap", *(n for n in names() if n != "swap")]


def test_all_is_what_the_space_offers():
    bare = types.SimpleNamespace(name="bare")
    found = {p.name for p in parse("all", space=bare)}
    assert found >= EXPECTED
    assert not found & {"zen", "az_nas", "meco", "wrcor", "te_regions", "t_cet", "dss"}
    assert [p.name for p in parse("zen", space=bare)] == ["zen"]  # refused later, with the reason


def test_what_is_defined_for_images_alone_is_refused_for_tokens():
    methods = {n: None for n in ("blocks", "weights_by_role", "weight_mask", "named_weights")}
    transformer = types.SimpleNamespace(name="vit", tokens=True, **methods)
    found = {p.name for p in parse("all", space=transformer)}
    assert found >= {"dss", "az_nas", "az_trainability"}
    assert not found & {"zen", "az_progressivity", "t_cet"}
    for name, words in (("zen", "zen is not defined for networks of tokens.*'vit'"), ("t_cet", r"t_cet: .*'vit'")):
        with pytest.raises(InputError, match=words):
            get(name).check_space(transformer)


def test_finished_proxies_pass_through():
    own = get("swap", samples=4)
    assert parse([own, "params"])[0] is own


def test_options_in_text_have_their_types():
    (proxy,) = parse("lswag:num_batches=3:interval=2-7:var_of=signed:psi_layers=all")
    found = options(proxy)
    assert found["num_batches"] == 3
    assert found["interval"] == (2, 7)
    assert (found["var_of"], found["psi_layers"]) == ("signed", "all")
    assert options(parse("lswag:interval=none")[0])["interval"] is None
    assert options(parse("lswag:sign_guard=none")[0])["sign_guard"] == "none"
    assert options(parse("nwot:samples=16:init=normal")[0]) == {"init": "normal", "samples": 16}


def test_a_preset_of_its_own_wins_over_the_common_one():
    shared, own = parse("swap,swap:preset=nbsz", preset="paper")
    assert options(shared) == {"init": "normal", "repeats": 32, "samples": 16}
    assert options(own) == {"init": "torch", "repeats": 1, "samples": None}
    assert options(parse("lswag", preset="paper")[0])["interval"] == "auto"
    assert options(parse("lswag", preset="nbsz")[0])["interval"] is None
    assert options(parse("nwot", preset="paper")[0])["samples"] == 128


@pytest.mark.parametrize("preset", ["nbsz", "paper"])
@pytest.mark.parametrize("name", names())
def test_a_label_is_read_back_as_the_same_proxy(name, preset):
    proxy = get(name, preset=preset)
    (again,) = parse(proxy.label)
    assert (again.name, again.options, again.passes) == (proxy.name, proxy.options, proxy.passes)


@pytest.mark.parametrize(
    "text",
    [
        "lswag:interval=3-6:sign_guard=none:factors=lambda",
        "lswag:granularity=sample:norm=sample",
        "zico:var_of=abs",
        "reg_swap:mu=40.5:sigma=1e3",
        "meco:size=none",
        "az_nas:source=noise",
    ],
)
def test_a_label_with_options_is_read_back(text):
    (proxy,) = parse(text)
    (again,) = parse(proxy.label)
    assert (again.options, again.passes) == (proxy.options, proxy.passes)


def test_columns_carry_options_only_where_a_name_occurs_twice():
    chosen = parse("zico,swap,swap:samples=8")
    assert column_names(chosen) == ["zico", "swap", "swap:samples=8"]
    assert [p.options for p in parse(column_names(chosen))] == [p.options for p in chosen]


@pytest.mark.parametrize(("name", "option"), [(n, o) for n in names() for o in registry._options(n)])
def test_a_value_that_is_not_allowed_is_refused_at_once(name, option):
    with pytest.raises(InputError) as error:
        parse(f"{name}:{option}=nonsense")
    message = str(error.value)
    assert message.startswith(f"{name}: ") and "'nonsense'" in message
    assert any(words in message for words in ("allowed", "give both", "or give bins"))


@pytest.mark.parametrize("given", [5, None, [5], get("params")])
def test_what_is_neither_text_nor_proxies_is_refused(given):
    with pytest.raises(InputError, match="allowed are names, or a sequence of names and finished proxies"):
        parse(given)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lswagg", ["'lswagg'", "'lswag'", "Allowed", "params"]),
        ("synfloww,params", ["'synfloww'", "'synflow'"]),
        ("qqqqq", ["'qqqqq'", "Allowed"]),
        ("lswag:num_batch=2", ["'num_batch'", "'num_batches'"]),
        ("swap:sample=2", ["'sample'", "'samples'"]),
        ("params:init=torch", ["'init'", "preset"]),
        ("lswag:num_batches", ["'num_batches'", "option=value"]),
        ("lswag:preset=best", ["'best'", "paper", "nbsz"]),
        ("params:preset=best", ["'best'", "paper", "nbsz"]),
        ("lswag:var_of=square", ["'square'", "abs", "signed"]),
        ("lswag:num_batches=many", ["'many'", "2 or more"]),
        ("lswag:interval=early", ["'early'", "low-high"]),
        ("zico:num_batches=1", ["zico: num_batches=1"]),
        ("grad_norm:init=foo", ["grad_norm", "'foo'", "torch, kaiming_fan_in"]),
        ("reg_swap:samples=0", ["reg_swap: samples=0"]),
        ("te_regions:samples=none", ["te_regions: samples=None", "multiple of 3"]),
        ("nwot:samples=0", ["samples=0", "positive"]),
        ("nwot:samples=few", ["'few'", "positive"]),
        ("swap:repeats=-1", ["repeats=-1", "positive"]),
        ("reg_swap:mu=3", ["mu=3", "give both"]),
        ("reg_swap:mu=3:sigma=-1", ["sigma=-1", "positive"]),
        ("reg_swap:mu=few:sigma=1", ["'few'", "positive"]),
        ("zen:repeats=0", ["repeats=0", "positive"]),
        ("", ["No proxy", "lswag"]),
        (" , ", ["No proxy"]),
    ],
)
def test_bad_text_names_what_is_wrong_and_what_is_allowed(text, words):
    with pytest.raises(InputError) as error:
        parse(text)
    for word in words:
        assert word in str(error.value)
