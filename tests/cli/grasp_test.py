"""launch.grasp on small tables: each job, and what is refused."""

import dataclasses
import json

import jax
import numpy as np
import pandas as pd
import pytest

import nasjax
from nasjax.cli import accuracies, common, grasp, grasp_input, grasp_parts, search
from nasjax.cli.options import parse
from nasjax.grasp import transfer
from nasjax.types import InputError

QUICK = "--options=steps=20,width=8,layers=1,learning_rate=0.01"


@pytest.fixture(scope="module", autouse=True)
def no_cache_change():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "enable_compile_cache", lambda: None)
        yield


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    space = nasjax.get_space("nasbench201", drop_dead=True)
    archs = np.asarray(space.sample(jax.random.key(0), 50))
    params = np.log(np.asarray(space.num_params(archs), float))
    file = tmp_path_factory.mktemp("grasp") / "table.csv"
    noise = np.random.default_rng(0).normal(size=50)
    frame = pd.DataFrame({"arch": space.encode(archs), "a": params, "b": params + noise, "nwot": params, "bad": "x"})
    frame["same"], frame["infinite"], frame["half"] = 1.0, np.where(params > params.mean(), np.inf, params), params
    frame.loc[::2, "half"] = np.nan
    frame.to_csv(file, index=False)
    return file


def command(workdir, table, *argv):
    config, given = parse(grasp.GraspCommandConfig, [
        f"--workdir={workdir}", f"--table={table}", "--column=a", "--num_train=12", "--splits=2", "--engine=jit", QUICK,
        *argv,
    ])  # fmt: skip
    assert config is not None and "--workdir" in given
    return config


def test_evaluate(table, tmp_path, capsys):
    grasp.main(command(tmp_path / "e", table, "--validation=b", "--truth=a", "--column=b"))
    out = capsys.readouterr().out
    assert "kendall" in out and "2 splits in" in out
    result = json.loads((tmp_path / "e" / "result.json").read_text())
    assert len(result["metrics"]["kendall"]) == 2 and "selected@1" in result["metrics"]
    assert result["column"] == "b" and result["truth"] == "a"
    assert result["groups"] == "canonical form" and result["predictor"]["model"]["width"] == 8
    predictions = pd.read_csv(tmp_path / "e" / "predictions.csv")
    assert list(predictions.columns) == ["arch", "score", "uncertainty", "a"]
    assert (np.diff(predictions["score"]) <= 0).all()
    page = (tmp_path / "e" / "report.html").read_text()
    assert "How well does the predictor rank?" in page and (tmp_path / "e" / "prediction.png").stat().st_size > 3000
    assert (tmp_path / "e" / "run.flags").exists()


def test_transfer_and_a_run_that_goes_on(table, tmp_path, capsys, monkeypatch):
    grasp.main(command(tmp_path / "t", table, "--job=transfer", "--column=a,b"))
    assert "a -> b:" in capsys.readouterr().out
    rows = pd.read_csv(tmp_path / "t" / "transfer.csv")
    assert len(rows) == 4 and rows["ceiling"].iloc[1] < 1
    assert (tmp_path / "t" / "transfer.png").stat().st_size > 3000
    file, asked = tmp_path / "t" / grasp_parts.FILENAME, []
    before = json.loads(file.read_text())
    del before["taus"]["b"]  # as if it had been killed
    file.write_text(json.dumps(before))

    def fit_many(*args, **kwargs):
        asked.append(args[0])
        return transfer_fit(*args, **kwargs)

    transfer_fit = transfer.fit_many
    monkeypatch.setattr(transfer, "fit_many", fit_many)
    grasp.main(command(tmp_path / "t", table, "--job=transfer", "--column=a,b"))
    assert len(asked) == 1 and "1 of 2 data sets were trained on before" in capsys.readouterr().err
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t" / "transfer.csv"), rows)
    grasp.main(command(tmp_path / "t", table, "--job=transfer", "--column=a,b", "--seed=1"))  # another run
    assert len(asked) == 3


def test_columns_may_have_shapes_of_their_own(table, tmp_path):
    config = command(tmp_path, table, "--job=transfer", "--column=a,b", "--column_options=b:image_size=16,channels=8")
    data = grasp_input.read(config, ["a", "b"], [])
    graphs = grasp_input.graphs_by_column(config, data, ["a", "b"])
    assert graphs["a"] is data.graphs and graphs["b"].shapes[0, 0].tolist() == [16, 16, 8, 8, 1]
    np.testing.assert_array_equal(graphs["b"].ops, data.graphs.ops)
    for wrong in ("c:image_size=16", "b image_size=16", "b:image_size"):
        with pytest.raises(InputError, match="column_options"):
            grasp_input.graphs_by_column(dataclasses.replace(config, column_options=wrong), data, ["a", "b"])


def test_rows_without_a_number_are_left_out_and_said(table, tmp_path, capsys):
    data = grasp_input.read(command(tmp_path, table), ["half", "a"], [])
    assert len(data.archs) == 25 and "25 of 50 rows of" in capsys.readouterr().err


def test_columns_of_a_benchmark_have_the_space_they_were_trained_in(table, tmp_path):
    sizes = {"p": {"image_size": 8, "channels": 4}, "p_q": {"image_size": 16, "channels": 4}}
    about = {"benchmark": {"space options": sizes}}
    (tmp_path / "benchmark.json").write_text(json.dumps(about))
    (tmp_path / "benchmark.csv.gz").touch()
    for column, side in (("p_valid", 8), ("p_q_valid_e1", 16), ("r_valid", None)):
        for name in (tmp_path, tmp_path / "benchmark.csv.gz"):
            assert accuracies.space_options(str(name), column).get("image_size") == side
    assert accuracies.space_options("nasbench201", "p_valid") == {}
    config = dataclasses.replace(command(tmp_path, tmp_path), space_options="channels=6")
    space = grasp_input.make_space(config, "p_q_valid", num_classes=5)
    assert (space.image_size, space.channels, space.num_classes) == (16, 6, 5)


def test_fit_then_rank(table, tmp_path, capsys):
    grasp.main(command(tmp_path / "f", table, "--job=fit"))
    with pytest.raises(InputError, match="another configuration"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(grasp, "train_on_all", None)  # said before anything is trained
        grasp.main(command(tmp_path / "f", table, "--job=fit", "--preset=strong"))
    grasp.main(command(tmp_path / "r", table, "--job=rank", f"--model={tmp_path / 'f' / 'predictor'}", "--top=3",
                       f"--archs=file:{table}"))  # fmt: skip
    ranking = pd.read_csv(tmp_path / "r" / "ranking.csv")
    assert len(ranking) == len(pd.read_csv(table)["arch"].unique()) and (np.diff(ranking["score"]) <= 0).all()
    assert "  1 " in capsys.readouterr().out
    assert "A predictor of the whole table" in (tmp_path / "f" / "report.html").read_text()
    page = (tmp_path / "r" / "report.html").read_text()
    assert f"puts {ranking['arch'].iloc[0]} first" in page and (tmp_path / "r" / "ranking.png").stat().st_size > 3000
    with pytest.raises(InputError, match="members: there 1, now 5"):
        grasp.main(command(tmp_path / "o", table, "--job=rank", f"--model={tmp_path / 'f' / 'predictor'}",
                           "--preset=strong"))  # fmt: skip
    with pytest.raises(InputError, match="skip='contract' beside"):
        grasp.main(command(tmp_path / "o", table, "--job=rank", f"--model={tmp_path / 'f' / 'predictor'}",
                           "--skip=contract", f"--archs=file:{table}"))  # fmt: skip
    flags = [f"--workdir={tmp_path / 's'}", f"--predictor={tmp_path / 'f' / 'predictor'}"]
    searched, _ = parse(search.SearchConfig, flags)
    space = nasjax.get_space("nasbench201")
    objective = search.make_objective(searched, space, None, jax.random.key(0))
    best = objective.evaluate(space, space.decode([ranking["arch"].iloc[0]])).columns[0, 0]
    np.testing.assert_allclose(best, ranking["score"].iloc[0], rtol=1e-4)
    with pytest.raises(InputError, match="--predictor stands in place of"):
        search.make_objective(dataclasses.replace(searched, proxies="zico"), space, None, jax.random.key(0))


def test_flags_become_options(tmp_path, table):
    made = grasp.predictor_config(command(tmp_path, table, "--preset=strong", "--proxies=nwot", "--pretrain=params"))
    assert made.model.direction == "bi" and made.members == 5 and made.model.head == 128 and made.model.width == 8
    assert made.features.proxies == ("nwot",)
    assert made.train.pretrain == ("params",) and made.train.pretrain_steps == 500


def test_proxies_come_from_scores_and_duplicates(table, tmp_path):
    space = nasjax.get_space("nasbench201")
    frame = pd.read_csv(table)
    frame.iloc[:20][["arch", "nwot"]].to_csv(tmp_path / "scores.csv", index=False)
    config = command(tmp_path / "p", table, f"--scores={tmp_path / 'scores.csv'}")
    archs = list(frame["arch"])
    population = space.decode(archs)
    groups = np.arange(50)
    groups[30] = 3  # as if it were a duplicate of the fourth
    found = grasp_input.proxy_values(config, space, population, archs, groups, ["nwot", "params"])
    np.testing.assert_allclose(found["nwot"][:20], frame["nwot"][:20])
    assert found["nwot"][30] == found["nwot"][3] and np.isnan(found["nwot"][31])
    np.testing.assert_array_equal(found["params"], space.num_params(population))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--column=aa"], "has no column 'aa'"),
        (["--column=bad"], "holds no numbers"),
        (["--column=a,b"], "evaluate takes one column"),
        (["--num_train=50"], "distinct architectures"),
        (["--column=infinite"], "is infinite for"),
        (["--truth=same"], "all 50 targets equal 1"),
        (["--groups=half"], "25 of 50 rows of .* name no group"),
        (["--space=nasbench101"], "50 of 50 architectures are none of --space=nasbench101. The first: "),
        (["--model=m"], "read by rank alone"),
        (["--proxies=nwot"], "--scores is missing"),
        (["--options=los=bt"], "Did you mean loss"),
        (["--options=precision=fast"], "flag of its own"),
        (["--groups=iso"], "--groups=iso"),
        (["--job=fit", "--validation=b"], "evaluate alone"),
        (["--job=rank", "--model=absent"], "there is no predictor"),
        (["--scores=nasbench301", "--proxies=nwot"], "architectures of darts"),
    ],
)
def test_bad_flags_are_refused(argv, message, table, tmp_path):
    with pytest.raises(InputError, match=message):
        grasp.main(command(tmp_path / "x", table, *argv))
    assert not (tmp_path / "x" / "result.json").exists()


def test_a_directory_of_another_command_is_left_alone(table, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="another command"):
        grasp.main(command(tmp_path, table))
