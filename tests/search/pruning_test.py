"""The rounds of a pruning search, with scores made by hand."""

import numpy as np
import pytest

from nasjax.search import pruning
from nasjax.search.pruning import PruneConfig
from nasjax.spaces.masked import Choice
from nasjax.types import InputError

# Three edges of four operations, the first of which is nothing.
PLAIN = Choice((3, 4), ("none", "a", "b", "c"), ("x", "y", "z"), (), 0, 0)
# Two cells of three edges; all edges of a cell lead to one node, which keeps two.
GROUPS = Choice((2, 3, 3), ("none", "a", "b"), tuple("uvwxyz"), ((0, 1, 2), (3, 4, 5)), 2, 0)
VALUE = np.array([[0, 5, 1, 3], [0, 2, 7, 4], [0, 1, 2, 3]], float)  # of an operation: what its removal costs


def search(choice, config, cost):
    """Runs a search in which a supernet is worth what its living operations are; states and candidates by round."""
    state, rounds = pruning.init(choice, config, 1), []
    while (asked := pruning.ask(choice, config, state)) is not None:
        scores = (asked.masks * cost).reshape(len(asked.moves), -1).sum(1)
        state = pruning.tell(choice, state, asked, scores[:, None], scores)
        rounds.append((asked, state))
    return rounds


def test_each_round_removes_from_each_edge_what_hurts_least():
    rounds = search(PLAIN, PruneConfig(), VALUE)
    assert [len(asked.moves) for asked, _ in rounds] == [9, 6]
    asked, state = rounds[0]
    for mask, (edge, op) in zip(asked.masks, asked.moves, strict=True):
        expected = np.array([[0, 1, 1, 1]] * 3)
        expected[edge, op] = 0
        np.testing.assert_array_equal(mask, expected)
    assert state.moves[state.removed].tolist() == [[0, 2], [1, 1], [2, 1]]
    final = rounds[-1][1]
    assert final.moves[final.removed].tolist() == [[0, 2], [1, 1], [2, 1], [0, 3], [1, 3], [2, 2]]
    assert final.mask.tolist() == [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert final.rounds.tolist() == [0] * 9 + [1] * 6 and int(final.round) == 2
    assert pruning.total(PLAIN, PruneConfig()) == len(final.rounds) == 15


def test_several_operations_a_round_leave_one():
    rounds = search(PLAIN, PruneConfig(per_edge=2), VALUE)
    assert len(rounds) == 1
    np.testing.assert_array_equal(rounds[0][1].mask, search(PLAIN, PruneConfig(), VALUE)[-1][1].mask)
    np.testing.assert_array_equal(search(PLAIN, PruneConfig(per_edge=9), VALUE)[0][1].mask, rounds[0][1].mask)


def test_with_none_it_starts_with_all_operations():
    rounds = search(PLAIN, PruneConfig(with_none=True), VALUE)
    assert [len(asked.moves) for asked, _ in rounds] == [12, 9, 6]
    assert rounds[0][1].moves[rounds[0][1].removed].tolist() == [[0, 0], [1, 0], [2, 0]]


def test_nodes_lose_the_edges_that_matter_least_one_node_after_the_other():
    cost = np.array([[[0, 1, 2], [0, 6, 5], [0, 3, 1]], [[0, 9, 1], [0, 1, 4], [0, 7, 8]]], float)
    rounds = search(GROUPS, PruneConfig(), cost)
    assert [len(asked.moves) for asked, _ in rounds] == [12, 3, 3]
    first, second, third = (asked.moves.tolist() for asked, _ in rounds)
    assert first[:3] == [[0, 1], [0, 2], [1, 1]]
    assert second == [[0, 2], [1, 1], [2, 1]] and third == [[3, 1], [4, 2], [5, 2]]
    final = rounds[-1][1]
    # Of the first node the edge worth 2 goes, of the second that worth 4.
    assert final.moves[final.removed][-2:].tolist() == [[0, 2], [4, 2]]
    assert final.mask.reshape(6, 3).sum(1).tolist() == [0, 1, 1, 1, 0, 1]


def test_ties_go_by_the_first_column_and_then_by_order():
    state = pruning.init(PLAIN, PruneConfig(), 2)
    asked = pruning.ask(PLAIN, PruneConfig(), state)
    columns = np.zeros((9, 2))
    columns[1, 0] = 1.0  # operation b of the first edge
    columns[3, 0] = np.nan
    state = pruning.tell(PLAIN, state, asked, columns, np.zeros(9))
    assert state.moves[state.removed].tolist() == [[0, 2], [1, 2], [2, 1]]


def test_a_supernet_without_score_is_chosen_last():
    state = pruning.init(PLAIN, PruneConfig(), 1)
    asked = pruning.ask(PLAIN, PruneConfig(), state)
    combined = np.array([-np.inf, -np.inf, -5.0] * 3)
    state = pruning.tell(PLAIN, state, asked, combined[:, None], combined)
    assert state.moves[state.removed].tolist() == [[0, 3], [1, 3], [2, 3]]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"per_edge": 0}, "per_edge=0; allowed: a whole number of at least 1"),
        ({"per_edge": 1.0}, "per_edge=1.0"),
        ({"decimals": -1}, "decimals=-1; allowed: a whole number of at least 0"),
        ({"with_none": 1}, "with_none=1; allowed: True, False"),
        ({"mixture": "max"}, "mixture='max'; allowed: mean, sum"),
    ],
)
def test_bad_options(options, match):
    with pytest.raises(InputError, match=match):
        PruneConfig(**options)


def test_the_page_names_every_option(root):
    page = (root / "docs" / "pruning.md").read_text(encoding="utf-8")
    for name, field in PruneConfig.__dataclass_fields__.items():
        assert f"| `{name}` | {str(field.default) if name != 'mixture' else '`mean`'} |" in page, name
