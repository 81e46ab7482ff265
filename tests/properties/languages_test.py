"""The small languages of flags and files of text: what is none is one clear InputError, never another exception."""

import dataclasses
import json

import jax
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import nasjax
from nasjax import das
from nasjax.benchmark import tasks
from nasjax.cli import archs, benchmark, grasp, score, search, train, train_options
from nasjax.cli.options import parse
from nasjax.das.genotype import Gene, Genotype
from nasjax.grasp import config as grasp_config
from nasjax.proxies import registry as proxies
from nasjax.search import Selection
from nasjax.search import registry as algorithms
from nasjax.spaces import registry as spaces
from nasjax.training import preset
from nasjax.types import InputError

from .texts import NONSENSE, VALUES, slips

SPACE = nasjax.get_space("nasbench201")
CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
GENOTYPE = Genotype((Gene(0, 0, "rotate", 4.0), Gene(1, 2, "translate_y", -0.1)), das.DASConfig(num_frames=4)).to_json()
SELECTION = {"format": "nasjax.selection", "version": 1, "proxies": ["nwot", "zen"], "signs": [1, -1],
             "aggregation": "ranksum", "space": "nasbench201", "source": "t", "reasons": {"a": 1}}  # fmt: skip


def _benchmark(text):
    return benchmark.train_config(benchmark.BenchmarkCommand(workdir="x", train_options=text))


def _train(text):
    return train_options.read(train.TrainCommand(workdir="x", options=text))


def _augment(text):
    return train_options.read(train.TrainCommand(workdir="x", augment=text))


def _search(text):
    return search.algorithm_options(search.SearchConfig(workdir="x", algorithm_options=text))


def _costs(text):
    return search.constraints(search.SearchConfig(workdir="x", costs=text, latency=text))


def _weights(text):
    return search._weights(search.SearchConfig(workdir="x", weights=text))


def _grasp(text):
    return grasp.predictor_config(grasp.GraspCommandConfig(workdir="x", options=text))


def _das(text):
    return das.preset("geometric5", ops=tuple(word.strip() for word in text.split(",")))


def _archs(text):
    assume(not text.strip().startswith("random:") or len(text) < 16)
    return archs.choose(jax.random.key(0), SPACE, text)


def _benchmark_archs(text):
    assume("random" not in text)  # draws, which compiles
    return benchmark.choose(jax.random.key(0), SPACE, benchmark.BenchmarkCommand(workdir="x", archs=text))


def _space(text):
    return [nasjax.get_space(name, **score.space_options(text)) for name in ("nasbench201", "kronecker", "darts")]


def _selection(text, tmp):
    file = tmp / "selection.json"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    return Selection.load(file)


LANGUAGES = {
    "proxies": (proxies.parse, ["lswag,zico:preset=paper,swap:samples=16", "all", "lswag:interval=2-6:sign_guard=none",
                                "nwot,te_nas", "reg_swap:mu=1e3:sigma=2"]),
    "archs": (_archs, [CELL, f"{CELL};14", "0;1;2", "(0,1,2,3,4,0)", "[4,4,4,4,4,4]", "file:none.csv", "random:2"]),
    "benchmark archs": (_benchmark_archs, [CELL, "0;1", "file:none.csv"]),
    "data": (lambda text: nasjax.data.sources.parse(text, None), ["npz:a.npz#train", "tfds:cifar10#train[:80%]",
                                                                  "noise:alpha=2.5:classes=10", "folder:x"]),
    "noise": (lambda text: nasjax.data.load(f"noise:{text}", batch_size=2, num_batches=1, image_size=4),
              ["alpha=2.5:classes=10", "classes=3", ""]),
    "tasks": (tasks.parse, ["cifar10,pets", "CIFAR-10=npz:a.npz#train#test", "mine=folder:x,svhn", "npz:a.npz"]),
    "space_options": (_space, ["channels=4,cells=1", "drop_dead=true", "image_size=8", "num_classes=3",
                               "heads=(3,4),depths=(2,3)", "num_blocks=2"]),
    "train_options": (_benchmark, ["cutout=8,randaugment=2:9", "weight_decay=1e-4", "nesterov=true", "epochs=3"]),
    "options": (_train, ["weight_decay=1e-4,average=0.999", "schedule=cosine", "warmup_epochs=1"]),
    "augment": (_augment, ["off,cutout=8", "off", "randaugment=2:9,flip=true", "crop_padding=4"]),
    "algorithm_options": (_search, ["population=8,parents=4,mutations=4,crossovers=3", "population=10"]),
    "costs and latency": (_costs, ["params,flops", "cifar10", "params"]),
    "weights": (_weights, ["1,-0.5", "2"]),
    "grasp options": (_grasp, ["loss=hinge,members=5", "steps=20,width=8,layers=1", "learning_rate=0.01"]),
    "das ops": (_das, ["identity,rotate", "shear_x,translate_x"]),
    "genotype": (Genotype.from_json, [GENOTYPE]),
}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_but_an_input_error(language, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    read, valid = LANGUAGES[language]

    @given(text=st.one_of(slips(st.sampled_from(valid)), slips(st.sampled_from(valid)), NONSENSE))
    def check(text):
        try:
            read(text)
        except InputError as error:
            assert len(str(error)) > 10

    check()


@pytest.mark.parametrize("text", ["random:\u00b2", "random:" + "9" * 5000, "9" * 5000, "file:~nobody-at-all/x",
                                  "file:a\x00b"])  # fmt: skip
def test_numbers_and_paths_that_are_none(text):
    for choose in (archs.choose, lambda key, space, text: benchmark.choose(
            key, space, benchmark.BenchmarkCommand(workdir="x", archs=text))):  # fmt: skip
        with pytest.raises(InputError, match="--archs"):
            choose(jax.random.key(0), SPACE, text)


@given(data=st.data())
def test_selections(data, tmp_path_factory):
    content = dict(SELECTION)
    for name in data.draw(st.lists(st.sampled_from(sorted(content)), max_size=2)):
        content[name] = data.draw(VALUES.filter(lambda v: _plain(v)))
    text = data.draw(st.one_of(st.just(json.dumps(content)), slips(st.just(json.dumps(SELECTION))), NONSENSE))
    try:
        found = _selection(text, tmp_path_factory.getbasetemp())
    except InputError as error:
        assert "selection" in str(error)
        return
    again = tmp_path_factory.getbasetemp() / "again.json"
    assert Selection.load(found.save(again)) == found


def _plain(value):
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


@given(data=st.data())
def test_genotypes(data):
    """What a genotype is made of comes back; parts of it changed are refused or come back, too."""
    config = das.DASConfig(num_frames=data.draw(st.integers(1, 9)), num_nodes=2)
    edges = data.draw(st.lists(st.sampled_from(config.edges), min_size=1, max_size=5, unique=True))
    names, magnitudes = st.sampled_from(config.names), st.floats(0.125, 4)
    genes = tuple(Gene(*edge, data.draw(names), data.draw(magnitudes)) for edge in edges)
    made = Genotype(genes, config)
    assert Genotype.from_json(made.to_json()) == made
    content = json.loads(made.to_json())
    name = data.draw(st.sampled_from(sorted(content)))
    content[name] = data.draw(VALUES.filter(_plain))
    try:
        found = Genotype.from_json(json.dumps(content))
    except InputError:
        return
    assert Genotype.from_json(found.to_json()) == found


@pytest.mark.parametrize("command", [score.ScoreConfig, search.SearchConfig, train.TrainCommand,
                                     grasp.GraspCommandConfig, benchmark.BenchmarkCommand])  # fmt: skip
def test_command_lines(command, tmp_path):
    names = [field.name for field in dataclasses.fields(command) if field.name != "run_flags"]
    flag = st.builds(lambda name, text: f"--{name}={text}", st.sampled_from(names), NONSENSE)
    words = st.lists(st.one_of(flag, slips(flag), NONSENSE.filter(lambda t: "flagfile" not in t)), max_size=4)

    @given(words=words)
    def check(words):
        try:
            config, given = parse(command, ["--workdir=w", *words])
        except InputError as error:
            assert len(str(error)) > 10
            return
        if config is None:  # help
            return
        # What a run leaves repeats it.
        file = tmp_path / "run.flags"
        file.write_bytes(given.encode("utf-8", "surrogatepass"))
        texts = [value for value in dataclasses.asdict(config).values() if isinstance(value, str)]
        if all(text == text.strip() and len(text.splitlines()) < 2 for text in texts):
            assert dataclasses.replace(parse(command, [f"--flagfile={file}"])[0], run_flags="") == config

    check()


OPTIONS = ("steps", "width", "members", "learning_rate", "loss", "layers", "epochs", "population")


@given(values=st.dictionaries(st.sampled_from(OPTIONS), VALUES))
def test_options_of_the_wrong_kind(values):
    for make in (grasp_config.preset("published").with_options, lambda **v: algorithms.config("evolution", **v),
                 lambda **v: preset("nasbench201_12", **v)):  # fmt: skip
        try:
            made = make(**values)
        except InputError as error:
            assert len(str(error)) > 10
        else:
            hash(made)


@given(name=st.one_of(NONSENSE, VALUES), value=VALUES)
def test_spaces_by_name(name, value):
    for option in ("channels", "image_size", "num_classes", "precision", "none"):
        try:
            spaces.get_space(name, **{option: value})
        except InputError as error:
            assert len(str(error)) > 10
        for known in ("nasbench201", "autoformer_tiny", "kronecker"):
            try:
                assert hash(spaces.get_space(known, **{option: value})) is not None
            except InputError as error:
                assert len(str(error)) > 10

