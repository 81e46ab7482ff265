"""The complete examples of docs/add_proxy.md and docs/add_space.md, in docs/examples."""

import dataclasses
import importlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nasjax
from nasjax.cli import common, plugins, score
from nasjax.proxies import registry as proxy_registry
from nasjax.spaces import registry as space_registry
from nasjax.testing import check_space
from nasjax.types import InputError

MODULES = ("chain_space", "my_proxies")


@pytest.fixture(scope="module")
def examples(root):
    """The two modules, whose names are registered while this file runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proxy_registry, "_FACTORIES", dict(proxy_registry._FACTORIES))
        patch.setattr(space_registry, "_SPACES", dict(space_registry._SPACES))
        patch.syspath_prepend(str(root / "docs" / "examples"))
        for name in MODULES:
            sys.modules.pop(name, None)
        yield {name: importlib.import_module(name) for name in MODULES}
        for name in MODULES:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def space(examples):
    return nasjax.get_space("chain", channels=4, length=3, image_size=8)


@pytest.fixture(scope="module")
def batches():
    return nasjax.data.load("photos", batch_size=8, num_batches=2, image_size=8)


def test_the_space_conforms(space):
    check_space(space)


def test_what_the_space_says_of_itself(space):
    codes = ["2-0-1", "0-0-0", "1-2-2"]
    archs = space.decode(codes)
    assert space.encode(archs) == codes
    assert space.canonical(archs[0]) == "2-1-0"
    # Stem 3*9*4 + 8, classifier 4*10 + 10; a 3x3 convolution 9*16 + 8, a 1x1 one 16 + 8.
    assert space.num_params(archs).tolist() == [166 + 152 + 24, 166, 166 + 24 + 2 * 152]
    assert space.flops(archs[1]) == 64 * 108 + 40
    with pytest.raises(InputError, match="allowed are 3 numbers 0..2"):
        space.decode(["3-0-1"])


def test_every_proxy_that_the_page_promises_scores_it(space, batches):
    offered = [p.name for p in nasjax.proxies.parse("all", space=space)]
    assert "grad_log" in offered and len(set(offered) - {"grad_log", "logit_spread"}) == 20
    chosen = "grad_log,logit_spread,lswag,swap,params"
    scored = nasjax.score(space, ["2-0-1", "0-0-0", "1-2-2"], batches, chosen, key=jax.random.key(0))
    for name, valid in scored.valid.items():
        assert valid.all(), name
        assert len(set(scored.scores[name])) == 3, name
    alone = nasjax.score(space, ["1-2-2"], batches, chosen, key=jax.random.key(0))
    np.testing.assert_allclose(alone.scores["grad_log"], scored.scores["grad_log"][2:], rtol=1e-5)
    np.testing.assert_allclose(scored.scores["logit_spread"], np.log(scored.raw["logit_spread"]), rtol=1e-12)


def test_the_command_line_knows_them(space, batches, tmp_path, monkeypatch, root):
    for name in MODULES:
        sys.modules.pop(name, None)
    monkeypatch.chdir(root / "docs" / "examples")
    flags = ["--plugins=chain_space,my_proxies", "--space=chain", "--space_options=length=3", "--channels=4"]
    more = ["--archs=2-0-1;0-0-0;1-2-2", "--proxies=grad_log,params", "--batch_size=8", "--image_size=8"]
    with pytest.raises(SystemExit) as ended:
        common.run(score.main, score.ScoreConfig, argv=[f"--workdir={tmp_path}", *flags, *more])
    assert not ended.value.code
    assert (tmp_path / "scores.csv").read_text().splitlines()[0].startswith("arch,grad_log,params")
    assert "--plugins=chain_space,my_proxies" in (tmp_path / "run.flags").read_text()


def test_a_plugin_that_fails_is_named():
    with pytest.raises(InputError, match="--plugins=no_such_module: importing 'no_such_module' failed"):
        plugins.load("no_such_module")


@dataclasses.dataclass(frozen=True)
class _Space:
    """A chain that breaks one promise."""

    chain: object
    broken: dict = dataclasses.field(hash=False, compare=False)

    def __getattr__(self, name):
        return self.broken[name] if name in self.broken else getattr(self.chain, name)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"encode": lambda archs: ["0-0-0"] * len(archs)}, r"decode\(encode"),
        ({"is_valid": lambda arch: (False, "")}, "no reason"),
        ({"num_params": lambda arch: 0}, "num_params is 0"),
        ({"site_calls": lambda arch: {"stem": jnp.zeros(10, jnp.int32)}}, "site_calls has"),
        ({"layer_sums": lambda terms: jnp.ones(5)}, "layers and weight_mask disagree"),
    ],
)
def test_a_space_that_breaks_a_promise_is_told(space, broken, words):
    with pytest.raises(InputError, match=words):
        check_space(_Space(space, {"bind": lambda signature: _Space(space, broken), **broken}), num=2)
