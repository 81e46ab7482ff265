"""Pruning search on a tiny NAS-Bench-201."""

import jax
import numpy as np
import pytest

import nasjax
from nasjax.proxies import passes
from nasjax.search import Limits, PruneConfig, Selection, prune, pruning
from nasjax.search.prune import _criterion
from nasjax.types import InputError

SPACE = nasjax.get_space("nasbench201", channels=2, cells=1, image_size=8)
KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def batches():
    return nasjax.data.load("photos", batch_size=6, num_batches=2, image_size=8)


@pytest.fixture(scope="module")
def found(batches):
    """A search, and how often its pass was traced."""
    traces = []
    with pytest.MonkeyPatch.context() as patch:
        usual = passes.run
        patch.setattr(passes, "run", lambda *args: traces.append(1) or usual(*args))
        return prune(SPACE, "nwot,params", batches, key=KEY), len(traces)


def test_it_ends_at_an_architecture(found):
    result, traces = found
    assert traces == 1  # one program for all rounds
    assert SPACE.decode([result.encoding])[0].tolist() == result.arch.tolist()
    assert (result.arch > 0).all() and result.mask.sum(1).tolist() == [1] * 6
    table = result.table()
    assert len(table) == 24 + 18 + 12 == pruning.total(SPACE.masked().choice, PruneConfig())
    assert list(table.columns) == ["round", "edge", "operation", "nwot", "params", "score", "removed"]
    removals = result.table(removals=True)
    assert removals["round"].tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert removals["edge"].tolist() == ["0>1", "0>2", "1>2", "0>3", "1>3", "2>3"] * 3
    # Parameters are those of the supernet without the operation.
    full = SPACE.masked().full()
    full[2, 3] = 0
    row = table[(table["round"] == 0) & (table["edge"] == "1>2") & (table["operation"] == "nor_conv_3x3")]
    assert row["params"].tolist() == [SPACE.masked().num_params(full)]
    assert table["nwot"].nunique() > 10


def test_in_each_round_the_best_supernet_of_an_edge_is_kept(found):
    table = found[0].table()
    for _, rows in table.groupby(["round", "edge"]):
        assert rows["removed"].sum() == 1
        assert rows.loc[rows["removed"], "score"].item() == rows["score"].max()


class StopError(Exception):
    """As a kill between two rounds."""


def test_a_stopped_search_goes_on(found, batches, tmp_path):
    def stop(done, total):
        assert total == 54
        if done >= 42:
            raise StopError

    with pytest.raises(StopError):
        prune(SPACE, "nwot,params", batches, key=KEY, checkpoints=tmp_path, progress=stop)
    seen = []
    again = prune(
        SPACE, "nwot,params", batches, key=KEY, checkpoints=tmp_path, progress=lambda done, total: seen.append(done)
    )
    assert seen[0] == 42 and seen[-1] == 54
    jax.tree.map(np.testing.assert_array_equal, again.state, found[0].state)
    assert again.encoding == found[0].encoding
    with pytest.raises(InputError, match="state of another search:\n.*criterion"):
        prune(SPACE, "nwot", batches, key=KEY, checkpoints=tmp_path)


def test_supernets_of_a_round_differ_in_the_operation_alone(batches):
    masks = np.repeat(SPACE.masked().full()[None], 4, 0)
    masks[[1, 3], 2, 3] = masks[[2, 3], 5, 2] = 0

    def norms(shared):
        space = SPACE.masked(shared_weights=shared)
        return nasjax.score(space, masks, batches, "l2_norm", key=KEY, devices=1).scores["l2_norm"]

    # Norms add up over layers, so what an operation adds does not depend on the others: if weights are the same.
    one, other = norms(True), norms(False)
    np.testing.assert_allclose(one[0] - one[1], one[2] - one[3], rtol=1e-4)
    assert abs((other[0] - other[1]) - (other[2] - other[3])) > 1e-2


def test_signs_of_a_selection_count(batches):
    least = prune(SPACE, Selection(("params",), (-1,)), batches, key=KEY)
    most = prune(SPACE, Selection(("params",), (1,)), batches, key=KEY)
    assert most.encoding == SPACE.encode(np.full((1, 6), 3))[0]
    assert (least.arch != 3).all() and (least.arch != 2).all()


def test_te_nas_adds_ranks_of_rounded_changes(batches):
    own = _criterion("te_nas:preset=paper", batches, KEY, PruneConfig(), {})
    assert own.te_nas and [n.split(":")[0] for n in own.objective.names] == ["te_ntk", "te_regions"]
    assert dict(own.objective.proxies[0].members[0].options) == {
        "init": "kaiming_fan_out",
        "repeats": 3,
        "samples": 72,
    }
    # Condition numbers 50, 50.001, 80 and infinite against 100 before; regions 90, 90, 95, 60 against 80.
    columns = np.array([[-50, 90], [-50.001, 90], [-80, 95], [-np.inf, 60]], float)
    np.testing.assert_array_equal(own.combine(columns, np.array([-100.0, 80.0])), [3, 3, 3, 0])
    exact = own._replace(decimals=None).combine(columns, np.array([-100.0, 80.0]))
    np.testing.assert_array_equal(exact, [4, 3, 3, 0])
    assert not _criterion("te_ntk,te_regions", batches, KEY, PruneConfig(), {}).te_nas


def test_what_does_not_fit_is_refused(batches):
    other = nasjax.get_space("nasbench101", channels=4)
    with pytest.raises(InputError, match="the space 'nasbench101' has no supernet; allowed: nasbench201, darts"):
        prune(other, "nwot", batches, key=KEY)
    with pytest.raises(InputError, match=r"wrcor: .* needs responses\(\), which the space 'nasbench201_supernet' does"):
        prune(SPACE, "nwot,wrcor", batches, key=KEY)
    with pytest.raises(InputError, match="prune takes no limits"):
        prune(SPACE, "nwot", batches, key=KEY, limits=Limits(max_params=1e6))
    with pytest.raises(InputError, match="'chunks' is no option of nasjax.score; allowed: engine"):
        prune(SPACE, "nwot", batches, key=KEY, chunks=2)
    with pytest.raises(InputError, match="criterion 3; allowed: a Selection, or names"):
        prune(SPACE, 3, batches, key=KEY)
    with pytest.raises(InputError, match="Unknown proxy 'nwott'"):
        prune(SPACE, "nwott", batches, key=KEY)
    with pytest.raises(InputError, match="Images are 8x8, the space expects 16x16"):
        prune(nasjax.get_space("nasbench201", image_size=16), "nwot", batches, key=KEY)
