"""Scores of models of one's own, against scores computed by hand, and what is refused."""

import dataclasses
import pathlib
import re

import flax.linen as fl
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import nasjax
from nasjax.own_model import Model, score_model, score_models
from nasjax.own_model.scoring import as_space
from nasjax.proxies import registry
from nasjax.records import Store
from nasjax.types import InputError

DIMS = ("NHWC", "HWIO", "NHWC")
CLOSE = {"rtol": 1e-9, "atol": 0}


def plain(params, x):
    """A convolution, two layers in a loop, a classifier; everything written out."""
    x = jax.lax.conv_general_dilated(x, params["conv"], (2, 2), "SAME", dimension_numbers=DIMS) + params["bias"]
    x = jnp.maximum(x, 0).mean((1, 2))

    def step(x, w):
        h = x @ w
        return h * 0.5 * (1 + jax.scipy.special.erf(h / jnp.sqrt(2.0))), None

    return jax.lax.scan(jax.checkpoint(step), x, params["stack"])[0] @ params["head"].T


def draw(key):
    keys = jax.random.split(key, 3)
    return {
        "conv": jax.random.normal(keys[0], (3, 3, 3, 4)) / 3,
        "bias": jnp.full((1, 1, 1, 4), 0.1),
        "stack": jax.random.normal(keys[1], (2, 4, 4)),
        "head": jax.random.normal(keys[2], (4, 4)),
    }


@pytest.fixture(scope="module")
def params():
    return draw(jax.random.key(3))


@pytest.fixture(scope="module")
def by_hand(params, batches):
    """Loss gradients of both batches by layer, and inputs of the activations on the first."""

    def loss(p, x, y):
        return -jnp.take_along_axis(jax.nn.log_softmax(plain(p, x)), y[:, None], 1).mean()

    def layers(tree):
        return [np.asarray(a) for a in (tree["conv"], tree["stack"][0], tree["stack"][1], tree["head"])]

    gradients = [layers(jax.grad(loss)(params, x, y)) for x, y in zip(*batches.stacked, strict=True)]
    h = jax.lax.conv_general_dilated(batches.images[0], params["conv"], (2, 2), "SAME", dimension_numbers=DIMS)
    seen = [h + params["bias"]]
    x = jax.nn.relu(seen[0]).mean((1, 2))
    for w in params["stack"]:
        seen.append(x @ w)
        x = jax.nn.gelu(seen[-1], approximate=False)
    return layers(params), gradients, np.concatenate([np.asarray(s).reshape(8, -1) for s in seen], 1) > 0


NAMES = "params,flops,l2_norm,grad_norm,snip,plain,zico,nwot,swap,lswag,synflow,jacob_cov"


@pytest.fixture(scope="module")
def result(params, batches):
    return score_model(plain, params, batches, NAMES)


def test_scores_are_those_computed_by_hand(result, by_hand):
    weights, (first, second), signs = by_hand
    pairs = list(zip(first, second, strict=True))
    inner = lambda s: s.astype(float) @ s.T.astype(float)  # noqa: E731
    patterns = len(np.unique(signs, axis=1).T)
    ratios = [np.log(((np.abs(a) + np.abs(b)) / np.abs(a - b)).sum()) for a, b in pairs]
    inverse = [2 / np.abs(np.abs(a) - np.abs(b)) for a, b in pairs]
    expected = {
        "params": 3 * 3 * 3 * 4 + 4 + 3 * 16,
        "flops": 4 * 4 * 4 * 27 + 3 * 16,
        "l2_norm": sum(np.linalg.norm(w) for w in weights),
        "grad_norm": sum(np.linalg.norm(g) for g in first),
        "snip": sum(np.abs(w * g).sum() for w, g in zip(weights, first, strict=True)),
        "plain": sum((w * g).sum() for w, g in zip(weights, first, strict=True)),
        "zico": sum(ratios),
        "nwot": np.linalg.slogdet(inner(signs) + inner(~signs))[1],
        "swap": patterns,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(result.scores[name], value, **CLOSE, err_msg=name)
    lambda_ = sum(np.log(i.sum()) for i in inverse)
    np.testing.assert_allclose(result.raw["lswag"], lambda_ * patterns, **CLOSE)


def test_half_precision_is_scored(params, batches, result):
    """Scores are near those of double precision, with the gradients' statistics in that of the images."""
    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), params)
    run = lambda f: lambda p, x: f(p, x.astype(jnp.bfloat16))  # noqa: E731
    names = "l2_norm,grad_norm,snip,lswag,fisher,gradsign,az_expressivity,az_progressivity"
    found = score_model(run(plain), half, batches, names, features_fn=lambda p, x: run(features)(p, x)[1:])
    for name in ("l2_norm", "grad_norm", "snip", "lswag"):
        np.testing.assert_allclose(found.scores[name], result.scores[name], rtol=0.1, err_msg=name)
    for name in ("fisher", "gradsign", "az_expressivity"):
        assert found.valid[name][0], name
    assert "one feature map alone" in found.reasons["az_progressivity"][0]


@pytest.mark.parametrize("value", [np.nan, 1e300])
def test_gradients_that_are_no_number_make_no_score(value, params, batches):
    """Neither NaN nor an overflow passes for a weight without variance."""
    broken = score_model(plain, params | {"head": params["head"] * value}, batches, NAMES)
    for name in ("zico", "lswag"):
        assert not broken.valid[name][0] and broken.reasons[name][0], name


def test_synflow_and_input_gradients_by_hand(result, params, batches):
    positive = jax.tree.map(jnp.abs, params)
    slopes = jax.grad(lambda p: plain(p, jnp.ones((1, 8, 8, 3))).sum())(positive)
    total = sum(float(jnp.abs(positive[k] * slopes[k]).sum()) for k in ("conv", "stack", "head"))
    np.testing.assert_allclose(result.raw["synflow"], total, **CLOSE)
    rows = np.asarray(jax.grad(lambda x: plain(params, x).sum())(jnp.asarray(batches.images[0]))).reshape(8, -1)
    values = np.linalg.eigvalsh(np.corrcoef(rows)) + 1e-5
    np.testing.assert_allclose(result.scores["jacob_cov"], -(np.log(values) + 1 / values).sum(), rtol=1e-7)


def test_gradients_of_single_images_by_hand(params, batches):
    found = score_model(plain, params, batches, "gradsign,gsnr,fisher")

    def loss(p, x, y):
        return -jnp.take_along_axis(jax.nn.log_softmax(plain(p, x)), y[:, None], 1).mean()

    x, y = batches.images[0][:, None], batches.labels[0][:, None]
    single = jax.vmap(jax.grad(loss), (None, 0, 0))(params, x, y)
    flat = np.concatenate([np.asarray(single[k]).reshape(8, -1) for k in ("conv", "stack", "head")], 1)
    np.testing.assert_allclose(found.scores["gradsign"], np.abs(np.sign(flat).sum(0)).mean(), **CLOSE)
    np.testing.assert_allclose(found.scores["gsnr"], (flat.mean(0) ** 2 / (flat.var(0) + 1e-8)).sum(), **CLOSE)


class Linen(fl.Module):
    """Convolution, norm, classifier."""

    norm: bool = True

    @fl.compact
    def __call__(self, x):
        x = fl.Conv(4, (3, 3), use_bias=False, param_dtype=x.dtype, name="conv")(x)
        norm = fl.BatchNorm(use_running_average=False, param_dtype=x.dtype, name="norm")
        x = fl.relu(norm(x) if self.norm else x).mean((1, 2))
        return fl.Dense(4, param_dtype=x.dtype, name="head")(x)


class Nnx(nnx.Module):
    """The same."""

    def __init__(self, rngs):
        kind = {"param_dtype": jnp.float64, "rngs": rngs}
        self.conv = nnx.Conv(3, 4, (3, 3), use_bias=False, **kind)
        self.norm = nnx.BatchNorm(4, **kind)
        self.head = nnx.Linear(4, 4, **kind)

    def __call__(self, x):
        return self.head(nnx.relu(self.norm(self.conv(x))).mean((1, 2)))


@pytest.fixture(scope="module")
def linen():
    return Linen().init(jax.random.key(0), jnp.zeros((2, 8, 8, 3), jnp.float64))


def apply_linen(variables, x):
    return Linen().apply(variables, x, mutable=["batch_stats"])


def test_linen_and_nnx_agree(linen, batches):
    names = "params,flops,snip,zico,swap,lswag,fisher"
    by_linen = score_model(apply_linen, linen, batches, names)
    module = Nnx(nnx.Rngs(0))
    graph, own, rest = nnx.split(module, nnx.Param, ...)
    rest = jax.tree.map(lambda a: a.astype(jnp.float64) if a.dtype == jnp.float32 else a, rest)
    for part in ("conv", "head"):
        for field, value in linen["params"][part].items():
            own[part][field] = own[part][field].replace(value)
    by_nnx = score_model(lambda p, x: nnx.merge(graph, p, rest, copy=True)(x), own, batches, names)
    for name in by_linen.scores:
        np.testing.assert_allclose(by_nnx.scores[name], by_linen.scores[name], rtol=1e-7, err_msg=name)
    assert by_linen.scores["params"][0] == 3 * 3 * 3 * 4 + 8 + 20  # statistics do not count


def test_the_model_is_unchanged(linen, batches):
    space, archs = as_space(Model(apply_linen, linen), batches)
    variables = space.init(jax.random.key(0), archs[0])
    output = space.apply(variables, archs[0], jnp.asarray(batches.images[0]))
    np.testing.assert_allclose(output.logits, apply_linen(linen, batches.images[0])[0], rtol=1e-12)


def test_synflow_asks_for_the_network_without_batch_norms(linen, batches):
    with pytest.raises(InputError, match="norm_free_fn"):
        score_model(apply_linen, linen, batches, "synflow")
    found = score_model(apply_linen, linen, batches, "synflow", norm_free_fn=Linen(norm=False).apply)
    assert np.isfinite(found.scores["synflow"]).all()


def test_attention_between_images_is_seen(params, batches):
    def attend(p, x):
        x = plain(p, x)
        return jax.nn.softmax(x @ x.T) @ x

    with pytest.raises(InputError, match="images act on each other"):
        score_model(attend, params, batches, "synflow")


def test_init_fn_draws_weights_by_a_law_and_anew(params, batches):
    with pytest.raises(InputError, match="init_fn"):
        score_model(plain, params, batches, "swap:preset=paper")
    drawn = score_model(plain, params, batches, "swap:repeats=5,swap", init_fn=draw)
    repeated, once = drawn.scores.values()
    assert once == score_model(plain, params, batches, "swap").scores["swap"]
    assert repeated != once
    space, archs = as_space(Model(plain, params, draw), batches)
    found = space.fresh(jax.random.key(1), archs[0], law="kaiming_fan_in").params
    names = {name: value for name, value in zip(space.leaves.names, found, strict=True)}
    np.testing.assert_array_equal(names["bias"], params["bias"])  # what is no weight stays as init_fn makes it
    assert abs(float(names["conv"].std()) / (2 / 27) ** 0.5 - 1) < 0.3
    assert not np.allclose(names["conv"], params["conv"])


def features(params, x):
    x = jax.lax.conv_general_dilated(x, params["conv"], (1, 1), "SAME", dimension_numbers=DIMS)
    y = jax.nn.relu(x) * 2
    return [x, y]


def test_feature_maps_are_cut_into_blocks(params, batches):
    with pytest.raises(InputError, match="features_fn"):
        score_model(plain, params, batches, "az_trainability")
    found = score_model(plain, params, batches, "az_expressivity,az_progressivity", features_fn=features)

    def entropy(y):
        rows = np.asarray(y).reshape(-1, y.shape[-1])
        share = np.maximum(np.linalg.eigvalsh(np.cov(rows.T, bias=True)), 0)
        share = share / share.sum()
        return -(share * np.log(share + 1e-8)).sum()

    first, second = (entropy(y) for y in features(params, batches.images[0]))
    np.testing.assert_allclose(found.scores["az_expressivity"], first + second, **CLOSE)
    np.testing.assert_allclose(found.scores["az_progressivity"], second - first, **CLOSE)


def test_the_block_between_two_maps_is_its_own_function(params, batches):
    space, archs = as_space(Model(plain, params, features_fn=features), batches)
    slopes = []

    def visit(block, function, x):
        y, pull, stats = jax.vjp(function, x, has_aux=True)
        slopes.append((x, pull(jnp.ones_like(y))[0]))
        return (y, stats), None

    space.blocks(space.init(jax.random.key(0), archs[0]), archs[0], jnp.asarray(batches.images[0]), visit)
    np.testing.assert_array_equal(slopes[1][1], 2.0 * (slopes[1][0] > 0))


def test_maps_that_do_not_follow_from_each_other_are_refused(params, batches):
    swapped = lambda p, x: features(p, x)[::-1]  # noqa: E731
    with pytest.raises(InputError, match="map 1 of features_fn does not depend on map 0"):
        score_model(plain, params, batches, "az_expressivity", features_fn=swapped)
    with pytest.raises(InputError, match="list of feature maps"):
        score_model(plain, params, batches, "az_expressivity", features_fn=lambda p, x: [plain(p, x)])


WRONG = {
    "no activation": (lambda p, x: x.reshape(x.shape[0], -1)[:, :4] @ p["head"], "no activation found", "swap"),
    "no weight layer": (
        lambda p, x: jax.nn.relu(x.mean((1, 2))[:, :1] * p["head"][0][None]),
        "no weight layer",
        "snip",
    ),
    "no logits": (lambda p, x: plain(p, x).sum(), "logits", "snip"),
    "too few outputs": (lambda p, x: plain(p, x)[:, :2], "label 3 with 2 outputs", "snip"),
    "a mistake": (lambda p, x: x @ p["head"], "apply_fn fails for .*8, 8, 8, 3", "snip"),
    "a fixed number of images": (
        lambda p, x: x.reshape(8, -1)[:, :4] @ p["head"] + x.mean((1, 2, 3))[:, None],
        "fails for 16 images: .*any number of images",
        "snip",
    ),
    "an unknown proxy": (plain, "Unknown proxy 'zicoo'", "zicoo"),
    "an interval to be found": (plain, "interval=", "lswag:preset=paper"),
    "modules": (plain, "modules of a search space", "meco"),
    "running variances": (plain, "running variances", "zen"),
    "more images than there are": (plain, "nwot.*128", "nwot:samples=128"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_refused(case, params, batches):
    function, words, proxies = WRONG[case]
    with pytest.raises(InputError, match=words):
        score_model(function, params, batches, proxies)


def test_wrong_arguments_are_refused(params, batches):
    with pytest.raises(InputError, match=r"Batches\.from_arrays"):
        score_model(plain, params, (batches.images, batches.labels))
    with pytest.raises(InputError, match="apply_fn is dict"):
        score_model(params, params, batches)
    with pytest.raises(InputError, match="str at 'a'"):
        score_model(plain, {"a": "b"}, batches)
    with pytest.raises(InputError, match="no floating array"):
        score_model(plain, {"a": np.arange(3)}, batches)
    with pytest.raises(InputError, match="another structure"):
        score_model(plain, params, batches, init_fn=lambda key: {"conv": jnp.zeros(3)})
    with pytest.raises(InputError, match="one number"):
        score_model(plain, params, batches, "snip", loss_fn=lambda logits, y: logits.sum(1))
    with pytest.raises(InputError, match="empty"):
        score_models({}, batches)
    with pytest.raises(InputError, match="second: .*tuple|second: .*Model"):
        score_models({"first": (plain, params), "second": plain}, batches)


def test_a_loss_of_ones_own(params, batches, result):
    targets = batches.with_targets(np.eye(4)[batches.labels])
    own = lambda logits, t: -(t * jax.nn.log_softmax(logits)).sum(1).mean()  # noqa: E731
    found = score_model(plain, params, targets, "snip", loss_fn=own).scores["snip"]
    np.testing.assert_allclose(found, result.scores["snip"], **CLOSE)


def test_many_models_share_store_and_report(params, batches, tmp_path):
    models = {"one": (plain, params), "two": Model(plain, draw(jax.random.key(4)))}
    steps = []
    first = score_models(models, batches, "snip,swap", workdir=tmp_path, progress=lambda *n: steps.append(n))
    assert first.archs == ["one", "two"] and steps == [(1, 2), (2, 2)]
    for i, (name, (function, own, *_)) in enumerate(models.items()):
        alone = score_model(function, own, batches, "snip,swap", name=name)
        for proxy in ("snip", "swap"):
            np.testing.assert_array_equal(alone.scores[proxy][0], first.scores[proxy][i])
    assert (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()[1].startswith("one,")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "one" in page and "2 gelu" in page and "1 relu" in page
    assert "How to repeat this run" in page and "key=jax.random.key(0)" in page and batches.fingerprint[:16] in page
    # The same models are not scored again, another one of the same name is.
    with Store.open(tmp_path) as store:
        kept = store.to_frame()
    assert len(kept) == 4
    again = score_models(models | {"one": (plain, draw(jax.random.key(5)))}, batches, "snip,swap", workdir=tmp_path)
    assert again.scores["snip"][0] != first.scores["snip"][0] and again.seconds[1] == first.seconds[1]


def test_no_model_is_scored_if_a_later_one_cannot_be(params, batches, tmp_path):
    flat = lambda p, x: x.reshape(x.shape[0], -1)[:, :4] @ p["head"]  # noqa: E731
    steps = []
    with pytest.raises(InputError, match="second: swap: own model: no activation found"):
        score_models(
            {"first": (plain, params), "second": (flat, params)},
            batches,
            "swap",
            workdir=tmp_path,
            progress=lambda *n: steps.append(n),
        )
    assert not steps and not list(tmp_path.iterdir())


def test_scores_of_a_population_rank_the_models(params, batches):
    models = {str(i): Model(plain, draw(jax.random.key(i)), features_fn=features) for i in range(3)}
    found = score_models(models, batches, "az_nas,az_expressivity")
    assert list(found.scores) == ["az_nas", "az_expressivity"]
    assert len(set(found.scores["az_nas"])) > 1 and (found.scores["az_nas"] <= 0).all()


def test_parameters_of_one_program_do_not_compile_it_again(params, batches):
    first, _ = as_space(Model(plain, params), batches)
    second, other = as_space(Model(plain, draw(jax.random.key(9))), batches, name="other")
    assert first == second and hash(first) == hash(second)
    assert first != dataclasses.replace(second, precision="default")
    assert other.encodings[0].startswith("other@")


PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "own_model.md").read_text(encoding="utf-8")


def table():
    """(proxy, need with preset nbsz, further need with preset paper) of every proxy in the page's table."""
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    return [(name, *needs) for names, *needs in rows for name in re.findall(r"`(\w+)`", names)]


@pytest.mark.parametrize(("name", "usual", "paper"), table())
def test_the_page_says_what_a_proxy_needs(name, usual, paper, linen, batches):
    given = {"init_fn": lambda key: linen, "features_fn": lambda p, x: [x, x], "norm_free_fn": Linen(norm=False).apply}
    nothing, _ = as_space(Model(apply_linen, linen), batches)

    def serves(preset, *needs):
        model = nothing.model._replace(**{need: given[need] for need in needs})
        space = dataclasses.replace(nothing, model=model)
        proxy = registry.get(name, preset=preset)
        try:
            for p in proxy.passes:
                space.check_pass(p)
        except InputError:
            return False
        return True

    needs = [need for need in given if need in usual]
    if "not offered" in usual:
        assert not serves("nbsz", *given)
        return
    assert serves("nbsz", *needs)
    assert not needs or not serves("nbsz")
    more = [need for need in given if need in paper]
    assert serves("paper", *needs, *more)
    assert not more or not serves("paper", *needs)


def test_the_page_lists_every_proxy():
    found = [name for name, _, _ in table()]
    assert len(found) == len(set(found)) and set(found) == set(nasjax.proxies.names())


def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[:1])
    names = {"__name__": "page"}
    exec(compile(code, "own_model.md", "exec"), names)
    assert np.isfinite(names["result"].scores["lswag"]).all()


def test_describe_models_says_what_is_found_without_scoring(params, batches, monkeypatch):
    monkeypatch.setattr("nasjax.own_model.scoring.score", None)
    smaller = {**params, "stack": params["stack"][:1]}
    table = nasjax.own_model.describe_models({"two": (plain, params), "one": Model(plain, smaller)}, batches)
    assert list(table.columns) == ["model", "layers", "activations", "params", "flops"]
    assert table["model"].tolist() == ["two", "one"]
    assert table["layers"].tolist() == [4, 3]  # the loop is unrolled
    assert table["activations"].tolist() == ["1 relu, 2 gelu", "1 relu, 1 gelu"]
    assert table["params"].tolist() == [sum(a.size for a in jax.tree.leaves(p)) for p in (params, smaller)]
    assert table["flops"].diff()[1] == -16  # one product of 4 x 4
    with pytest.raises(InputError, match="wrong"):
        nasjax.own_model.describe_models({"wrong": (plain, {"conv": params["conv"]})}, batches)
